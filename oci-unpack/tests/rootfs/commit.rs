//! Whole images: media types, digests, and that nothing is committed before everything fits.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::{Arc, Mutex};

use oci_digest::{CancelToken, Descriptor, MediaType};
use oci_unpack::compression::Compression;
use oci_unpack::{Error, Event, UnpackOptions};

use super::image::{Image, PLAIN, compressed};
use super::layer::{archive, dir, file};
use super::{Mode, Room, message, tree};

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// Two layers; the upper one is what the tests damage.
fn image() -> Image {
    let mut image = Image::new();
    let lower = archive(&[dir("a/"), file("a/one", "1")]);
    let upper = archive(&[file("a/two", "2")]);
    image.add(GZIP, compressed(&lower, Compression::Gzip), &lower);
    image.add(ZSTD, compressed(&upper, Compression::Zstd), &upper);
    image
}

fn fails(what: &str, image: &Image, part: &str) -> Error {
    let [error, _, _] = Mode::EACH.map(|mode| {
        let room = Room::of(mode);
        let error = room.unpack_image(image, &UnpackOptions::default()).expect_err(what);
        assert!(message(&error).contains(part), "{what}, {mode:?}: {}", message(&error));
        assert!(!room.destination().exists(), "{what}, {mode:?}");
        room.check_neighbours(what);
        error
    });
    error
}

/// Rows 135 and 143.
#[test]
fn media_types() {
    let room = Room::new();
    let mut all = Image::new();
    for (number, (media_type, compression)) in [
        (PLAIN, Compression::None),
        (GZIP, Compression::Gzip),
        (ZSTD, Compression::Zstd),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar", Compression::None),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Compression::Gzip),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", Compression::Gzip),
        ("application/vnd.docker.image.rootfs.diff.tar.zstd", Compression::Zstd),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Compression::Gzip),
    ]
    .into_iter()
    .enumerate()
    {
        let layer = archive(&[file(format!("f{number}"), media_type)]);
        all.add(media_type, compressed(&layer, compression), &layer);
    }
    all.config_type = "application/vnd.docker.container.image.v1+json".into();
    let report = all.unpack(&room.destination(), &UnpackOptions::default().strict(true)).unwrap();
    assert_eq!((report.layers.len(), report.entries(), report.warnings), (8, 8, 0));
    assert_eq!(fs::read_dir(room.destination()).unwrap().count(), 8);

    let mut unknown = image();
    let old = unknown.layers[1].clone();
    unknown.layers[1] =
        Descriptor::new(MediaType::from("application/x-unheard-of"), old.size(), old.digest().clone());
    fails("unknown layer type", &unknown, "\"/layers/1/mediaType\": application/x-unheard-of");
    let mut artifact = image();
    artifact.config_type = "application/vnd.oci.empty.v1+json".into();
    fails("not an image", &artifact, "/config/mediaType");
    let mut other = image();
    other.os = "windows".into();
    fails("not linux", &other, "windows");
}

/// Row 141.
#[test]
fn compression_goes_by_the_bytes() {
    let layer = archive(&[file("f", "f")]);
    for (media_type, compression) in [
        (GZIP, Compression::None),
        (GZIP, Compression::Zstd),
        (PLAIN, Compression::Gzip),
        (ZSTD, Compression::Gzip),
    ] {
        let mut image = Image::new();
        image.add(media_type, compressed(&layer, compression), &layer);
        let room = Room::new();
        let report = image.unpack(&room.destination(), &UnpackOptions::default()).unwrap();
        assert_eq!(report.warnings, 1);
        let room = Room::new();
        let error = image.unpack(&room.destination(), &UnpackOptions::default().strict(true)).unwrap_err();
        assert!(matches!(&error, Error::Layer { source, .. } if matches!(**source, Error::Strict { .. })));
        room.check_neighbours("row 141");
    }
}

