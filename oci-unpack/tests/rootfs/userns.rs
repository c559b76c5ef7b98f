//! Inside a user namespace, with real maps: owners go through the maps, and what is not mapped is a loss.
//!
//! A program with threads cannot enter one, and test programs have threads. So this program runs itself under
//! `unshare`, and [`inside`] is what it runs there.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oci_unpack::{Devices, OnLoss, Ownership, Policies, UnpackOptions, Warning};

use super::layer::{Item, archive, chr, dir, fifo, file, hard, symlink};
use super::{Room, is_root, message};

const FOLDER: &str = "OCI_UNPACK_TEST_USERNS";

/// Names, with the owners that they have in the image.
const OWNERS: [(&str, u32, u32); 8] = [
    ("root", 0, 0),
    ("user", 1000, 1000),
    ("group", 0, 42),
    ("last", 65_535, 65_535),
    ("beyond", 65_536, 65_536),
    ("half", 1000, 70_000),
    ("other", 70_000, 5),
    ("large", 4_000_000_000, 0),
];

fn layer() -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for (name, uid, gid) in OWNERS {
        let (uid, gid) = (uid.into(), gid.into());
        items.push(dir(format!("{name}/")).owner(uid, gid).mode(0o2750));
        items.push(file(format!("{name}/file"), "f").owner(uid, gid).mode(0o4755));
        items.push(symlink(format!("{name}/link"), "x").owner(uid, gid));
        items.push(fifo(format!("{name}/pipe")).owner(uid, gid).mode(0o620));
        items.push(hard(format!("{name}/hard"), format!("{name}/file")));
    }
    items
}

#[test]
fn owners_go_through_the_maps() {
    let folder = tempfile::tempdir().unwrap();
    // What the map makes of 65,536 ids: root stays root, and the others are far away.
    let map = is_root().then_some("0 0 1\n1 100001 65535\n");
    if let Err(reason) = run_inside(folder.path(), map) {
        eprintln!("SKIP owners_go_through_the_maps: needs user namespaces ({reason})");
        return;
    }
    if map.is_none() {
        return;
    }
    for (name, uid, gid) in OWNERS {
        let outside = |id: u32| match id {
            1..65_536 => id + 100_000,
            _ => 0,
        };
        for below in ["", "/file", "/link", "/pipe"] {
            let meta = folder.path().join(format!("kept/{name}{below}")).symlink_metadata().unwrap();
            assert_eq!((meta.uid(), meta.gid()), (outside(uid), outside(gid)), "{name}{below}");
        }
    }
}

/// Runs [`inside`] as root of a new user namespace: with this map, or with what the system lets its user have.
fn run_inside(folder: &Path, map: Option<&str>) -> Result<(), String> {
    let mut command = Command::new("unshare");
    command.arg("--user");
    if map.is_none() {
        command.arg("--map-root-user");
        // With subordinate ids there is a whole range, written by newuidmap.
        let probe = ["--user", "--map-root-user", "--map-auto", "true"];
        if Command::new("unshare").args(probe).stderr(Stdio::null()).status().is_ok_and(|s| s.success()) {
            command.arg("--map-auto");
        }
    }
    let mut child = command
        .args(["sh", "-c", "echo ready; read _; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "userns::inside", "--ignored"])
        .env(FOLDER, folder)
        .env("TMPDIR", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    if line != "ready\n" {
        let output = child.wait_with_output().unwrap();
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_string());
    }
    if let Some(map) = map {
        let process = PathBuf::from(format!("/proc/{}", child.id()));
        fs::write(process.join("uid_map"), map).unwrap();
        fs::write(process.join("gid_map"), map).unwrap();
    }
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let text = std::io::read_to_string(output).unwrap();
    let end = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&end.stderr);
    assert!(end.status.success() && text.contains("1 passed"), "{text}\n{error}");
    Ok(())
}

/// Whether an id has one outside, by `/proc/self/uid_map` or `gid_map`.
fn is_mapped(map: &str, id: u32) -> bool {
    let map = fs::read_to_string(Path::new("/proc/self").join(map)).unwrap();
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().map(|n| n.parse().unwrap()).collect();
        (numbers[0]..numbers[0] + numbers[2]).contains(&id.into())
    })
}

