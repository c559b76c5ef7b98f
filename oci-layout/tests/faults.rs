//! What goes wrong: wrong bytes, cut-off readers, full disks, read-only folders, foreign writers, odd indexes.
//!
//! The tests that need another user or a small file system run this binary again inside one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use oci_digest::content::{Content, Location, Sink, Source, SourceExt};
use oci_digest::{Algorithm, Descriptor, MediaType, digest_of};
use oci_layout::fsck::{FsckOptions, Problem};
use oci_layout::gc::GcOptions;
use oci_layout::{Error, ImageLayout, LayoutOptions};
use serde_json::{Value, json};

const ROLE: &str = "OCI_LAYOUT_TEST_ROLE";
const PATH: &str = "OCI_LAYOUT_TEST_PATH";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

fn describe(media_type: MediaType, bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type, bytes.len() as u64, digest_of(Algorithm::Sha256, bytes))
}

/// All files of a layout but the lock.
fn files(layout: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![layout.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with(".oci-layout/lock") {
                found.push(path.strip_prefix(layout).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// Bytes that end in an error.
struct Fails<'a>(&'a [u8], ErrorKind);

impl Content for Fails<'_> {
    fn open(&self, offset: u64) -> oci_digest::Result<Box<dyn Read + Send + '_>> {
        struct Failing(ErrorKind);
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
        }
        Ok(Box::new(self.0[usize::try_from(offset).unwrap()..].chain(Failing(self.1))))
    }
}

/// Bytes without end.
struct Endless;

impl Content for Endless {
    fn open(&self, _: u64) -> oci_digest::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(io::repeat(7)))
    }
}

#[test]
fn wrong_content_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let empty = files(layout.path());
    for size in [10, (1 << 20) + 1] {
        let bytes = vec![1; size];
        let wrong = vec![2; size];
        let longer = vec![1; size + 1];
        let blob = describe(MediaType::ImageLayer, &bytes);
        let cases: [(&str, &dyn Content); 5] = [
            ("other bytes", &wrong.as_slice()),
            ("too few", &&bytes[1..]),
            ("too many", &longer.as_slice()),
            ("no end", &Endless),
            ("a failing reader", &Fails(&bytes[1..], ErrorKind::PermissionDenied)),
        ];
        for (name, content) in cases {
            let error = oci_digest::Error::from(layout.ingest(&blob, content).unwrap_err());
            let fits = match name {
                "other bytes" => matches!(error, oci_digest::Error::DigestMismatch { .. }),
                "too few" => matches!(error, oci_digest::Error::SizeMismatch { more: false, .. }),
                "too many" | "no end" => matches!(error, oci_digest::Error::SizeMismatch { more: true, .. }),
                _ => matches!(error, oci_digest::Error::Io { .. }),
            };
            assert!(fits, "{name} of {size}: {error:?}");
            assert_eq!(files(layout.path()), empty, "{name} of {size}");
        }
    }
    // A reader that fails, and a writer that is dropped.
    assert!(layout.put(MediaType::ImageLayer, io::repeat(1).take(9 << 10).chain(FailingNow)).is_err());
    let mut writer = layout.writer(Algorithm::Sha256).unwrap();
    io::Write::write_all(&mut writer, &[0; 100]).unwrap();
    assert_eq!(writer.bytes(), 100);
    drop(writer);
    assert_eq!(files(layout.path()), empty);
    let unknown =
        "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8".parse::<oci_digest::Digest>();
    let unknown = Descriptor::new(MediaType::ImageLayer, 1, unknown.unwrap());
    assert!(matches!(
        oci_digest::Error::from(layout.ingest(&unknown, &&b"x"[..]).unwrap_err()),
        oci_digest::Error::UnsupportedAlgorithm { .. }
    ));
}

struct FailingNow;

impl Read for FailingNow {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::Other.into())
    }
}

#[test]
fn a_lost_connection_is_gone_on_from() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let bytes: Vec<u8> = (0..2_u32 << 20).map(|n| (n % 251) as u8).collect();
    let blob = describe(MediaType::ImageLayer, &bytes);
    let lost = Fails(&bytes[..1 << 20], ErrorKind::ConnectionReset);
    assert!(layout.ingest(&blob, &lost).unwrap_err().is_retryable());
    assert!(!layout.contains(&blob).unwrap());
    assert_eq!(files(layout.path()).len(), 3, "the partial file is kept");

    struct Rest<'a>(&'a [u8]);
    impl Content for Rest<'_> {
        fn open(&self, offset: u64) -> oci_digest::Result<Box<dyn Read + Send + '_>> {
            assert_eq!(offset, 1 << 20);
            Ok(Box::new(&self.0[1 << 20..]))
        }
    }
    layout.ingest(&blob, &Rest(&bytes)).unwrap();
    assert_eq!(layout.read(&blob, 4 << 20).unwrap(), bytes);
    assert_eq!(files(layout.path()).len(), 3, "and is the blob now");
}

