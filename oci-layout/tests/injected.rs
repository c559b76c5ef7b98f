//! System calls that fail: each kind of call that a process makes while it puts, tags, untags and collects fails once,
//! the first time, the second, and so on, with an error of the disk. strace(1) makes them fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use oci_digest::{Algorithm, Descriptor, MediaType, digest_of};
use oci_layout::fsck::FsckOptions;
use oci_layout::gc::GcOptions;
use oci_layout::{Error, ImageLayout};

const ROLE: &str = "OCI_LAYOUT_TEST_ROLE";
const PATH: &str = "OCI_LAYOUT_TEST_PATH";
const HOUR: Duration = Duration::from_secs(3600);

fn manifest(text: &str) -> Vec<u8> {
    let config = r#"{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}"#;
    format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"annotations":{{"is":"{text}"}}}}"#)
        .into_bytes()
}

fn descriptor(text: &str) -> Descriptor {
    let bytes = manifest(text);
    let digest = digest_of(Algorithm::Sha256, &bytes);
    Descriptor::new(MediaType::ImageManifest, bytes.len() as u64, digest)
}

/// What is there before: a tag that stays, one that will go, and garbage of long ago.
fn prepare(path: &Path) {
    let layout = ImageLayout::create(path).unwrap();
    layout.put(MediaType::EmptyJSON, &b"{}"[..]).unwrap();
    for tag in ["stays", "goes"] {
        let put = layout.put(MediaType::ImageManifest, &*manifest(tag)).unwrap();
        layout.tag(&put, tag).unwrap();
    }
    let garbage = layout.put(MediaType::ImageLayer, &b"garbage"[..]).unwrap();
    let garbage = File::open(layout.blob_path(garbage.digest()).unwrap()).unwrap();
    garbage.set_modified(SystemTime::now() - 2 * HOUR).unwrap();
}

/// What the process does until something fails; nothing in an ordinary run.
#[test]
fn in_a_role() {
    let (Ok(role), Some(path)) = (std::env::var(ROLE), std::env::var_os(PATH)) else { return };
    // Calls are counted by thread. The harness writes twice in its own, and must not be what fails.
    (0..5).for_each(|_| say("\n".to_owned()));
    let result = match role.as_str() {
        "work" => work(Path::new(&path), say),
        "large" => put_large(Path::new(&path)),
        other => panic!("{other}"),
    };
    let Err(error) = result else { return };
    // Clear: which file, and the system's own error.
    let text = error.to_string();
    assert!(text.starts_with("cannot "), "{text}");
    match oci_digest::Error::from(error) {
        oci_digest::Error::Io { source, .. } => say(format!("failed {:?}\n", source.raw_os_error())),
        other => panic!("{other:?}"),
    }
}

fn say(text: String) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn work(path: &Path, say: impl Fn(String)) -> Result<(), Error> {
    let layout = ImageLayout::open_or_create(path)?;
    let put = layout.put(MediaType::ImageManifest, &*manifest("new"))?;
    layout.tag(&put, "new")?;
    say("done new\n".to_owned());
    layout.untag("goes")?;
    say("done goes\n".to_owned());
    layout.gc(&GcOptions::default().grace(HOUR))?;
    say("done gc\n".to_owned());
    Ok(())
}

/// Runs a role with one failing call. `None`: strace is missing or may not trace.
fn run(path: &Path, log: &Path, call: &str, error: &str, when: u32) -> Option<Output> {
    let output = Command::new("strace")
        .args(["-f", "-e", &format!("trace={call}"), "-e", "signal=none"])
        .args(["-e", &format!("inject={call}:error={error}:when={when}"), "-o"])
        .arg(log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "in_a_role", "--nocapture", "--test-threads=1"])
        .env(ROLE, "work")
        .env(PATH, path)
        .output()
        .ok()?;
    (!String::from_utf8_lossy(&output.stderr).contains("ptrace")).then_some(output)
}

