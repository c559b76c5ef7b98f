//! Layers out of folders.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use oci_unpack::Error;
use oci_unpack::compression::Compression;
use oci_unpack::framing::EntryKind;
use oci_unpack::pack::{IdRange, Owners, PackEvent, PackOptions, pack, pack_observed};
use rustix::fs::{CWD, Mode, XattrFlags};
use rustix::process::{getegid, geteuid};

use crate::{archive, entries, text};

/// A folder with one of everything an ordinary user can make.
pub(crate) fn tree(dir: &Path) {
    fs::create_dir_all(dir.join("d/empty")).unwrap();
    fs::write(dir.join("d/file"), "content").unwrap();
    fs::hard_link(dir.join("d/file"), dir.join("d/hard")).unwrap();
    fs::write(dir.join("d-"), "sorts before d/ as bytes, after it as a name").unwrap();
    fs::write(dir.join("nothing"), "").unwrap();
    fs::write(dir.join("grün"), "utf-8").unwrap();
    fs::write(dir.join("large"), vec![9; 700_001]).unwrap();
    symlink("d/file", dir.join("soft")).unwrap();
    symlink("/nowhere", dir.join("dangling")).unwrap();
    let long = dir.join("l".repeat(120)).join("m".repeat(140));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("n"), "deep").unwrap();
    rustix::fs::mkfifoat(CWD, dir.join("fifo"), Mode::from(0o640)).unwrap();
    let holes = File::create(dir.join("holes")).unwrap();
    holes.set_len(300_000).unwrap();
    fs::set_permissions(dir.join("large"), Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(dir.join("d/empty"), Permissions::from_mode(0o1777)).unwrap();
    set_time(&dir.join("large"), Duration::new(1_000_000_000, 123_456_789));
}

fn set_time(path: &Path, since: Duration) {
    let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + since);
    File::open(path).unwrap().set_times(times).unwrap();
}

#[test]
fn one_of_everything() {
    let dir = tempfile::tempdir().unwrap();
    tree(dir.path());
    let (blob, layer) = pack(dir.path(), Vec::new(), &PackOptions::default()).unwrap();
    let entries = entries(&archive(&blob, &layer));
    let long = "l".repeat(120);
    let names: Vec<_> = entries.iter().map(|(entry, _)| text(&entry.path)).collect();
    let expected = [
        "d/",
        "d/empty/",
        "d/file",
        "d/hard",
        "d-",
        "dangling",
        "fifo",
        "grün",
        "holes",
        "large",
        &format!("{long}/"),
        &format!("{long}/{}/", "m".repeat(140)),
        &format!("{long}/{}/n", "m".repeat(140)),
        "nothing",
        "soft",
    ];
    assert_eq!(names, expected);
    assert_eq!(layer.entries, expected.len() as u64);
    let find = |name: &str| entries.iter().find(|(entry, _)| entry.path == name.as_bytes()).unwrap();
    assert_eq!(find("d/file").1, b"content");
    let hard = &find("d/hard").0;
    assert_eq!((hard.kind, &hard.link[..]), (EntryKind::HardLink, &b"d/file"[..]));
    assert_eq!((find("soft").0.kind, &find("soft").0.link[..]), (EntryKind::Symlink, &b"d/file"[..]));
    assert_eq!(find("dangling").0.link, b"/nowhere");
    assert_eq!((find("fifo").0.kind, find("d/empty/").0.mode), (EntryKind::Fifo, 0o1777));
    assert_eq!((find("holes").1.len(), &find("holes").0.segments), (300_000, &None));
    let large = &find("large").0;
    assert_eq!((large.size, large.mode), (700_001, 0o4751));
    assert_eq!((large.mtime.seconds, large.mtime.nanos), (1_000_000_000, 0));
    assert_eq!((large.uid, large.gid), (geteuid().as_raw(), getegid().as_raw()));
}

#[test]
fn the_same_tree_is_the_same_layer() {
    let dir = tempfile::tempdir().unwrap();
    let copies = ["one", "two/deeper"].map(|name| dir.path().join(name));
    for (i, copy) in copies.iter().enumerate() {
        fs::create_dir_all(copy).unwrap();
        if i == 1 {
            // Made in another order, which directories show.
            fs::write(copy.join("soft"), "").unwrap();
            fs::remove_file(copy.join("soft")).unwrap();
        }
        tree(copy);
    }
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let options = PackOptions::default().compression(compression).latest_mtime(900_000_000);
        let [one, two] = copies.each_ref().map(|copy| pack(copy, Vec::new(), &options).unwrap());
        assert!(one == two, "{compression}");
        let entries = entries(&archive(&one.0, &one.1));
        assert!(entries.iter().all(|(entry, _)| entry.mtime.seconds == 900_000_000));
    }
}

#[test]
fn options() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), "").unwrap();
    set_time(&dir.path().join("f"), Duration::new(5, 250_000_000));
    fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
    let packed = |options: PackOptions| {
        let (blob, layer) = pack(dir.path(), Vec::new(), &options).unwrap();
        entries(&archive(&blob, &layer)).into_iter().map(|(entry, _)| entry).collect::<Vec<_>>()
    };
    assert_eq!(packed(PackOptions::default().nanoseconds(true))[0].mtime.nanos, 250_000_000);
    let clamped = packed(PackOptions::default().nanoseconds(true).latest_mtime(5));
    assert_eq!((clamped[0].mtime.seconds, clamped[0].mtime.nanos), (5, 0));
    let fixed = packed(PackOptions::default().owners(Owners::Fixed { uid: 3, gid: 4 }));
    assert_eq!((fixed[0].uid, fixed[0].gid), (3, 4));
    let rooted = packed(PackOptions::default().root_entry(true));
    assert_eq!((text(&rooted[0].path), rooted[0].mode, rooted.len()), ("./".into(), 0o711, 2));

    let range = |host| vec![IdRange { container: 0, host, size: 1 }];
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let mapped = packed(PackOptions::default().owners(Owners::Mapped { uids: range(uid), gids: range(gid) }));
    assert_eq!((mapped[0].uid, mapped[0].gid), (0, 0));
    let owners = Owners::Mapped { uids: range(uid), gids: vec![] };
    let error = pack(dir.path(), Vec::new(), &PackOptions::default().owners(owners)).unwrap_err();
    assert_eq!(error.to_string(), format!("entry \"f\": gid {gid} is not mapped"));
}

