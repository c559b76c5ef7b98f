//! What exactly is written, case by case.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use oci_unpack::Error;
use oci_unpack::diff::{self, Snapshot};
use oci_unpack::pack::PackEvent;

use crate::edits::touch;
use crate::{copy, entries, exact, list};

/// `d/x d/y(=d/x) d/sub/z e/f top link→top`, all of one time.
fn base(root: &Path) {
    fs::create_dir_all(root.join("d/sub")).unwrap();
    fs::create_dir(root.join("e")).unwrap();
    for file in ["d/x", "d/sub/z", "e/f", "top"] {
        fs::write(root.join(file), file).unwrap();
    }
    fs::hard_link(root.join("d/x"), root.join("d/y")).unwrap();
    symlink("top", root.join("link")).unwrap();
    settle(root);
}

/// Gives all files and directories the time that they had.
fn settle(root: &Path) {
    for path in ["d/x", "d/y", "d/sub/z", "e/f", "top", "d/sub", "d", "e", ""] {
        let path = root.join(path);
        if path.exists() {
            touch(&path, 1000);
        }
    }
}

struct Case {
    name: &'static str,
    edit: fn(&Path),
    /// Whether times are as before, so that they are no changes.
    settled: bool,
    changes: &'static [&'static str],
    entries: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case { name: "nothing", edit: |_| (), settled: false, changes: &[], entries: &[] },
    Case {
        name: "a file is gone: its directories are listed, whose times changed",
        edit: |t| fs::remove_file(t.join("d/sub/z")).unwrap(),
        settled: false,
        changes: &["M d/sub", "D d/sub/z"],
        entries: &["./", "d/", "d/sub/", "d/sub/.wh.z"],
    },
    Case {
        name: "directories above a change are listed though nothing about them changed",
        edit: |t| fs::remove_file(t.join("d/sub/z")).unwrap(),
        settled: true,
        changes: &["D d/sub/z"],
        entries: &["./", "d/", "d/sub/", "d/sub/.wh.z"],
    },
    Case {
        name: "one whiteout for a whole directory",
        edit: |t| fs::remove_dir_all(t.join("d")).unwrap(),
        settled: true,
        changes: &["D d"],
        entries: &["./", ".wh.d"],
    },
    Case {
        name: "a directory becomes a file: the entry alone does it",
        edit: |t| {
            fs::remove_dir_all(t.join("d")).unwrap();
            fs::write(t.join("d"), "").unwrap();
        },
        settled: true,
        changes: &["M d"],
        entries: &["./", "d"],
    },
    Case {
        name: "a file becomes a directory",
        edit: |t| {
            fs::remove_file(t.join("top")).unwrap();
            fs::create_dir_all(t.join("top/in")).unwrap();
        },
        settled: true,
        changes: &["M top", "A top/in"],
        entries: &["./", "top/", "top/in/"],
    },
    Case {
        name: "a mode",
        edit: |t| fs::set_permissions(t.join("e"), Permissions::from_mode(0o700)).unwrap(),
        settled: true,
        changes: &["M e"],
        entries: &["./", "e/"],
    },
    Case {
        name: "the root's mode",
        edit: |t| fs::set_permissions(t, Permissions::from_mode(0o700)).unwrap(),
        settled: true,
        changes: &["M ."],
        entries: &["./"],
    },
    Case {
        name: "content alone",
        edit: |t| fs::write(t.join("top"), "pot").unwrap(),
        settled: true,
        changes: &["M top"],
        entries: &["./", "top"],
    },
    Case {
        name: "written, but with what it had",
        edit: |t| fs::write(t.join("top"), "top").unwrap(),
        settled: true,
        changes: &[],
        entries: &[],
    },
    Case {
        name: "a time alone",
        edit: |t| touch(&t.join("top"), 2000),
        settled: false,
        changes: &["M top"],
        entries: &["./", "top"],
    },
    Case {
        name: "a target",
        edit: |t| {
            let time = rustix::fs::Timespec { tv_sec: 1000, tv_nsec: 0 };
            fs::remove_file(t.join("link")).unwrap();
            symlink("d", t.join("link")).unwrap();
            let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(rustix::fs::CWD, t.join("link"), &times, flags).unwrap();
        },
        settled: true,
        changes: &["M link"],
        entries: &["./", "link"],
    },
    Case {
        name: "one of two names is gone: the other stays as it is",
        edit: |t| fs::remove_file(t.join("d/x")).unwrap(),
        settled: true,
        changes: &["D d/x"],
        entries: &["./", "d/", "d/.wh.x"],
    },
    Case {
        name: "a file is written through one of its names",
        edit: |t| fs::write(t.join("d/y"), "new").unwrap(),
        settled: true,
        changes: &["M d/x", "M d/y"],
        entries: &["./", "d/", "d/x", "d/y == d/x"],
    },
    Case {
        name: "a third name: all are written, so that they stay one file",
        edit: |t| fs::hard_link(t.join("d/y"), t.join("e/third")).unwrap(),
        settled: true,
        changes: &["A e/third"],
        entries: &["./", "d/", "d/x", "d/y == d/x", "e/", "e/third == d/x"],
    },
    Case {
        name: "two names of one file become two files with the same in them",
        edit: |t| {
            fs::remove_file(t.join("d/y")).unwrap();
            fs::write(t.join("d/y"), "d/x").unwrap();
        },
        settled: true,
        changes: &["M d/y"],
        entries: &["./", "d/", "d/y"],
    },
    Case {
        name: "one of two names is a new file now",
        edit: |t| {
            fs::remove_file(t.join("d/x")).unwrap();
            fs::write(t.join("d/x"), "new").unwrap();
        },
        settled: true,
        changes: &["M d/x"],
        entries: &["./", "d/", "d/x"],
    },
    Case {
        name: "a hidden name that looks like a marker is no marker",
        edit: |t| fs::write(t.join("d/.wh"), "").unwrap(),
        settled: true,
        changes: &["A d/.wh"],
        entries: &["./", "d/", "d/.wh"],
    },
];

