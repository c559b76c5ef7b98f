//! Limits: an error that names them, nothing left behind, whatever a header promises.

use oci_unpack::framing::FramingLimits;
use oci_unpack::{Error, Limits, UnpackOptions};

use super::layer::{archive, file, item, symlink};
use super::{Mode, Room, message};

fn exceeds(layers: &[Vec<u8>], limits: Limits, name: &str) {
    for mode in Mode::EACH {
        let room = Room::of(mode);
        let (result, _) = room.unpack(layers, UnpackOptions::default().limits(limits.clone()));
        let error = result.expect_err(name);
        assert!(message(&error).contains(name), "{name}: {}", message(&error));
        let Error::Layer { source, .. } = error else { panic!("{error:?}") };
        assert!(matches!(*source, Error::Limit { .. }), "{source:?}");
        assert!(!room.destination().exists());
        room.check_neighbours(name);
    }
}

/// Row 145.
#[test]
fn limits_are_over_all_layers() {
    let layers = [archive(&[file("a", "12345")]), archive(&[file("b", "12345")])];
    exceeds(&layers, Limits::default().bytes(9), "bytes written of 9");
    exceeds(&layers, Limits::default().entries(1), "entries of 1");
    exceeds(&layers, Limits::default().layer_bytes(2047), "uncompressed bytes of one layer of 2047");
    let room = Room::new();
    let limits = Limits::default().bytes(10).entries(2).layer_bytes(2048);
    room.unpack(&layers, UnpackOptions::default().limits(limits)).0.unwrap();
}

/// One entry of a few hundred bytes can ask for as many directories as its name has slashes.
#[test]
fn directories_that_no_entry_names_are_counted() {
    let layers = [archive(&[file("d/".repeat(60) + "f", "")]), archive(&[file("e/".repeat(60) + "f", "")])];
    exceeds(&layers[..1], Limits::default().entries(60), "entries of 60");
    exceeds(&layers, Limits::default().entries(121), "entries of 121");
    let room = Room::new();
    room.unpack(&layers, UnpackOptions::default().limits(Limits::default().entries(122))).0.unwrap();
}

#[test]
fn a_long_tail_is_counted() {
    let mut layer = archive(&[file("a", "a")]);
    layer.resize(1 << 20, 0);
    exceeds(&[layer], Limits::default().layer_bytes(1 << 19), "uncompressed bytes of one layer");
}

#[test]
fn a_promise_is_checked_before_it_is_kept() {
    let huge = file("huge", "").size((1 << 33) - 1).bytes();
    exceeds(&[huge], Limits::default().bytes(1 << 32), "bytes written of 4294967296");
}

#[test]
fn sparse_sizes_count_in_full() {
    let map = "1\n0\n0\n";
    let mut data = map.as_bytes().to_vec();
    data.resize(512, 0);
    let hole = |size: &str| {
        archive(&[file("GNUSparseFile.0/hole", &data)
            .pax("GNU.sparse.major", "1")
            .pax("GNU.sparse.minor", "0")
            .pax("GNU.sparse.name", "hole")
            .pax("GNU.sparse.realsize", size)])
    };
    exceeds(&[hole("1152921504606846976")], Limits::default(), "bytes written");
    let room = Room::new();
    room.unpack(&[hole("1073741824")], UnpackOptions::default()).0.unwrap();
    use std::os::unix::fs::MetadataExt;
    let hole = room.destination().join("hole").metadata().unwrap();
    assert_eq!((hole.len(), hole.blocks()), (1 << 30, 0), "a hole stays a hole");
}

/// What the file system does not take, it says by itself; on one that takes it, the hole costs nothing.
#[test]
fn larger_than_the_file_system_takes() {
    let size = (1u64 << 63) - 1;
    let hole = archive(&[file("hole", "")
        .pax("GNU.sparse.size", size.to_string())
        .pax("GNU.sparse.map", "")
        .pax("GNU.sparse.name", "hole")]);
    let room = Room::new();
    let limits = Limits::default().bytes(u64::MAX);
    match room.unpack(&[hole], UnpackOptions::default().limits(limits)).0 {
        Ok(_) => assert_eq!(room.destination().join("hole").metadata().unwrap().len(), size),
        Err(error) => {
            assert!(message(&error).contains("\"hole\": the file system does not take files this large"));
            assert!(!room.destination().exists());
        }
    }
    room.check_neighbours("a file too large");
}