/// Row 144.
#[test]
fn what_does_not_fit_is_refused() {
    let good = image();
    let digest = good.layers[1].digest().to_string();

    let mut wrong = good.clone();
    wrong.diff_ids[1] = wrong.diff_ids[0].clone();
    assert!(matches!(
        fails("diffID", &wrong, "layer 1: the uncompressed layer"),
        Error::Layer { index: 1, .. }
    ));

    let mut wrong = good.clone();
    wrong.diff_ids.pop();
    fails("fewer diffIDs", &wrong, "1 diffIDs for 2 layers");
    wrong.diff_ids = vec!["nonsense".into(); 2];
    fails("no diffIDs", &wrong, "/rootfs/diff_ids/0");

    let mut wrong = good.clone();
    wrong.blobs.remove(&digest);
    assert!(fails("missing blob", &wrong, "not found").is_not_found());

    let mut wrong = good.clone();
    let blob = wrong.blobs.get_mut(&digest).unwrap();
    *blob.last_mut().unwrap() ^= 1;
    fails("damaged blob", &wrong, "layer 1");

    // The same uncompressed bytes in other compressed ones: only the blob's digest tells.
    let mut wrong = good.clone();
    let upper = archive(&[file("a/two", "2")]);
    let size = wrong.blobs[&digest].len();
    let mut other = compressed(&upper, Compression::Gzip);
    other.resize(size.max(other.len()), 0);
    let descriptor = wrong.layers[1].clone();
    wrong.layers[1] =
        Descriptor::new(descriptor.media_type().clone(), other.len() as u64, descriptor.digest().clone());
    wrong.blobs.insert(digest.clone(), other);
    fails("another blob of the same content", &wrong, "digest mismatch");

    let mut wrong = good.clone();
    wrong.blobs.get_mut(&digest).unwrap().push(0);
    fails("too long", &wrong, "size mismatch");
    let blob = wrong.blobs.get_mut(&digest).unwrap();
    blob.truncate(blob.len() - 10);
    fails("cut", &wrong, "layer 1");
}

/// Rows 134 and 130: at every place a layer can be cut, once with the digest of what is left of it, once with that of
/// the whole.
#[test]
fn cut_layers() {
    let first = file("long".repeat(40), "content");
    let whole = archive(&[first.clone(), file("b", "b")]);
    let (second, end) = (first.bytes().len(), whole.len() - 1024);
    for cut in (0..whole.len()).step_by(64) {
        let what = format!("cut at {cut}");
        let mut image = Image::new();
        image.add(PLAIN, whole[..cut].to_vec(), &whole);
        fails(&what, &image, "layer 0");
        let mut image = Image::new();
        image.add(PLAIN, whole[..cut].to_vec(), &whole[..cut]);
        // Between entries, in the padding of a file, in the end mark.
        let padding = |end: usize| end - 512 + 64..=end;
        if cut == 0 || padding(second).contains(&cut) || padding(end).contains(&cut) || cut >= end {
            let room = Room::new();
            image.unpack(&room.destination(), &UnpackOptions::default()).expect(&what);
            let names = fs::read_dir(room.destination()).unwrap().count();
            assert_eq!(names, usize::from(cut >= second - 448) + usize::from(cut >= end - 448), "{what}");
        } else {
            fails(&what, &image, ": ends ");
        }
    }
}

#[test]
fn an_image_without_layers_is_an_empty_root() {
    for mode in Mode::EACH {
        let room = Room::of(mode);
        room.unpack_image(&Image::new(), &UnpackOptions::default()).unwrap();
        assert_eq!(fs::read_dir(room.destination()).unwrap().count(), 0);
        room.check_neighbours("no layers");
    }
}