#[test]
#[ignore = "runs in a process of its own, inside a user namespace"]
fn inside() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    assert!(is_root(), "root of the namespace");
    let archives = [archive(&layer())];
    for openat2 in [true, false] {
        let mut options = UnpackOptions::default();
        if !openat2 {
            options = options.without_openat2();
        }
        as_mapped(&archives, &options);
    }
    policies(&archives);
    privileges();
    // For a look from outside, and through a tree that was there before.
    let kept = Path::new(&folder).join("kept");
    fs::create_dir(&kept).unwrap();
    let mut rootfs = oci_unpack::Rootfs::open(&kept, &UnpackOptions::default()).unwrap();
    rootfs.apply(&archives[0][..]).unwrap();
    rootfs.finish().unwrap();
}

/// Every owner that is mapped is set; of the others what can be is, and each is told.
fn as_mapped(archives: &[Vec<u8>], options: &UnpackOptions) {
    let room = Room::new();
    let (result, warnings) = room.unpack(archives, options.clone());
    result.unwrap();
    let mut lost = 0;
    for (name, uid, gid) in OWNERS {
        let (has_uid, has_gid) = (is_mapped("uid_map", uid), is_mapped("gid_map", gid));
        let expected = (if has_uid { uid } else { 0 }, if has_gid { gid } else { 0 });
        for (below, mode) in [("", 0o2750), ("/file", 0o4755), ("/link", 0o777), ("/pipe", 0o620)] {
            let meta = room.destination().join(format!("{name}{below}")).symlink_metadata().unwrap();
            assert_eq!((meta.uid(), meta.gid()), expected, "{name}{below}");
            assert_eq!(meta.mode() & 0o7777, mode, "{name}{below}: owners come before modes");
        }
        let told = warnings.iter().filter(|w| **w == Warning::OwnerDropped { uid, gid }).count();
        assert_eq!(told, if has_uid && has_gid { 0 } else { 4 }, "{name}");
        lost += told;
    }
    assert_eq!(warnings.len(), lost, "{warnings:?}");
    assert!(lost >= 4, "no map has them all");
    room.check_neighbours("user namespace");
}

fn policies(archives: &[Vec<u8>]) {
    let owners = |on_loss| UnpackOptions::default().policies(Policies::default().owners(on_loss));
    let room = Room::new();
    let (result, warnings) = room.unpack(archives, owners(OnLoss::Ignore));
    assert_eq!((result.unwrap().warnings, warnings), (0, vec![]));
    for options in [owners(OnLoss::Error), UnpackOptions::default().ownership(Ownership::Apply)] {
        let room = Room::new();
        let error = room.unpack(archives, options).0.unwrap_err();
        assert!(message(&error).contains("owner"), "{}", message(&error));
        room.check_neighbours("an owner that is not mapped");
    }
    // Who records loses nothing, whatever is mapped.
    let room = Room::new();
    let files = [archive(&layer().into_iter().step_by(5).collect::<Vec<_>>())];
    let options = UnpackOptions::default().ownership(Ownership::RootlessContainers).strict(true);
    assert_eq!(room.unpack(&files, options).0.unwrap().warnings, 0);
}

/// What root of a namespace may and may not do.
fn privileges() {
    const CAP_NET_RAW: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let items = [file("f", "x").xattr("security.capability", CAP_NET_RAW), chr("null", 1, 3), file("g", "")];
    let room = Room::new();
    let (result, warnings) = room.unpack(&[archive(&items)], UnpackOptions::default());
    result.unwrap();
    assert_eq!(warnings, [Warning::DeviceSkipped], "capabilities are this namespace's");
    let mut value = [0; 100];
    let f = room.destination().join("f");
    assert!(rustix::fs::getxattr(&f, "security.capability", &mut value[..]).unwrap() >= CAP_NET_RAW.len());
    assert!(!room.destination().join("null").exists());
    let room = Room::new();
    let options = UnpackOptions::default().devices(Devices::EmptyFile);
    assert_eq!(room.unpack(&[archive(&items)], options).1, [Warning::DeviceReplaced]);
    assert!(room.destination().join("null").is_file());
}
