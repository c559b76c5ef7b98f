//! Snapshots that were recorded while layers were unpacked.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use oci_unpack::diff::{self, Snapshot};
use oci_unpack::pack::pack;
use oci_unpack::{Limits, Report, Rootfs, UnpackOptions};

use crate::edits::{Dice, Where, edit, grow, touch};
use crate::{apply, copy, exact, list, show};

fn unpack(layers: &[&[u8]], to: &Path) -> Report {
    let options = UnpackOptions::default().keep_trusted_xattrs(true).snapshot(true);
    let mut rootfs = Rootfs::open(to, &options).unwrap();
    for layer in layers {
        rootfs.apply(*layer).unwrap();
    }
    rootfs.finish().unwrap()
}

/// Through its file, too.
fn snapshot(report: Report) -> Snapshot {
    let snapshot = report.snapshot.unwrap();
    let mut file = Vec::new();
    snapshot.write_to(&mut file).unwrap();
    assert_eq!(Snapshot::read_from(&file[..], &Limits::default()).unwrap(), snapshot);
    snapshot
}

#[test]
fn what_was_unpacked_is_what_is_there() {
    for seed in 300..320 {
        let dir = tempfile::tempdir().unwrap();
        let [first, second, tree, result, moved] =
            ["first", "second", "tree", "result", "moved"].map(|name| dir.path().join(name));
        let mut dice = Dice::new(seed);
        fs::create_dir(&first).unwrap();
        grow(&first, &mut dice, 25);
        let lower = pack(&first, Vec::new(), &exact()).unwrap().0;
        copy(&first, &second);
        edit(&second, &mut dice, 10, Where::Plain);
        let upper = diff::trees(&first, &second, &exact()).unwrap().write(Vec::new()).unwrap().0;
        fs::create_dir(&tree).unwrap();
        let before = snapshot(unpack(&[&lower, &upper], &tree));
        assert_eq!(show(&tree), show(&second), "seed {seed}");
        assert_eq!(list(&diff::since(&before, &tree, &exact()).unwrap()), [""; 0], "seed {seed}");
        // Where no inode is the same, the digests must be right.
        copy(&tree, &moved);
        assert_eq!(list(&diff::since(&before, &moved, &exact()).unwrap()), [""; 0], "seed {seed}");

        copy(&tree, &result);
        edit(&tree, &mut dice, 10, Where::Plain);
        let diff = diff::since(&before, &tree, &exact()).unwrap();
        assert_eq!(list(&diff), list(&diff::trees(&moved, &tree, &exact()).unwrap()), "seed {seed}");
        apply(&diff.write(Vec::new()).unwrap().0, &result);
        assert_eq!(show(&result), show(&tree), "seed {seed}");
    }
}

/// Zeros that were not written are zeros.
#[test]
fn holes_are_content() {
    let dir = tempfile::tempdir().unwrap();
    let [source, tree, moved] = ["source", "tree", "moved"].map(|name| dir.path().join(name));
    fs::create_dir(&source).unwrap();
    for (name, len) in [("zeros", 1 << 20), ("short", 4097), ("mixed", 300_000)] {
        let file = File::create(source.join(name)).unwrap();
        file.set_len(len).unwrap();
        if name == "mixed" {
            file.write_all_at(b"x", 270_000).unwrap();
        }
    }
    let layer = pack(&source, Vec::new(), &exact()).unwrap().0;
    fs::create_dir(&tree).unwrap();
    let mut rootfs = Rootfs::open(&tree, &UnpackOptions::default().snapshot(true).holes(true)).unwrap();
    rootfs.apply(&layer[..]).unwrap();
    let before = snapshot(rootfs.finish().unwrap());
    copy(&tree, &moved);
    assert_eq!(list(&diff::since(&before, &moved, &exact()).unwrap()), [""; 0]);
    File::options().write(true).open(tree.join("zeros")).unwrap().write_all_at(b"x", 5000).unwrap();
    assert_eq!(list(&diff::since(&before, &tree, &exact()).unwrap()).len(), 1);
}

#[test]
fn none_unless_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Rootfs::open(dir.path(), &UnpackOptions::default()).unwrap().finish().unwrap().snapshot, None);
}

/// Size and time say nothing when somebody sets them.
#[test]
fn content_that_is_hidden_well() {
    let dir = tempfile::tempdir().unwrap();
    let [from, tree] = ["from", "tree"].map(|name| dir.path().join(name));
    fs::create_dir(&from).unwrap();
    fs::create_dir(&tree).unwrap();
    for name in ["a", "b", "sparse"] {
        fs::write(from.join(name), name).unwrap();
    }
    File::options().write(true).open(from.join("sparse")).unwrap().set_len(3 << 30).unwrap();
    for name in ["a", "b", "sparse", ""] {
        touch(&from.join(name), 1000);
    }
    // The archive of a sparse file would hold its zeros: it is made in place.
    fs::rename(from.join("sparse"), tree.join("sparse")).unwrap();
    touch(&from, 1000);
    let layer = pack(&from, Vec::new(), &exact()).unwrap().0;
    let before = snapshot(unpack(&[&layer], &tree));
    assert_eq!(list(&diff::since(&before, &tree, &exact()).unwrap()), [""; 0]);

    fs::write(tree.join("a"), "x").unwrap();
    let sparse = File::options().write(true).open(tree.join("sparse")).unwrap();
    sparse.write_all_at(b"needle", 2 << 30).unwrap();
    for name in ["a", "sparse", ""] {
        touch(&tree.join(name), 1000);
    }
    assert_eq!(list(&diff::since(&before, &tree, &exact()).unwrap()), ["M a", "M sparse"]);
    sparse.write_all_at(&[0; 6], 2 << 30).unwrap();
    fs::write(tree.join("a"), "a").unwrap();
    for name in ["a", "sparse", ""] {
        touch(&tree.join(name), 1000);
    }
    assert_eq!(list(&diff::since(&before, &tree, &exact()).unwrap()), [""; 0]);
}