#[test]
fn only_verified_files_are_adopted() {
    let scratch = tempfile::tempdir().unwrap();
    let from = ImageLayout::create(scratch.path().join("from")).unwrap();
    let bytes = vec![9; 100_000];
    let blob = from.put(MediaType::ImageLayer, &bytes[..]).unwrap();
    let location = from.location(&blob).unwrap();
    let path = from.blob_path(blob.digest()).unwrap();

    let plain = ImageLayout::create(scratch.path().join("plain")).unwrap();
    let links = LayoutOptions::default().hard_links(true).create(scratch.path().join("links")).unwrap();
    if plain.adopt(&blob, &location).unwrap() {
        // A file system with reflinks: our own copy.
        assert_ne!(
            fs::metadata(plain.blob_path(blob.digest()).unwrap()).unwrap().ino(),
            fs::metadata(&path).unwrap().ino()
        );
        assert_eq!(plain.read(&blob, 1 << 20).unwrap(), bytes);
    } else {
        assert!(!plain.contains(&blob).unwrap());
    }
    assert!(links.adopt(&blob, &location).unwrap());
    assert_eq!(links.read(&blob, 1 << 20).unwrap(), bytes);
    assert!(links.adopt(&blob, &location).unwrap(), "what is there is adopted already");
    assert!(!links.adopt(&describe(MediaType::ImageLayer, b"x"), &missing(&from)).unwrap());

    // The right size, and wrong bytes.
    links.remove(blob.digest()).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, vec![8; bytes.len()]).unwrap();
    assert!(links.adopt(&blob, &location).is_err());
    fs::write(&path, b"short").unwrap();
    assert!(links.adopt(&blob, &location).is_err());
    assert!(!links.contains(&blob).unwrap());
}

fn missing(layout: &ImageLayout) -> Location {
    let blob = layout.put(MediaType::ImageLayer, &b"x"[..]).unwrap();
    let location = layout.location(&blob).unwrap();
    layout.remove(blob.digest()).unwrap();
    location
}

#[test]
fn a_foreign_writer_in_between_is_not_overwritten() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let path = layout.path().join("index.json");
    let mut calls = 0;
    layout
        .edit_index(|value| {
            calls += 1;
            if calls < 4 {
                // As skopeo does: read, change, write in place, without our lock.
                let mut theirs: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                theirs[format!("theirs{calls}")] = json!(true);
                fs::write(&path, theirs.to_string()).unwrap();
            }
            value["ours"] = json!(true);
            Ok(true)
        })
        .unwrap();
    let value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for key in ["theirs1", "theirs2", "theirs3", "ours"] {
        assert_eq!(value[key], true, "{key}");
    }
    assert_eq!(calls, 4);

    let mut n = 0;
    let always = layout.edit_index(|value| {
        n += 1;
        fs::write(&path, format!(r#"{{"n":{n}}}"#)).unwrap();
        value["ours"] = json!(true);
        Ok(true)
    });
    let error = always.unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }) && error.is_retryable());
    assert_eq!(fs::read_to_string(&path).unwrap(), format!(r#"{{"n":{n}}}"#));
    assert_eq!(files(layout.path()), ["index.json", "oci-layout"]);
}

#[test]
fn half_an_index_is_read_again() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    layout.tag(&describe(MediaType::ImageManifest, b"x"), "latest").unwrap();
    let path = layout.path().join("index.json");
    let whole = fs::read(&path).unwrap();
    // A writer that is held up for longer than a reader waits is no writer at that moment: then once more.
    let is_read = || {
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(5));
                fs::write(&path, &whole).unwrap();
            });
            layout.resolve("latest").is_ok()
        })
    };
    assert!((0..100).any(|_| is_read()));
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(layout.resolve("latest"), Err(Error::Document { .. })));
}

#[test]
fn an_index_of_100_000_entries() {
    const COUNT: usize = 100_000;
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let entries: Vec<Value> = (0..COUNT)
        .map(|n| {
            json!({
                "mediaType": MediaType::ImageManifest,
                "digest": format!("sha256:{n:064x}"),
                "size": n,
                "annotations": {REF_NAME: format!("tag-{n}"), "x": "y"},
            })
        })
        .collect();
    let index = json!({"schemaVersion": 2, "manifests": entries});
    fs::write(layout.path().join("index.json"), index.to_string()).unwrap();
    let layout = ImageLayout::open(layout.path()).unwrap();
    assert_eq!(layout.resolve(&format!("tag-{}", COUNT - 1)).unwrap().size(), COUNT as u64 - 1);
    layout.tag(&describe(MediaType::ImageManifest, b"x"), "tag-7").unwrap();
    layout.tag(&describe(MediaType::ImageManifest, b"x"), "one-more").unwrap();
    assert!(layout.untag("tag-8").unwrap());
    assert_eq!(layout.tags().unwrap().len(), COUNT);
    assert_eq!(layout.resolve("tag-7").unwrap().size(), 1);
}