#[test]
fn a_failing_disk_is_said_and_costs_nothing() {
    let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let log = scratch.path().join("log");
    // Calls that writing is made of, and how often each is made at least.
    for (call, error, number, least) in [
        ("write", "EIO", 5, 3),
        ("write", "ENOSPC", 28, 3),
        ("fsync", "EIO", 5, 9),
        ("linkat", "EIO", 5, 1),
        ("renameat", "ENOSPC", 28, 2),
        ("unlinkat", "EIO", 5, 1),
        ("fchmod", "EIO", 5, 1),
        ("utimensat", "EIO", 5, 1),
        ("flock", "EINTR", 4, 3),
        ("getdents64", "EIO", 5, 2),
    ] {
        let mut failed = 0;
        for when in 1.. {
            let path = scratch.path().join(format!("{call}-{error}-{when}"));
            prepare(&path);
            let Some(output) = run(&path, &log, call, error, when) else {
                return eprintln!("SKIP a_failing_disk_is_said_and_costs_nothing: needs strace");
            };
            let injected = fs::read_to_string(&log).unwrap().contains("(INJECTED)");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let name = format!("{call} {when} {error}: {said}");
            // Of its own output a process may fail to say anything.
            let mute = call == "write" && !output.status.success();
            assert!(output.status.success() || mute, "{name}{}", String::from_utf8_lossy(&output.stderr));
            if said.contains("failed ") {
                assert!(said.contains(&format!("failed Some({number})")), "{name}");
                failed += 1;
            }
            check(&path, &said, &name);
            fs::remove_dir_all(path).unwrap();
            if !injected {
                assert!(said.contains("done gc"), "{name}");
                break;
            }
        }
        // An interrupted lock is taken again.
        let expected = if error == "EINTR" { 0..=0 } else { least..=u32::MAX };
        assert!(expected.contains(&failed), "{call} {error}: {failed} failed");
    }
}

/// The layout is sound, what was said to be done is, and the next run goes on.
fn check(path: &Path, said: &str, name: &str) {
    let layout = ImageLayout::open(path).unwrap();
    let tags = layout.tags().unwrap();
    let is_there = |tag: &str| tags.iter().any(|other| other == tag);
    assert!(is_there("stays"), "{name}: {tags:?}");
    assert_eq!(layout.resolve("stays").unwrap().digest(), descriptor("stays").digest());
    assert!(is_there("new") || !said.contains("done new"), "{name}: {tags:?}");
    assert!(!is_there("goes") || !said.contains("done goes"), "{name}: {tags:?}");
    let report = layout.fsck(&FsckOptions::default()).unwrap();
    assert!(report.is_sound(), "{name}: {:#?}", report.findings);
    work(path, drop).unwrap();
    assert_eq!(ImageLayout::open(path).unwrap().tags().unwrap(), ["new", "stays"], "{name}");
    let left: Vec<PathBuf> =
        fs::read_dir(path.join(".oci-layout")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.ends_with("lock") || path.ends_with("partial")), "{name}: {left:?}");
}

fn put_large(path: &Path) -> Result<(), Error> {
    let layout = ImageLayout::open(path)?;
    let large = vec![3; 2 << 20];
    let digest = digest_of(Algorithm::Sha256, &large);
    let blob = Descriptor::new(MediaType::ImageLayer, large.len() as u64, digest);
    let put = layout.put(MediaType::ImageLayer, &*large).unwrap_err();
    let said = layout.ingest(&blob, &large.as_slice()).unwrap_err();
    assert!(!layout.contains(&blob)?);
    for error in [put, said] {
        assert!(
            matches!(&error, Error::Io { source, .. } if source.kind() == ErrorKind::FileTooLarge),
            "{error:?}"
        );
    }
    // What is small enough goes on.
    layout.tag(&layout.put(MediaType::ImageManifest, &*manifest("new"))?, "new")
}

/// A limit of the process, as a quota of the disk is.
#[test]
fn a_file_that_may_not_be_so_large_is_said_and_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("l");
    prepare(&path);
    // An ignored signal stays ignored; the limit is in blocks of 512 bytes.
    let output = Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 2048; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "in_a_role", "--nocapture", "--test-threads=1"])
        .env(ROLE, "large")
        .env(PATH, &path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    check(&path, "done new", "after the limit");
    let partial = fs::read_dir(path.join(".oci-layout/partial")).map_or(0, Iterator::count);
    assert_eq!(partial, 0);
}
