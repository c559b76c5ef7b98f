//! Many threads and processes in one layout, and processes that are killed.
//!
//! The processes are this test binary again, told by its environment what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use oci_digest::content::{Content, Sink, SourceExt};
use oci_digest::{Algorithm, Descriptor, MediaType, digest_of};
use oci_layout::fsck::{FsckOptions, Problem, Severity};
use oci_layout::gc::GcOptions;
use oci_layout::{ImageLayout, LayoutOptions, SyncPolicy};

const ROLE: &str = "OCI_LAYOUT_TEST_ROLE";
const PATH: &str = "OCI_LAYOUT_TEST_PATH";

/// Runs this binary again in a role.
fn spawn(role: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_a_role", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(PATH, path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// What a spawned process does; nothing in an ordinary run.
#[test]
fn in_a_role() {
    let (Ok(role), Some(path)) = (std::env::var(ROLE), std::env::var_os(PATH)) else { return };
    match role.split_once(' ').unwrap() {
        ("write", who) => write(&ImageLayout::open_or_create(path).unwrap(), who, 20),
        ("write-many", who) => {
            let options = LayoutOptions::default().sync(SyncPolicy::None);
            write(&options.open_or_create(path).unwrap(), who, 50);
        }
        ("forever", who) => {
            let layout = ImageLayout::open_or_create(path).unwrap();
            for round in 0.. {
                write(&layout, &format!("{who}.{round}"), 5);
            }
        }
        ("fetch", _) => {
            let layout = ImageLayout::open(path).unwrap();
            layout.ingest(&large_descriptor(), &Stalls).unwrap();
        }
        other => panic!("{other:?}"),
    }
}

fn manifest(who: &str, n: usize) -> (Descriptor, Vec<u8>) {
    let bytes = format!(r#"{{"schemaVersion":2,"who":"{who}","n":{n}}}"#).into_bytes();
    let digest = digest_of(Algorithm::Sha256, &bytes);
    (Descriptor::new(MediaType::ImageManifest, bytes.len() as u64, digest), bytes)
}

/// Puts blobs, some of them the same as others put, and tags a manifest after each.
fn write(layout: &ImageLayout, who: &str, count: usize) {
    for n in 0..count {
        layout.put(MediaType::ImageLayer, format!("{who} {n}").as_bytes()).unwrap();
        layout.put(MediaType::ImageLayer, format!("shared {n}").as_bytes()).unwrap();
        let (descriptor, bytes) = manifest(who, n);
        layout.publish(&descriptor, &bytes, &[&format!("{who}-{n}")]).unwrap();
    }
}

/// Every tag names a manifest that is there whole.
fn check_sound(layout: &ImageLayout) -> Vec<String> {
    let tags = layout.tags().unwrap();
    for tag in &tags {
        layout.read(&layout.resolve(tag).unwrap(), 1 << 20).unwrap();
    }
    for blob in std::fs::read_dir(layout.path().join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap();
        let digest = digest_of(Algorithm::Sha256, &std::fs::read(blob.path()).unwrap());
        assert_eq!(blob.file_name().to_str().unwrap(), digest.digest(), "a blob under a wrong name");
    }
    tags
}

fn expected(writers: usize, count: usize) -> Vec<String> {
    let mut tags: Vec<String> =
        (0..writers).flat_map(|w| (0..count).map(move |n| format!("w{w}-{n}"))).collect();
    tags.sort();
    tags
}

#[test]
fn threads_lose_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    // One handle for half of them, handles of their own for the others; readers beside them.
    let layout = LayoutOptions::default().sync(SyncPolicy::None).create(scratch.path().join("l")).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                let now: BTreeSet<String> = check_sound_if_any(&layout).into_iter().collect();
                assert!(now.is_superset(&seen), "a tag vanished");
                seen = now;
            }
        });
        let writers: Vec<_> = (0..8)
            .map(|w| {
                let layout = &layout;
                scope.spawn(move || {
                    let own = ImageLayout::open(layout.path()).unwrap();
                    write(if w % 2 == 0 { layout } else { &own }, &format!("w{w}"), 10);
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(check_sound(&layout), expected(8, 10));
}

fn check_sound_if_any(layout: &ImageLayout) -> Vec<String> {
    if layout.path().join("blobs/sha256").exists() { check_sound(layout) } else { Vec::new() }
}

#[test]
fn processes_lose_nothing_not_even_the_creation() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("layout");
    let children: Vec<Child> = (0..8).map(|w| spawn(&format!("write w{w}"), &path)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let layout = ImageLayout::open(&path).unwrap();
    assert_eq!(check_sound(&layout), expected(8, 20));
    assert!(leftovers(&path).is_empty(), "{:?}", leftovers(&path));
}

/// Sixteen processes, 50 blobs and 50 tags each, and a collector that finds garbage every time it looks, and old blobs that
/// the writers rely on without writing them.
#[test]
fn a_collector_beside_sixteen_writers_loses_nothing() {
    const HOUR: Duration = Duration::from_secs(3600);
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("layout");
    let layout = LayoutOptions::default().sync(SyncPolicy::None).create(&path).unwrap();
    let put_long_ago = |text: String| {
        let blob = layout.put(MediaType::ImageLayer, text.as_bytes()).unwrap();
        let at = std::time::SystemTime::now() - 2 * HOUR;
        std::fs::File::open(layout.blob_path(blob.digest()).unwrap()).unwrap().set_modified(at).unwrap();
    };
    (0..50).for_each(|n| put_long_ago(format!("shared {n}")));
    let mut children: Vec<Child> = (0..16).map(|w| spawn(&format!("write-many w{w}"), &path)).collect();
    let (mut garbage, mut removed) = (0, 0);
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        for n in 0..10 {
            put_long_ago(format!("garbage {garbage} {n}"));
        }
        garbage += 10;
        removed += layout.gc(&GcOptions::default().grace(HOUR)).unwrap().removed.files;
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert!(removed >= garbage, "{removed} of {garbage}");
    assert_eq!(check_sound(&layout), expected(16, 50));
    let report = layout.fsck(&FsckOptions::default()).unwrap();
    // The manifests here have no configs, and that is all.
    let mut damage = report.findings.iter().filter(|one| one.severity == Severity::Error);
    assert!(damage.all(|one| one.problem == Problem::Schema), "{:#?}", report.findings);
    // Every writer's blobs: what it put itself, and what it found.
    let there = |text: String| {
        let digest = digest_of(Algorithm::Sha256, text.as_bytes());
        layout.blob(&digest).is_ok()
    };
    assert!((0..16).all(|w| (0..50).all(|n| there(format!("w{w} {n}")))));
    let shared = (0..50).filter(|n| there(format!("shared {n}"))).count();
    assert_eq!(shared, 50);
    assert!(leftovers(&path).is_empty(), "{:?}", leftovers(&path));
}

/// What is in our own folder but the lock and the mark of what is not synced.
fn leftovers(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path.join(".oci-layout")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !["lock", "partial", "unsynced"].contains(&&**name)).collect()
}

#[test]
fn killed_processes_leave_a_sound_layout() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("layout");
    let mut before = BTreeSet::new();
    for round in 0..20_u64 {
        let mut children: Vec<Child> =
            (0..3).map(|w| spawn(&format!("forever r{round}w{w}"), &path)).collect();
        // Different instants: while the layout is created, too.
        thread::sleep(Duration::from_millis(3 + round * 7));
        for child in &mut children {
            child.kill().unwrap();
            assert_eq!(child.wait().unwrap().signal(), Some(9));
        }
        let layout = ImageLayout::open_or_create(&path).unwrap();
        let now: BTreeSet<String> = check_sound_if_any(&layout).into_iter().collect();
        assert!(now.is_superset(&before), "an acknowledged tag was lost");
        before = now;
        // The next one goes on.
        write(&layout, &format!("after{round}"), 1);
        before.insert(format!("after{round}-0"));
    }
}

const LARGE: usize = 3 << 20;
const LARGE_U64: u64 = LARGE as u64;
const STALL_AT: usize = 2 << 20;

fn large() -> Vec<u8> {
    (0..LARGE).map(|n| (n / 7 % 251) as u8).collect()
}

fn large_descriptor() -> Descriptor {
    let bytes = large();
    Descriptor::new(MediaType::ImageLayer, bytes.len() as u64, digest_of(Algorithm::Sha256, &bytes))
}

/// Gives two thirds of the large blob, and then nothing for ever.
struct Stalls;

impl Content for Stalls {
    fn open(&self, offset: u64) -> oci_digest::Result<Box<dyn Read + Send + '_>> {
        struct Never;
        impl Read for Never {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                loop {
                    thread::sleep(Duration::from_secs(1));
                }
            }
        }
        let some = large()[usize::try_from(offset).unwrap()..STALL_AT].to_vec();
        Ok(Box::new(io::Cursor::new(some).chain(Never)))
    }
}