#[test]
fn an_index_of_100_mib() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let index = layout.path().join("index.json");
    let filler = "x".repeat(1 << 20);
    let entry = |n: usize| {
        let blob = describe(MediaType::ImageManifest, n.to_string().as_bytes());
        let mut entry = json!(blob);
        entry["annotations"] = json!({REF_NAME: format!("tag-{n}"), "filler": filler});
        entry
    };
    let entries: Vec<Value> = (0..100).map(entry).collect();
    fs::write(&index, json!({"schemaVersion": 2, "manifests": entries}).to_string()).unwrap();
    let before = fs::metadata(&index).unwrap();
    assert!(before.len() > 100 << 20);

    // More than is read by default: each call says so, and none changes it.
    let too_large = |error: Error| {
        assert!(
            matches!(&error, Error::Limit { path, maximum, .. } if *path == index && *maximum == 64 << 20),
            "{error}"
        );
    };
    too_large(ImageLayout::open(layout.path()).unwrap_err());
    too_large(ImageLayout::open_or_create(layout.path()).unwrap_err());
    too_large(layout.resolve("tag-1").unwrap_err());
    too_large(layout.tags().unwrap_err());
    too_large(layout.untag("tag-1").unwrap_err());
    too_large(layout.tag(&describe(MediaType::ImageManifest, b"x"), "x").unwrap_err());
    too_large(layout.gc(&GcOptions::default()).unwrap_err());
    let report = layout.fsck(&FsckOptions::default()).unwrap();
    assert_eq!(report.of(Problem::Index).count(), 1);
    let after = fs::metadata(&index).unwrap();
    assert_eq!((before.ino(), before.len()), (after.ino(), after.len()));

    // Whoever trusts it raises the limit.
    let layout = LayoutOptions::default().max_index_bytes(200 << 20).open(layout.path()).unwrap();
    assert_eq!(layout.resolve("tag-99").unwrap(), {
        let mut last = describe(MediaType::ImageManifest, b"99");
        last.set_annotations(layout.resolve("tag-99").unwrap().annotations().clone());
        last
    });
    assert_eq!(layout.tags().unwrap().len(), 100);
}

#[test]
fn odd_indexes_end() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = LayoutOptions::default().max_depth(3).create(scratch.path().join("l")).unwrap();
    let index = |children: &[&Descriptor]| {
        let bytes = json!({"schemaVersion": 2, "manifests": children}).to_string().into_bytes();
        let descriptor = describe(MediaType::ImageIndex, &bytes);
        layout.publish(&descriptor, &bytes, &["x"]).unwrap();
        descriptor
    };
    // A manifest that does not say what it is: only an index that lists it knows.
    let bytes = b"{\"mute\":true}";
    let mute = describe(MediaType::ImageManifest, bytes);
    layout.ingest(&mute, &&bytes[..]).unwrap();
    let name = mute.digest().to_string();
    let resolved = || layout.resolve(&name).unwrap().media_type().to_string();
    assert_eq!(resolved(), "application/octet-stream");
    let mut outer = index(&[&mute; 10_000]);
    for depth in 1..=5 {
        let found = resolved() == MediaType::ImageManifest.to_string();
        assert_eq!(found, depth <= 3, "depth {depth}");
        outer = index(&[&outer; 1_000]);
    }

    // An index that names itself cannot have its own digest, but somebody may have put one there.
    let fake = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    let text = json!({"schemaVersion": 2, "manifests": [
        {"mediaType": MediaType::ImageIndex, "digest": fake, "size": 218},
    ]});
    let text = format!("{text:<218}");
    fs::write(layout.path().join("blobs/sha256").join(fake.split_once(':').unwrap().1), &text).unwrap();
    layout
        .tag(&Descriptor::new(MediaType::ImageIndex, 218, fake.parse::<oci_digest::Digest>().unwrap()), "x")
        .unwrap();
    assert_eq!(resolved(), "application/octet-stream");
    assert!(layout.referrers(mute.digest(), None).unwrap().is_empty());
}

