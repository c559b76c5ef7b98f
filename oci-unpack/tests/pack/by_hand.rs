//! Layers out of entries added by hand.

use std::os::unix::ffi::OsStrExt as _;

use oci_unpack::Error;
use oci_unpack::compression::Compression;
use oci_unpack::framing::{Entry, EntryKind, Timestamp};
use oci_unpack::pack::{LayerWriter, PackOptions};

use crate::{archive, entries, text};

fn writer() -> LayerWriter<Vec<u8>> {
    LayerWriter::new(Vec::new(), &PackOptions::default()).unwrap()
}

#[test]
fn what_is_written_is_read() {
    let mut added = vec![
        Entry::new("./", EntryKind::Directory),
        Entry::new("d/", EntryKind::Directory),
        Entry::new("d/file", EntryKind::Regular),
        Entry::new("char", EntryKind::CharDevice { major: 4095, minor: 1_048_575 }),
        Entry::new("block", EntryKind::BlockDevice { major: 8, minor: 0 }),
        Entry::new("fifo", EntryKind::Fifo),
        Entry::new(format!("{}/{}", "p".repeat(155), "n".repeat(100)), EntryKind::Regular),
        Entry::new(format!("{}/{}", "p".repeat(156), "n".repeat(100)), EntryKind::Regular),
        Entry::new("q/".repeat(2000), EntryKind::Directory),
        Entry::new("grün", EntryKind::Regular),
        Entry::new(&b"bytes \xff\n\x01"[..], EntryKind::Regular),
        Entry::new("soft", EntryKind::Symlink),
        Entry::new("softer", EntryKind::Symlink),
        Entry::new("hard", EntryKind::HardLink),
        Entry::new("owned", EntryKind::Regular),
        Entry::new("old", EntryKind::Regular),
        Entry::new("future", EntryKind::Regular),
        Entry::new("attributes", EntryKind::Regular),
    ];
    let mut change = |name: &str, change: &dyn Fn(&mut Entry)| {
        change(added.iter_mut().find(|entry| entry.path == name.as_bytes()).unwrap());
    };
    change("d/file", &|e| (e.size, e.mode) = (4, 0o4755));
    change("soft", &|e| e.link = b"../../x".to_vec());
    change("softer", &|e| e.link = "ü".repeat(2000).into_bytes());
    change("hard", &|e| e.link = b"d/file".to_vec());
    change("owned", &|e| (e.uid, e.gid) = (4_294_967_294, 2_097_152));
    change("old", &|e| e.mtime = Timestamp { seconds: -2, nanos: 500_000_000 });
    change("future", &|e| e.mtime = Timestamp { seconds: 253_402_300_799, nanos: 0 });
    change("attributes", &|e| {
        e.xattrs = vec![(b"user.a".to_vec(), b"\0\n=\xff".to_vec()), (b"user.empty".to_vec(), vec![])];
    });
    let mut layer = writer();
    for entry in &added {
        layer.add(entry.clone(), &b"data"[..entry.size as usize]).unwrap();
    }
    let (blob, packed) = layer.finish().unwrap();
    assert_eq!(packed.entries, added.len() as u64);
    let read = entries(&archive(&blob, &packed));
    for ((read, _), added) in read.iter().zip(&added) {
        assert_eq!(read, added, "{}", text(&added.path));
    }
    assert_eq!(read.len(), added.len());
    assert_eq!(read[2].1, b"data");
}

