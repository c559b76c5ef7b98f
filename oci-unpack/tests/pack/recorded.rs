//! An ordinary user's tree and back: what an unpacking recorded in attributes is in the layer that is made of it.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use oci_unpack::compression::Compression;
use oci_unpack::diff;
use oci_unpack::framing::{Entry, EntryKind, Timestamp};
use oci_unpack::pack::{LayerWriter, Owners, PackEvent, PackOptions, PackedLayer, pack, pack_observed};
use oci_unpack::{Error, Ownership, Rootfs, UnpackOptions};
use rustix::fs::XattrFlags;

use crate::peers::{is_there, umoci_unpack, write_layout};
use crate::{archive, entries, text};

fn node(path: &str, kind: EntryKind, mode: u32, uid: u32, gid: u32) -> Entry {
    let mut entry = Entry::new(path, kind);
    (entry.mode, entry.uid, entry.gid) = (mode, uid, gid);
    entry.mtime = Timestamp { seconds: 1000, nanos: 5 };
    if kind == EntryKind::Symlink {
        entry.link = b"target".to_vec();
    }
    entry
}

fn hard(path: &str, target: &str, mode: u32, uid: u32, gid: u32) -> Entry {
    let mut entry = node(path, EntryKind::HardLink, mode, uid, gid);
    entry.link = target.into();
    entry
}

/// Files and directories with owners, in the order of an archive.
fn plain() -> Vec<(Entry, &'static str)> {
    use EntryKind::{Directory, Regular, Symlink};
    let mut attributed = node("a/f", Regular, 0o644, 4_000_000_000, 65_534);
    attributed.xattrs = vec![(b"user.a".to_vec(), b"1".to_vec()), (b"user.z".to_vec(), b"".to_vec())];
    vec![
        (node("./", Directory, 0o755, 0, 0), ""),
        (node("a/", Directory, 0o3755, 1000, 1000), ""),
        (attributed, "content"),
        (node("a/group", Regular, 0o640, 0, 42), ""),
        (node("a/suid", Regular, 0o6755, 33, 0), "suid"),
        (node("l", Symlink, 0o777, 0, 0), ""),
        (node("root", Regular, 0o644, 0, 0), "root"),
    ]
}

fn layer(nodes: &[(Entry, &str)]) -> (Vec<u8>, PackedLayer) {
    let options = PackOptions::default().compression(Compression::None);
    let mut writer = LayerWriter::new(Vec::new(), &options).unwrap();
    for (entry, content) in nodes {
        let mut entry = entry.clone();
        entry.size = content.len() as u64;
        writer.add(entry, content.as_bytes()).unwrap();
    }
    writer.finish().unwrap()
}

fn unpack(layer: &[u8], folder: &Path, ownership: Ownership) -> u64 {
    let options = UnpackOptions::default().ownership(ownership);
    let mut rootfs = Rootfs::open(folder, &options).unwrap();
    rootfs.apply(layer).unwrap();
    rootfs.finish().unwrap().warnings
}

fn options(owners: Owners) -> PackOptions {
    PackOptions::default().compression(Compression::None).owners(owners).nanoseconds(true).root_entry(true)
}

/// What comes out is what went in, byte for byte.
fn round_trip(nodes: &[(Entry, &str)], ownership: Ownership, owners: Owners) {
    let folder = tempfile::tempdir().unwrap();
    let (before, _) = layer(nodes);
    assert_eq!(unpack(&before, folder.path(), ownership), 0, "nothing is lost");
    let (after, packed) = pack(folder.path(), Vec::new(), &options(owners)).unwrap();
    let (before, after) = (entries(&before), entries(&archive(&after, &packed)));
    let names = |entries: &[(Entry, Vec<u8>)]| -> Vec<String> {
        entries.iter().map(|(entry, _)| text(&entry.path)).collect()
    };
    assert_eq!(names(&before), names(&after));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after, "{ownership:?}");
    }
}

#[test]
fn rootlesscontainers() {
    round_trip(&plain(), Ownership::RootlessContainers, Owners::RootlessContainers);
}

#[test]
fn override_stat() {
    use EntryKind::{BlockDevice, CharDevice, Directory, Fifo, Regular};
    let mut nodes = plain();
    nodes.extend([
        (node("a/closed/", Directory, 0, 7, 7), ""),
        (node("a/closed/none", Regular, 0, 7, 7), "nobody may read this"),
        (node("a/disk", BlockDevice { major: 8, minor: 17 }, 0o4660, 0, 6), ""),
        (node("a/null", CharDevice { major: 1, minor: 3 }, 0o666, 0, 5), ""),
        (hard("a/null2", "a/null", 0o666, 0, 5), ""),
        (node("a/pipe", Fifo, 0o600, 9, 9), ""),
        (hard("a/suid2", "a/suid", 0o6755, 33, 0), ""),
    ]);
    nodes.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    round_trip(&nodes, Ownership::OverrideStat, Owners::OverrideStat);
}

