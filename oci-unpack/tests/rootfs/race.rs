//! Another process exchanges directories for links that lead out, all the time.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use oci_unpack::{Rootfs, UnpackOptions};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, ResolveFlags, openat2, renameat_with};

use super::Room;
use super::layer::{Item, archive, dir, fifo, file, hard, symlink as link, wh};

/// For the process that exchanges: the folder with everything in it.
const FOLDER: &str = "OCI_UNPACK_TEST_EXCHANGE";

/// The directories in the root that become links, and the links that they become. The folder outside has the same
/// names in it, so that whatever goes astray meets something.
const EXCHANGED: [(&str, &str); 4] = [
    ("d", "../canary"),
    ("d/folder", "../../canary/folder"),
    ("d/folder/deep", "../../../canary"),
    ("gone", "/"),
];

/// Row 88, by a process of its own and by exchanges, which leave no moment without something in the place.
#[test]
fn another_process_exchanges_directories_for_links() {
    let lower = archive(&[
        dir("d/"),
        dir("d/folder/"),
        dir("d/folder/deep/"),
        dir("gone/"),
        file("d/file", "lower"),
        file("d/folder/file", "lower"),
    ]);
    let mut items: Vec<Item> = Vec::new();
    for i in 0..60 {
        items.push(dir("d/folder/").mode(0o711).time("5").xattr("user.a", "1"));
        items.push(file("d/file", "mine").mode(0o600));
        items.push(file(format!("d/new{i}"), "mine"));
        items.push(file(format!("d/folder/new{i}"), "mine"));
        items.push(dir(format!("d/folder/deep/dir{i}/")));
        items.push(file(format!("d/folder/deep/dir{i}/x"), "mine"));
        items.push(fifo(format!("d/fifo{i}")));
        items.push(hard(format!("d/folder/hard{i}"), "d/file"));
        items.push(hard("d/folder/late", format!("d/folder/deep/late{i}")));
        items.push(file(format!("d/folder/deep/late{i}"), "late"));
        items.push(link("d/folder/link", "x"));
        items.push(wh("d/.wh.file"));
        items.push(wh("d/folder/.wh..wh..opq"));
        items.push(wh("d/.wh.folder"));
        // So that the remembered descriptors go.
        items.push(dir("gone/"));
        items.push(file("gone", ""));
    }
    let layers = [lower, archive(&items)];
    for openat2 in [true, false] {
        let room = Room::new();
        let root = room.destination();
        fs::create_dir(&root).unwrap();
        let side = room.path().join("side");
        fs::create_dir(&side).unwrap();
        let mut other = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "race::exchange", "--nocapture", "--test-threads=1"])
            .env(FOLDER, room.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut options = UnpackOptions::default();
        if !openat2 {
            options = options.without_openat2();
        }
        while !side.join("ready").exists() {
            std::thread::yield_now();
        }
        for _ in 0..10 {
            // Any result, but nothing outside. One that stopped early begins the next anew.
            let _ = Rootfs::open(&root, &options).and_then(|mut rootfs| {
                for layer in &layers {
                    rootfs.apply(&layer[..])?;
                }
                rootfs.finish()
            });
        }
        fs::write(side.join("stop"), "").unwrap();
        let status = other.wait().unwrap();
        let exchanged: u64 = fs::read_to_string(side.join("count")).unwrap().parse().unwrap();
        assert!(status.success() && exchanged > 100, "{exchanged} exchanges");
        oci_unpack::remove_tree(&side).unwrap();
        room.check_neighbours(&format!("row 88, another process, openat2: {openat2}"));
    }
}

/// What the other process runs; in a run of all tests it does nothing.
#[test]
fn exchange() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let (root, side) = (folder.join("root"), folder.join("side"));
    let root = fs::File::open(root).unwrap();
    fs::write(side.join("ready"), "").unwrap();
    let mut count = 0u64;
    while !side.join("stop").exists() {
        for (number, (name, target)) in EXCHANGED.into_iter().enumerate() {
            let aside = side.join(number.to_string());
            // The link that the other replaced is made anew; a directory there is the real one.
            if aside.symlink_metadata().is_err() {
                symlink(target, &aside).unwrap();
            }
            for _ in 0..2 {
                // Never by a name that leads through one of the links: it would be this process that changes what is
                // outside.
                let (parent, name) = name.rsplit_once('/').unwrap_or((".", name));
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                if let Ok(parent) = openat2(&root, parent, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
                    && renameat_with(&parent, name, CWD, &aside, RenameFlags::EXCHANGE).is_ok()
                {
                    count += 1;
                }
                std::thread::yield_now();
            }
        }
    }
    fs::write(side.join("count"), count.to_string()).unwrap();
}