#[test]
fn destinations() {
    let good = image();
    let options = UnpackOptions::default();
    let unpack = |room: &Room| good.unpack(&room.destination(), &options);
    let refused = |room: &Room, part: &str| {
        let error = unpack(room).unwrap_err();
        assert!(matches!(error, Error::Destination { .. }), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
        room.check_neighbours(part);
    };

    let room = Room::new();
    fs::create_dir(room.destination()).unwrap();
    unpack(&room).unwrap();
    assert!(room.destination().join("a/two").is_file(), "an empty directory is replaced");
    room.check_neighbours("empty destination");
    refused(&room, "not empty");
    assert!(room.destination().join("a/two").is_file(), "and keeps what it had");

    let room = Room::new();
    fs::write(room.destination(), "a file").unwrap();
    refused(&room, "not a directory");
    assert_eq!(fs::read(room.destination()).unwrap(), b"a file");

    let room = Room::new();
    fs::create_dir(room.path().join("canary/real")).unwrap();
    symlink("canary/real", room.destination()).unwrap();
    unpack(&room).unwrap();
    assert!(room.path().join("canary/real/a/two").is_file(), "a link to an empty directory names it");
    assert!(room.destination().is_symlink());

    let room = Room::new();
    let error = good.unpack(&room.path().join("none/root"), &options).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
}

/// What a parent gives to what is made in it stays outside: its sgid bit, its default ACL, the umask.
#[test]
fn nothing_is_inherited() {
    let room = Room::new();
    let parent = room.path().join("canary/parent");
    fs::create_dir(&parent).unwrap();
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o2777)).unwrap();
    // Version 2; user::rwx, user:12345:rwx, group::rwx, mask::rwx, other::rwx.
    let mut acl = vec![2, 0, 0, 0];
    for (tag, id) in [(1u16, u32::MAX), (2, 12345), (4, u32::MAX), (16, u32::MAX), (32, u32::MAX)] {
        acl.extend(tag.to_le_bytes());
        acl.extend(7u16.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    let flags = rustix::fs::XattrFlags::empty();
    if let Err(e) = rustix::fs::setxattr(&parent, "system.posix_acl_default", &acl, flags) {
        eprintln!("SKIP nothing_is_inherited: needs a file system with ACLs ({e})");
        return;
    }
    let destination = parent.join("root");
    let image = Image::plain(&[archive(&[dir("d/"), file("d/f", "f"), file("i/f", "f")])]);
    image.unpack(&destination, &UnpackOptions::default()).unwrap();
    assert_eq!(
        tree::show(&destination, super::is_root()),
        "d/\nd/f =f\ni/ @0\ni/f =f",
        "no ACL, no sgid bit, no other modes"
    );
    assert_eq!(destination.metadata().unwrap().gid(), rustix::process::getegid().as_raw());
}

#[test]
fn events_come_in_order() {
    for mode in Mode::EACH {
        let room = Room::of(mode);
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&events);
        let options =
            UnpackOptions::default().observer(move |event| heard.lock().unwrap().push(event.clone()));
        let mut image = image();
        let many: Vec<_> = (0..2500).map(|i| file(format!("many/{i}"), "x")).collect();
        image.add(PLAIN, archive(&many), &archive(&many));
        let report = room.unpack_image(&image, &options).unwrap();
        assert_eq!((report.entries(), report.bytes()), (2503, 2502));
        assert_eq!(
            *events.lock().unwrap(),
            [
                Event::LayerStarted { layer: 0 },
                Event::LayerDone { layer: 0, entries: 2, bytes: 1 },
                Event::LayerStarted { layer: 1 },
                Event::LayerDone { layer: 1, entries: 1, bytes: 1 },
                Event::LayerStarted { layer: 2 },
                Event::Progress { layer: 2, entries: 1003, bytes: 1002 },
                Event::Progress { layer: 2, entries: 2003, bytes: 2002 },
                Event::LayerDone { layer: 2, entries: 2500, bytes: 2500 },
            ]
        );
    }
}

#[test]
fn cancelled() {
    for mode in Mode::EACH {
        let room = Room::of(mode);
        let token = CancelToken::new();
        let raise = token.clone();
        let options = UnpackOptions::default().cancel(token).observer(move |event| {
            if matches!(event, Event::LayerDone { layer: 0, .. }) {
                raise.cancel();
            }
        });
        let error = room.unpack_image(&image(), &options).unwrap_err();
        assert!(error.is_cancelled(), "{error:?}");
        assert!(!room.destination().exists());
        room.check_neighbours("cancelled");
    }
}

#[test]
fn a_panic_leaves_nothing() {
    for mode in Mode::EACH {
        let room = Room::of(mode);
        let options = UnpackOptions::default().observer(|event| {
            assert!(!matches!(event, Event::LayerStarted { layer: 1 }), "the observer's own trouble");
        });
        let result =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| room.unpack_image(&image(), &options)));
        assert!(result.is_err());
        assert!(!room.destination().exists());
        room.check_neighbours("panic");
    }
}

/// The umask is a property of a process, so that other processes run some of these tests under others.
#[test]
fn the_umask_means_nothing() {
    let this = std::env::current_exe().unwrap();
    for umask in ["0000", "0027", "0077", "0177", "0777"] {
        if umask > "0077" && !super::is_root() {
            eprintln!(
                "SKIP the_umask_means_nothing under {umask}: needs root, to make the test's own folders"
            );
            continue;
        }
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"])
            .arg(&this)
            .args([
                "--exact",
                "types::directories",
                "types::parents",
                "attributes::modes",
                "commit::destinations",
            ])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("4 passed"), "umask {umask}: {text}");
    }
}
