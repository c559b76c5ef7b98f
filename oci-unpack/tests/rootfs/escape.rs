//! Nothing outside the root is touched, also while somebody else works in it; and the open handle on a folder.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use oci_unpack::{Rootfs, UnpackOptions};

use super::layer::{Item, archive, dir, fifo, file, hard, symlink as link, wh};
use super::{Room, is_root, tree};

/// Row 88: another thread exchanges a directory for a link that leads outside, over and over.
#[test]
fn a_directory_that_becomes_a_link() {
    let mut items: Vec<Item> = Vec::new();
    for i in 0..200 {
        items.push(dir("d/e/"));
        items.push(file(format!("d/file{i}"), "mine"));
        items.push(file(format!("d/e/file{i}"), "mine"));
        items.push(dir(format!("d/e/dir{i}/")));
        items.push(fifo(format!("d/fifo{i}")));
        items.push(hard(format!("d/hard{i}"), format!("d/file{i}")));
        items.push(link(format!("d/link{i}"), "x"));
        items.push(wh("d/.wh.file"));
        items.push(wh("d/e/.wh..wh..opq"));
        // Makes the descriptors that are remembered go.
        items.push(dir("gone/"));
        items.push(file("gone", ""));
    }
    let layers = [
        archive(&[dir("d/"), dir("d/e/"), file("d/file", "lower"), file("d/e/file", "lower")]),
        archive(&items),
    ];
    for openat2 in [true, false] {
        for _ in 0..15 {
            let room = Room::new();
            let root = room.destination();
            fs::create_dir(&root).unwrap();
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    // Straight after its creation the directory's time is our only clock: as often as we can.
                    while !done.load(Ordering::Relaxed) {
                        if fs::rename(root.join("d"), root.join("aside")).is_ok() {
                            let _ = symlink("../canary", root.join("d"));
                            std::thread::yield_now();
                            let _ = fs::remove_file(root.join("d"));
                            let _ = fs::rename(root.join("aside"), root.join("d"));
                        }
                        if fs::rename(root.join("d/e"), root.join("aside2")).is_ok() {
                            let _ = symlink("../../canary", root.join("d/e"));
                            std::thread::yield_now();
                            let _ = fs::remove_file(root.join("d/e"));
                            let _ = fs::rename(root.join("aside2"), root.join("d/e"));
                        }
                    }
                });
                let mut options = UnpackOptions::default();
                if !openat2 {
                    options = options.without_openat2();
                }
                // Any result, but nothing outside.
                let result = Rootfs::open(&root, &options).and_then(|mut rootfs| {
                    for layer in &layers {
                        rootfs.apply(&layer[..])?;
                    }
                    rootfs.finish()
                });
                let _ = result;
                done.store(true, Ordering::Relaxed);
            });
            room.check_neighbours("row 88");
        }
    }
}

/// A folder that holds a tree already, with directories whose modes are in the way.
#[test]
fn a_folder_with_something_in_it() {
    for openat2 in [true, false] {
        let room = Room::new();
        let root = room.destination();
        fs::create_dir_all(root.join("ro/in/deep")).unwrap();
        fs::create_dir(root.join("kept")).unwrap();
        fs::write(root.join("ro/in/file"), "old").unwrap();
        fs::write(root.join("kept/file"), "old").unwrap();
        symlink("ro", root.join("l")).unwrap();
        let set = |path: &str, mode| {
            fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
        };
        for (path, mode) in
            [("ro/in/deep", 0), ("ro/in", 0o500), ("ro", 0o2555), ("kept", 0o700), ("", 0o750)]
        {
            set(path, mode);
        }
        let before = fs::metadata(root.join("ro")).unwrap().modified().unwrap();
        let mut options = UnpackOptions::default();
        if !openat2 {
            options = options.without_openat2();
        }
        let mut rootfs = Rootfs::open(&root, &options).unwrap();
        let layer =
            archive(&[file("l/new", "new"), wh("ro/.wh.in"), file("kept/more", "more"), dir("fresh/")]);
        rootfs.apply(&layer[..]).unwrap();
        rootfs.apply(&archive(&[wh("l/.wh.none"), file("kept/.wh.file", "")])[..]).unwrap();
        rootfs.finish().unwrap();
        let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            [mode(""), mode("ro"), mode("kept"), mode("fresh"), mode("ro/new"), mode("kept/more")],
            [0o750, 0o2555, 0o700, 0o755, 0o644, 0o644]
        );
        assert_eq!(fs::metadata(root.join("ro")).unwrap().modified().unwrap(), before);
        let names = tree::show(&root, false);
        let names: Vec<_> = names.lines().map(|line| line.split([' ']).next().unwrap()).collect();
        assert_eq!(names, ["./", "fresh/", "kept/", "kept/more", "l", "ro/", "ro/new"]);
        room.check_neighbours("a folder with something in it");
    }
}

/// What is removed may be deep, and closed to everybody.
#[test]
fn removing_what_resists() {
    let deep = format!("top/{}", "d/".repeat(1500));
    let room = Room::new();
    let lower =
        archive(&[file(format!("{deep}f"), ""), dir("top/shut/").mode(0), dir("top/shut/in/").mode(0)]);
    let upper = archive(&[wh(".wh.top"), file("left", "left")]);
    room.unpack(&[lower.clone(), upper], UnpackOptions::default()).0.unwrap();
    assert_eq!(tree::show(&room.destination(), is_root()), "left =left");
    // The whole temporary tree, after an error.
    let room = Room::new();
    let broken = archive(&[file("../x", "")]);
    room.unpack(&[lower, broken], UnpackOptions::default()).0.unwrap_err();
    room.check_neighbours("a deep tree is removed after an error");
}