/// What a process in another place does; nothing in an ordinary run.
#[test]
fn in_a_role() {
    let (Ok(role), Some(path)) = (std::env::var(ROLE), std::env::var_os(PATH)) else { return };
    let path = Path::new(&path);
    match role.as_str() {
        "small" => on_a_small_file_system(path),
        "reader" => as_one_who_may_only_read(path),
        other => panic!("{other:?}"),
    }
}

fn in_role(mut command: Command, role: &str, path: &Path) -> io::Result<std::process::Output> {
    command.args(["--exact", "in_a_role", "--nocapture"]).env(ROLE, role).env(PATH, path).output()
}

#[test]
fn a_full_disk_leaves_what_was_there() {
    let scratch = tempfile::tempdir().unwrap();
    // A tmpfs of 2 MiB that only the child and its mount namespace ever see.
    let script = r#"mount -t tmpfs -o size=2m tmpfs "$OCI_LAYOUT_TEST_PATH" || exit 77; exec "$0" "$@""#;
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap());
    let output = match in_role(command, "small", scratch.path()) {
        Ok(output) => output,
        Err(_) => return eprintln!("SKIP a_full_disk_leaves_what_was_there: needs unshare(1)"),
    };
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) || text.contains("unshare:") {
        return eprintln!("SKIP a_full_disk_leaves_what_was_there: needs a mount namespace: {}", text.trim());
    }
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stdout));
}

fn on_a_small_file_system(path: &Path) {
    let layout = ImageLayout::create(path.join("l")).unwrap();
    let small = layout.put(MediaType::ImageManifest, &b"{}"[..]).unwrap();
    layout.tag(&small, "small").unwrap();
    let before = (files(layout.path()), fs::read(layout.path().join("index.json")).unwrap());
    let unchanged = || (files(layout.path()), fs::read(layout.path().join("index.json")).unwrap()) == before;
    let is_full = |error: Error| match oci_digest::Error::from(error) {
        oci_digest::Error::Io { source, .. } => source.kind() == ErrorKind::StorageFull,
        _ => false,
    };

    let large = vec![3; 4 << 20];
    let blob = describe(MediaType::ImageLayer, &large);
    assert!(is_full(layout.ingest(&blob, &large.as_slice()).unwrap_err()));
    assert!(unchanged());
    assert!(is_full(layout.put(MediaType::ImageLayer, &large[..]).unwrap_err()));
    assert!(unchanged());

    // Not one page left: the index cannot be replaced, and stays.
    let filler = path.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    assert!(is_full(layout.tag(&small, "another").unwrap_err()));
    assert!(unchanged());
    assert_eq!(layout.tags().unwrap(), ["small"]);
    drop(file);
    fs::remove_file(&filler).unwrap();
    layout.tag(&small, "another").unwrap();
}

#[test]
fn a_layout_that_may_only_be_read() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let blob = layout.put(MediaType::ImageManifest, &b"{}"[..]).unwrap();
    layout.tag(&blob, "latest").unwrap();
    let before = files(layout.path());
    let mut command = Command::new(std::env::current_exe().unwrap());
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        command.uid(65534).gid(65534);
    }
    for folder in ["", "blobs", "blobs/sha256", ".oci-layout"] {
        fs::set_permissions(layout.path().join(folder), fs::Permissions::from_mode(0o555)).unwrap();
    }
    let output = in_role(command, "reader", layout.path());
    for folder in ["", "blobs", "blobs/sha256", ".oci-layout"] {
        fs::set_permissions(layout.path().join(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
    match output {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            return eprintln!("SKIP a_layout_that_may_only_be_read: needs an executable for others: {error}");
        }
    }
    assert_eq!(files(layout.path()), before);
}

fn as_one_who_may_only_read(path: &Path) {
    let layout = ImageLayout::open_or_create(path).unwrap();
    let blob = layout.resolve("latest").unwrap();
    assert_eq!(layout.read(&blob, 9).unwrap(), b"{}");
    assert!(layout.contains(&blob).unwrap());
    layout.ingest(&blob, &&b"{}"[..]).unwrap();
    let is_denied = |error: Error| match error {
        Error::Io { source, .. } => source.kind() == ErrorKind::PermissionDenied,
        _ => false,
    };
    assert!(is_denied(layout.put(MediaType::ImageLayer, &b"x"[..]).unwrap_err()));
    assert!(is_denied(layout.tag(&blob, "other").unwrap_err()));
    assert!(is_denied(layout.untag("latest").unwrap_err()));
    assert!(is_denied(layout.remove(blob.digest()).unwrap_err()));
    assert_eq!(layout.tags().unwrap(), ["latest"]);
    assert!(is_denied(ImageLayout::create(path.join("new")).unwrap_err()));
}