/// umoci's rootless trees and ours are the same, so that each can pack what the other unpacked.
#[test]
fn umoci_rootless() {
    if !is_there("umoci") {
        eprintln!("SKIP umoci_rootless: needs umoci");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    let (blob, packed) = layer(&plain());
    write_layout(&dir.path().join("layout"), &blob, &packed);
    umoci_unpack(&dir.path().join("layout"), &theirs, true);
    fs::create_dir(&ours).unwrap();
    unpack(&blob, &ours, Ownership::RootlessContainers);
    for (entry, _) in plain() {
        let record = |tree: &Path| {
            let mut value = [0; 100];
            let path = tree.join(text(&entry.path));
            let len = rustix::fs::lgetxattr(&path, "user.rootlesscontainers", &mut value[..]);
            (len.map(|len| value[..len].to_vec()), path.symlink_metadata().unwrap().mode())
        };
        assert_eq!(record(&ours), record(&theirs), "{}", text(&entry.path));
    }
    let options = options(Owners::RootlessContainers);
    let (after, packed) = pack(&theirs, Vec::new(), &options).unwrap();
    let owners = |entries: Vec<(Entry, Vec<u8>)>| -> Vec<_> {
        entries.into_iter().map(|(e, content)| (e.path, e.kind, e.mode, e.uid, e.gid, content)).collect()
    };
    assert_eq!(owners(entries(&archive(&after, &packed))), owners(entries(&blob)));
}

/// fuse-overlayfs shows the owners and modes of the image. Of devices old releases know nothing.
#[test]
fn fuse_overlayfs() {
    let needs = |what: &str| eprintln!("SKIP fuse_overlayfs: needs {what}");
    if !is_there("fuse-overlayfs") || !is_there("unshare") || !Path::new("/dev/fuse").exists() {
        return needs("fuse-overlayfs and a kernel with FUSE");
    }
    if !rustix::process::geteuid().is_root() {
        return needs("root");
    }
    let dir = tempfile::tempdir().unwrap();
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let (blob, _) = layer(&plain());
    unpack(&blob, &dir.path().join("lower"), Ownership::OverrideStat);
    let names: Vec<String> = plain().iter().map(|(entry, _)| text(&entry.path)).collect();
    // The mount is seen by nobody else, and ends with the shell.
    let script = "fuse-overlayfs -o lowerdir=lower,upperdir=upper,workdir=work merged >&2 && cd merged && \
                  stat -c '%u:%g %a %F' -- \"$@\"; cd ..; umount merged";
    let output = Command::new("timeout")
        .args(["60", "unshare", "-m", "sh", "-c", script, "sh"])
        .args(&names)
        .current_dir(dir.path())
        .output()
        .unwrap();
    let error = text(&output.stderr);
    if error.contains("cannot mount") || error.contains("fusermount") {
        return needs("fuse-overlayfs and a kernel with FUSE");
    }
    let shown: Vec<String> = text(&output.stdout).lines().map(String::from).collect();
    // Links have no record, and the owner is whoever fuse-overlayfs takes for nobody.
    let expected = plain().into_iter().map(|(entry, content)| {
        let kind = match entry.kind {
            EntryKind::Directory => "directory",
            _ if content.is_empty() => "regular empty file",
            _ => "regular file",
        };
        (entry.kind, format!("{}:{} {:o} {kind}", entry.uid, entry.gid, entry.mode))
    });
    for (index, (kind, expected)) in expected.enumerate() {
        if kind != EntryKind::Symlink {
            assert_eq!(shown.get(index), Some(&expected), "{}: {error}", names[index]);
        }
    }
}

/// What was changed in such a tree becomes a layer with the owners of the image.
#[test]
fn changes_of_a_recorded_tree() {
    let dir = tempfile::tempdir().unwrap();
    let (blob, _) = layer(&plain());
    let ownership = UnpackOptions::default().ownership(Ownership::OverrideStat).snapshot(true);
    let mut rootfs = Rootfs::open(dir.path(), &ownership).unwrap();
    rootfs.apply(&blob[..]).unwrap();
    let before = rootfs.finish().unwrap().snapshot.unwrap();
    let options = options(Owners::OverrideStat).root_entry(false);
    assert_eq!(diff::since(&before, dir.path(), &options).unwrap().changes().len(), 0);

    fs::write(dir.path().join("a/suid"), "written anew").unwrap();
    let record = |path: &str, value: &[u8]| {
        rustix::fs::setxattr(dir.path().join(path), OVERRIDE, value, XattrFlags::empty()).unwrap();
    };
    record("a/group", b"8:9:0600:file");
    fs::write(dir.path().join("new"), "").unwrap();
    record("new", b"0:5:0666:char-1-3");
    let (blob, packed) = diff::since(&before, dir.path(), &options).unwrap().write(Vec::new()).unwrap();
    let changed: Vec<_> = entries(&archive(&blob, &packed))
        .into_iter()
        .filter(|(e, _)| e.kind != EntryKind::Directory)
        .map(|(e, content)| (text(&e.path), e.kind, e.uid, e.gid, e.mode, text(&content)))
        .collect();
    let file = EntryKind::Regular;
    let null = EntryKind::CharDevice { major: 1, minor: 3 };
    assert_eq!(
        changed,
        [
            ("a/group".into(), file, 8, 9, 0o600, String::new()),
            ("a/suid".into(), file, 33, 0, 0o6755, "written anew".into()),
            ("new".into(), null, 0, 5, 0o666, String::new()),
        ]
    );
}

/// A record by hand, in a folder of one file.
fn recorded(name: &str, value: &str, content: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(&path, content).unwrap();
    rustix::fs::setxattr(&path, name, value.as_bytes(), XattrFlags::empty()).unwrap();
    folder
}

const OVERRIDE: &str = "user.containers.override_stat";

#[test]
fn what_other_tools_record() {
    for (name, value, kind, owner, mode) in [
        // Without a type, as older writers have it, and under fuse-overlayfs' own name.
        (OVERRIDE, "5:6:4711", EntryKind::Regular, (5, 6), 0o4711),
        (OVERRIDE, "5:6:0100640:file", EntryKind::Regular, (5, 6), 0o640),
        ("user.fuseoverlayfs.override_stat", "5:6:600", EntryKind::Regular, (5, 6), 0o600),
        (OVERRIDE, "0:0:666:char-10-229", EntryKind::CharDevice { major: 10, minor: 229 }, (0, 0), 0o666),
    ] {
        let folder = recorded(name, value, "");
        let options = PackOptions::default().owners(Owners::OverrideStat);
        let (blob, packed) = pack(folder.path(), Vec::new(), &options).unwrap();
        let entries = entries(&archive(&blob, &packed));
        let entry = &entries[0].0;
        assert_eq!((entry.kind, (entry.uid, entry.gid), entry.mode), (kind, owner, mode), "{value}");
        assert_eq!(entry.xattrs, [], "{value}");
    }
}

#[test]
fn records_that_cannot_be_true() {
    for (value, content, part) in [
        ("nonsense", "", "not understood"),
        ("0:0:644:dir", "", "something else"),
        ("0:0:777:symlink", "", "something else"),
        ("0:0:644:char-1-3", "content", "has content"),
        ("0:0:644:char-4096-3", "", "no such device"),
    ] {
        let folder = recorded(OVERRIDE, value, content);
        let options = PackOptions::default().owners(Owners::OverrideStat);
        let error = pack(folder.path(), Vec::new(), &options).expect_err(value);
        assert!(
            matches!(&error, Error::Entry { path, reason } if path == "f" && reason.contains(part)),
            "{error:?}"
        );
    }
    let folder = recorded("user.rootlesscontainers", "nonsense", "");
    let options = PackOptions::default().owners(Owners::RootlessContainers);
    assert!(pack(folder.path(), Vec::new(), &options).unwrap_err().to_string().contains("not understood"));
}

/// Whoever does not ask for them gets the attributes as they are.
#[test]
fn only_when_asked() {
    let folder = recorded(OVERRIDE, "5:6:4711:file", "");
    let options = PackOptions::default().owners(Owners::Fixed { uid: 1, gid: 2 });
    let (blob, packed) = pack(folder.path(), Vec::new(), &options).unwrap();
    let entries = entries(&archive(&blob, &packed));
    assert_eq!((entries[0].0.uid, entries[0].0.xattrs.len()), (1, 1));
}

#[test]
fn sockets_and_files_of_later() {
    let folder = recorded(OVERRIDE, "0:0:755:socket", "");
    fs::hard_link(folder.path().join("f"), folder.path().join("g")).unwrap();
    let _socket = UnixListener::bind(folder.path().join("real")).unwrap();
    fs::write(folder.path().join("later"), "made after the unpacking").unwrap();
    symlink("later", folder.path().join("s")).unwrap();
    let mut skipped = Vec::new();
    let options = PackOptions::default().owners(Owners::OverrideStat);
    let (blob, packed) =
        pack_observed(folder.path(), Vec::new(), &options, &mut |event| skipped.push(event)).unwrap();
    let socket = |path: &str| PackEvent::SocketSkipped { path: path.into() };
    assert_eq!(skipped, [socket("f"), socket("g"), socket("real")]);
    let entries = entries(&archive(&blob, &packed));
    let owners: Vec<_> = entries.iter().map(|(e, _)| (text(&e.path), e.uid, e.gid)).collect();
    assert_eq!(owners, [("later".into(), 0, 0), ("s".into(), 0, 0)]);
}