#[test]
fn zeros_become_holes_when_asked() {
    use std::os::unix::fs::MetadataExt;
    // Runs and their ends on every side of the buffers between the stages, and zeros at the end.
    let mut data = vec![0; 3 << 20];
    for at in [0, 5000, 262_143, 262_144, 1 << 20, (2 << 20) + 4095] {
        data[at] = 1;
    }
    let layer = archive(&[file("before", "x"), file("f", &data), file("zeros", vec![0; 1 << 20])]);
    let mut blocks = Vec::new();
    for holes in [false, true] {
        let room = Room::new();
        let options = UnpackOptions::default().holes(holes);
        let report = room.unpack(std::slice::from_ref(&layer), options).0.unwrap();
        assert_eq!(report.bytes(), 1 + (4 << 20), "holes count in full");
        assert!(std::fs::read(room.destination().join("f")).unwrap() == data);
        assert!(std::fs::read(room.destination().join("zeros")).unwrap() == vec![0; 1 << 20]);
        let used = |name| room.destination().join(name).metadata().unwrap().blocks();
        blocks.push((used("f"), used("zeros")));
    }
    let [(written, zeros), (sparse, none)] = blocks[..] else { panic!() };
    assert!(written >= 6144 && zeros >= 2048, "{blocks:?}");
    // The six blocks that are not zeros, and those that the ends of buffers cut.
    assert!(sparse < 1000 && none < 1000, "{blocks:?}");
}

/// Each is met exactly, and exceeded by one.
#[test]
fn limits_of_the_format() {
    type Set = fn(FramingLimits, u64) -> FramingLimits;
    // A record is its length, a blank, the key, `=`, the value and a newline.
    let comment = file("f", "").pax("comment", vec![b'x'; 5000 - "5000 comment=\n".len()]).bytes();
    let xattrs = file("f", "").xattr("user.a", "12345").xattr("user.b", "1");
    let globals = [item("g1", b'g').bytes(), item("g2", b'g').bytes(), file("f", "").bytes()].concat();
    let sparse = file("f", "0123")
        .pax("GNU.sparse.size", "100")
        .pax("GNU.sparse.numblocks", "4")
        .pax("GNU.sparse.map", "0,1,10,1,20,1,30,1");
    let long_name = file("n".repeat(120), "");
    let cases: [(Vec<u8>, Set, u64, &str); 7] = [
        (comment, FramingLimits::extension_bytes, 5000, "extension header bytes"),
        (globals, |l, n| l.pending_extensions(n as u32), 2, "extension headers before one entry"),
        (long_name.bytes(), |l, n| l.path_bytes(n as usize), 120, "longer than"),
        (symlink("l", "t".repeat(130)).bytes(), |l, n| l.path_bytes(n as usize), 130, "longer than"),
        (sparse.bytes(), |l, n| l.sparse_segments(n as usize), 4, "sparse segments"),
        (xattrs.bytes(), |l, n| l.xattr_bytes(n as usize), 5, "xattr bytes"),
        (xattrs.bytes(), |l, n| l.entry_xattr_bytes(n as usize), 18, "xattr bytes of one entry"),
    ];
    for (mut layer, set, edge, name) in cases {
        layer.resize(layer.len() + 1024, 0);
        let unpack = |n| {
            let room = Room::new();
            let limits = Limits::default().framing(set(FramingLimits::default(), n));
            let (result, _) = room.unpack(&[layer.clone()], UnpackOptions::default().limits(limits));
            assert_eq!(room.destination().exists(), result.is_ok(), "{name}");
            room.check_neighbours(name);
            result
        };
        unpack(edge).expect(name);
        let error = message(&unpack(edge - 1).expect_err(name));
        assert!(error.contains(name) && error.contains(&(edge - 1).to_string()), "{name}: {error}");
    }
}

#[test]
fn links_of_one_name() {
    let mut items: Vec<_> = (0..10).map(|i| symlink(format!("l{i}"), format!("l{}", i + 1))).collect();
    items.push(symlink("l10", "d"));
    items.push(file("l0/f", "f"));
    exceeds(&[archive(&items)], Limits::default().links(10), "symbolic links of one name of 10");
    let room = Room::new();
    room.unpack(&[archive(&items)], UnpackOptions::default().limits(Limits::default().links(11))).0.unwrap();
    assert!(room.destination().join("d/f").is_file());
}