#[test]
fn sizes_are_kept() {
    for (size, data, reason) in
        [(5, "four", "1 bytes shorter"), (3, "four", "longer than its size of 3"), (0, "x", "longer")]
    {
        let error = writer().add_file("a/f", 0o644, size, data.as_bytes()).unwrap_err();
        assert!(matches!(&error, Error::Entry { path, .. } if path == "a/f"), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    // Beyond what eleven octal digits hold: the header must say it before the data comes.
    let error = writer().add_file("f", 0o644, 1 << 40, &b""[..]).unwrap_err();
    assert!(error.to_string().contains("shorter"), "{error}");
    assert!(writer().add_file("f", 0o644, 1 << 63, &b""[..]).is_err());
}

#[test]
fn what_others_would_refuse_or_mistake() {
    let long = "n".repeat(256);
    for (what, result) in [
        ("empty", writer().add_dir("", 0o755)),
        ("up", writer().add_dir("a/../b", 0o755)),
        ("long", writer().add_dir(&long, 0o755)),
        ("deep", writer().add_dir("d/".repeat(2100), 0o755)),
        ("nul", writer().add_file(std::ffi::OsStr::from_bytes(b"a\0b"), 0o644, 0, &b""[..])),
        ("whiteout", writer().add_file("a/.wh.b", 0o644, 0, &b""[..])),
        ("whiteout of one", writer().add_whiteout("a/.wh.b")),
        ("root as a file", writer().add_file("/", 0o644, 0, &b""[..])),
        ("no target", writer().add_symlink("s", "")),
        ("long target", writer().add_symlink("s", "t".repeat(4096))),
        ("target up", writer().add_hard_link("h", "../x")),
        ("owner", {
            let mut entry = Entry::new("f", EntryKind::Regular);
            entry.uid = u32::MAX;
            writer().add(entry, &b""[..])
        }),
        ("device", writer().add(Entry::new("c", EntryKind::CharDevice { major: 4096, minor: 0 }), &b""[..])),
        ("xattr", {
            let mut entry = Entry::new("f", EntryKind::Regular);
            entry.xattrs = vec![(b"user.a=b".to_vec(), vec![])];
            writer().add(entry, &b""[..])
        }),
    ] {
        assert!(matches!(result, Err(Error::Entry { .. })), "{what}: {result:?}");
    }
    let mut layer = writer();
    layer.add_dir("a", 0o755).unwrap();
    for again in ["a", "/a/", "./a"] {
        assert!(matches!(layer.add_file(again, 0o644, 0, &b""[..]), Err(Error::Entry { .. })), "{again}");
    }
}

#[test]
fn whiteouts() {
    let mut layer = writer();
    layer.add_whiteout("a/b").unwrap();
    layer.add_whiteout("/c").unwrap();
    layer.add_opaque("d").unwrap();
    layer.add_opaque("/").unwrap();
    let (blob, packed) = layer.finish().unwrap();
    let names: Vec<_> = entries(&archive(&blob, &packed)).iter().map(|(e, _)| text(&e.path)).collect();
    assert_eq!(names, ["a/.wh.b", ".wh.c", "d/.wh..wh..opq", ".wh..wh..opq"]);
}

#[test]
fn compressions_share_a_diff_id() {
    let make = |compression| {
        let options = PackOptions::default().compression(compression).latest_mtime(7);
        let mut layer = LayerWriter::new(Vec::new(), &options).unwrap();
        layer.add_file("f", 0o600, 100_000, &[7; 100_000][..]).unwrap();
        layer.finish().unwrap()
    };
    let (plain, gzip, zstd) = (make(Compression::None), make(Compression::Gzip), make(Compression::Zstd));
    for (blob, packed) in [&plain, &gzip, &zstd] {
        assert_eq!(packed.diff_id, plain.1.diff_id);
        let descriptor = packed.descriptor();
        assert_eq!(Compression::of_media_type(descriptor.media_type()), Some(packed.compression));
        assert_eq!((descriptor.size(), descriptor.digest()), (packed.size, &packed.digest));
        let (entry, content) = entries(&archive(blob, packed)).remove(0);
        assert_eq!((entry.mode, entry.mtime.seconds, content.len()), (0o600, 7, 100_000));
    }
    assert_eq!(plain.1.digest, plain.1.diff_id);
    assert_eq!(make(Compression::Gzip), gzip);
    assert_eq!(make(Compression::Zstd), zstd);
}
