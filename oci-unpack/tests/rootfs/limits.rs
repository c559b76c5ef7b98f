//! Limits: an error that names them, nothing left behind, whatever a header promises.

use oci_unpack::framing::FramingLimits;
use oci_unpack::{Error, Limits, UnpackOptions};

use super::layer::{archive, file};
use super::{Room, message};

fn exceeds(layers: &[Vec<u8>], limits: Limits, name: &str) {
    let room = Room::new();
    let (result, _) = room.unpack(layers, UnpackOptions::default().limits(limits));
    let error = result.expect_err(name);
    assert!(message(&error).contains(name), "{name}: {}", message(&error));
    let Error::Layer { source, .. } = error else { panic!("{error:?}") };
    assert!(matches!(*source, Error::Limit { .. }), "{source:?}");
    assert!(!room.destination().exists());
    room.check_neighbours(name);
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
fn limits_of_the_format() {
    let long = [file("f", "").pax("comment", vec![b'x'; 5000])];
    let framing = FramingLimits::default().extension_bytes(4096);
    exceeds(&[archive(&long)], Limits::default().framing(framing), "4096");
}

#[test]
fn links_of_one_name() {
    use super::layer::symlink;
    let mut items: Vec<_> = (0..10).map(|i| symlink(format!("l{i}"), format!("l{}", i + 1))).collect();
    items.push(symlink("l10", "d"));
    items.push(file("l0/f", "f"));
    exceeds(&[archive(&items)], Limits::default().links(10), "symbolic links of one name of 10");
    let room = Room::new();
    room.unpack(&[archive(&items)], UnpackOptions::default().limits(Limits::default().links(11))).0.unwrap();
    assert!(room.destination().join("d/f").is_file());
}