#[test]
fn cases() {
    for case in CASES {
        for kind in ["trees", "snapshot", "snapshot of a copy"] {
            let dir = tempfile::tempdir().unwrap();
            let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
            fs::create_dir(&old).unwrap();
            base(&old);
            copy(&old, &new);
            let before = Snapshot::of(if kind == "snapshot" { &new } else { &old }).unwrap();
            (case.edit)(&new);
            if case.settled {
                settle(&new);
            }
            let diff = match kind {
                "trees" => diff::trees(&old, &new, &exact()).unwrap(),
                _ => diff::since(&before, &new, &exact()).unwrap(),
            };
            assert_eq!(list(&diff), case.changes, "{}, {kind}", case.name);
            let (blob, layer) = diff.write(Vec::new()).unwrap();
            assert_eq!(entries(&blob), case.entries, "{}, {kind}", case.name);
            assert_eq!(layer.entries, case.entries.len() as u64);
            assert_eq!(diff.is_empty(), case.changes.is_empty());
        }
    }
}

#[test]
fn two_files_become_one() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
    fs::create_dir(&old).unwrap();
    for name in ["a", "b"] {
        fs::write(old.join(name), "same").unwrap();
        touch(&old.join(name), 1000);
    }
    touch(&old, 1000);
    copy(&old, &new);
    fs::remove_file(new.join("b")).unwrap();
    fs::hard_link(new.join("a"), new.join("b")).unwrap();
    touch(&new, 1000);
    let diff = diff::trees(&old, &new, &exact()).unwrap();
    assert_eq!(list(&diff), ["M a", "M b"]);
    assert_eq!(entries(&diff.write(Vec::new()).unwrap().0), ["./", "a", "b == a"]);
}

#[test]
fn what_a_layer_cannot_hold() {
    let dir = tempfile::tempdir().unwrap();
    let before = Snapshot::of(dir.path()).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let diff = diff::since(&before, dir.path(), &exact()).unwrap();
    assert_eq!(list(&diff), ["M ."]);
    let mut events = Vec::new();
    let (_, layer) = diff.write_observed(Vec::new(), &mut |event| events.push(event)).unwrap();
    assert_eq!(
        (layer.entries, events),
        (1, vec![PackEvent::SocketSkipped { path: PathBuf::from("socket") }])
    );
    drop(socket);

    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/.wh.x"), "").unwrap();
    let error = diff::since(&before, dir.path(), &exact()).unwrap_err();
    assert!(matches!(&error, Error::Entry { path, .. } if path == "d/.wh.x"), "{error:?}");
}

#[test]
fn times_have_an_upper_bound_and_the_root_is_only_listed_when_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
    fs::create_dir(&old).unwrap();
    base(&old);
    copy(&old, &new);
    fs::write(new.join("e/f"), "now").unwrap();
    let options = exact().root_entry(false).latest_mtime(1500);
    let diff = diff::trees(&old, &new, &options).unwrap();
    let (blob, _) = diff.write(Vec::new()).unwrap();
    assert_eq!(entries(&blob), ["e/", "e/f"]);
    let text = String::from_utf8_lossy(&blob);
    assert!(text.contains(&format!("{:o}", 1500)), "the bound");
    assert!(text.contains(&format!("{:o}", 1000)), "the directory's own time");
}