#[test]
fn what_a_layer_cannot_hold() {
    let dir = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let mut events = Vec::new();
    let options = PackOptions::default();
    let (_, layer) =
        pack_observed(dir.path(), Vec::new(), &options, &mut |event| events.push(event)).unwrap();
    assert_eq!((layer.entries, events), (0, vec![PackEvent::SocketSkipped { path: "socket".into() }]));

    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/.wh.x"), "").unwrap();
    let error = pack(dir.path(), Vec::new(), &options).unwrap_err();
    assert!(matches!(&error, Error::Entry { path, .. } if path == "d/.wh.x"), "{error:?}");
}

#[test]
fn xattrs() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    fs::write(&file, "").unwrap();
    let set = |name: &str, value: &[u8]| rustix::fs::setxattr(&file, name, value, XattrFlags::empty());
    if set("user.kept", b"a\0b").is_err() || set("user.empty", b"").is_err() {
        eprintln!("SKIP xattrs: needs a temporary folder with user.* attributes");
        return;
    }
    set("user.overlay.opaque", b"y").unwrap();
    let trusted = set("trusted.t", b"t").is_ok();
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let capable = set("security.capability", capability).is_ok();
    if !trusted || !capable {
        eprintln!("SKIP xattrs (trusted.* and security.capability): needs root");
    }
    let mut events = Vec::new();
    let packed = |options: &PackOptions, events: &mut Vec<PackEvent>| {
        let (blob, layer) =
            pack_observed(dir.path(), Vec::new(), options, &mut |event| events.push(event)).unwrap();
        entries(&archive(&blob, &layer)).remove(0).0.xattrs
    };
    let mut expected = vec![(b"user.empty".to_vec(), vec![]), (b"user.kept".to_vec(), b"a\0b".to_vec())];
    if capable {
        expected.insert(0, (b"security.capability".to_vec(), capability.to_vec()));
    }
    assert_eq!(packed(&PackOptions::default(), &mut events), expected);
    let skipped = |name: &str| PackEvent::XattrSkipped { path: "f".into(), name: name.into() };
    assert!(events.contains(&skipped("user.overlay.opaque")));
    assert_eq!(events.contains(&skipped("trusted.t")), trusted);
    if trusted {
        let kept = packed(&PackOptions::default().trusted_xattrs(true), &mut events);
        assert!(kept.contains(&(b"trusted.t".to_vec(), b"t".to_vec())));
    }
}

#[test]
fn devices() {
    let dir = tempfile::tempdir().unwrap();
    let device = rustix::fs::makedev(259, 70_000);
    let made = rustix::fs::mknodat(
        CWD,
        dir.path().join("c"),
        rustix::fs::FileType::CharacterDevice,
        Mode::from(0o600),
        device,
    );
    if made.is_err() {
        eprintln!("SKIP devices: needs root");
        return;
    }
    let (blob, layer) = pack(dir.path(), Vec::new(), &PackOptions::default()).unwrap();
    let entry = entries(&archive(&blob, &layer)).remove(0).0;
    assert_eq!(entry.kind, EntryKind::CharDevice { major: 259, minor: 70_000 });
}

#[test]
fn what_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let error = pack(&missing, Vec::new(), &PackOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("opening {}", missing.display()));
}

/// Images have such nodes, and their owner is who unpacked them.
#[test]
fn what_its_owner_may_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let (secret, closed, blind) =
        (dir.path().join("secret"), dir.path().join("closed"), dir.path().join("x"));
    fs::write(&secret, "s").unwrap();
    fs::create_dir_all(closed.join("below")).unwrap();
    fs::create_dir_all(blind.join("below")).unwrap();
    for (path, mode) in [(&secret, 0o000), (&closed, 0o311), (&blind, 0o444)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let (blob, layer) = pack(dir.path(), Vec::new(), &PackOptions::default()).unwrap();
    let found: Vec<_> =
        entries(&archive(&blob, &layer)).iter().map(|(e, c)| (text(&e.path), e.mode, c.len())).collect();
    for (path, mode) in [(&secret, 0o000), (&closed, 0o311), (&blind, 0o444)] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, mode, "{}", path.display());
        fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    }
    let below = fs::metadata(closed.join("below")).unwrap().permissions().mode() & 0o7777;
    let expected = [
        ("closed/", 0o311, 0),
        ("closed/below/", below, 0),
        ("secret", 0o000, 1),
        ("x/", 0o444, 0),
        ("x/below/", below, 0),
    ];
    assert_eq!(found, expected.map(|(name, mode, len)| (name.to_owned(), mode, len)));
}

/// A file of the kernel's that has content but no size.
#[test]
fn a_file_that_is_not_as_long_as_it_says() {
    let error = pack("/proc/self/net", Vec::new(), &PackOptions::default()).unwrap_err();
    assert!(
        matches!(&error, Error::Entry { reason, .. } if reason.contains("longer than its size of 0")),
        "{error:?}"
    );
}