#[test]
fn a_killed_download_goes_on_where_it_stopped() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("layout")).unwrap();
    let descriptor = large_descriptor();
    let partial =
        layout.path().join(".oci-layout/partial").join(format!("sha256-{}", descriptor.digest().digest()));
    let mut child = spawn("fetch x", layout.path());
    while std::fs::metadata(&partial).map_or(0, |meta| meta.len()) < STALL_AT as u64 {
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        thread::sleep(Duration::from_millis(5));
    }

    // While it lives its partial file is its own: another writer takes the whole by another way.
    let offsets = Offsets::default();
    layout.ingest(&descriptor, &offsets).unwrap();
    assert_eq!(offsets.take(), [0]);
    assert!(layout.remove(descriptor.digest()).unwrap());

    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!layout.contains(&descriptor).unwrap());
    layout.ingest(&descriptor, &offsets).unwrap();
    assert_eq!(offsets.take(), [STALL_AT as u64]);
    assert_eq!(layout.read(&descriptor, 4 << 20).unwrap(), large());
    assert!(!partial.exists());

    // Killed after its mode was set and before its name: ordinary users cannot go on from it, root can.
    layout.remove(descriptor.digest()).unwrap();
    std::fs::write(&partial, large()).unwrap();
    std::fs::set_permissions(&partial, std::fs::Permissions::from_mode(0o444)).unwrap();
    layout.ingest(&descriptor, &offsets).unwrap();
    assert!(matches!(offsets.take()[..], [0] | [LARGE_U64]));
    assert!(!partial.exists());

    // What an earlier attempt left may be wrong, or too much: then the whole comes again.
    for left in [vec![0; 1000], vec![0; LARGE], vec![0; LARGE + 1]] {
        layout.remove(descriptor.digest()).unwrap();
        std::fs::write(&partial, &left).unwrap();
        layout.ingest(&descriptor, &offsets).unwrap();
        let first = if left.len() > LARGE { None } else { Some(left.len() as u64) };
        assert_eq!(offsets.take(), first.into_iter().chain([0]).collect::<Vec<u64>>());
        assert_eq!(layout.read(&descriptor, 4 << 20).unwrap(), large());
        assert!(!partial.exists());
    }
}

/// The large blob, noting at which offsets it is opened.
#[derive(Default)]
struct Offsets(std::sync::Mutex<Vec<u64>>);

impl Offsets {
    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Content for Offsets {
    fn open(&self, offset: u64) -> oci_digest::Result<Box<dyn Read + Send + '_>> {
        self.0.lock().unwrap().push(offset);
        Ok(Box::new(io::Cursor::new(large().split_off(usize::try_from(offset).unwrap()))))
    }
}
