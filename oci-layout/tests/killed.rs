//! Processes that put, tag, import and collect, killed at three hundred random instants.
//!
//! The processes are this test binary again, told by its environment what to do. What they did they say on standard
//! output, before and after.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use oci_digest::content::{CopyOptions, MemoryStore, Sink, copy};
use oci_digest::{Algorithm, Descriptor, MediaType, digest_of};
use oci_layout::ImageLayout;
use oci_layout::fsck::FsckOptions;
use oci_layout::gc::GcOptions;
use serde_json::json;

const ROLE: &str = "OCI_LAYOUT_TEST_ROLE";
const PATH: &str = "OCI_LAYOUT_TEST_PATH";

const ROUNDS: u64 = 100;
const ROLES: [&str; 3] = ["write", "import", "collect"];
const HOUR: Duration = Duration::from_secs(3600);

fn say(text: String) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).unwrap();
    out.flush().unwrap();
}

fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// What a spawned process does until it is killed; nothing in an ordinary run.
#[test]
fn in_a_role() {
    let (Ok(role), Some(path)) = (std::env::var(ROLE), std::env::var_os(PATH)) else { return };
    say("\nready\n".to_owned());
    let layout = ImageLayout::open_or_create(path).unwrap();
    loop {
        match role.as_str() {
            "write" => write(&layout),
            "import" => import(&layout),
            "collect" => {
                layout.gc(&GcOptions::default().grace(HOUR).partial_age(HOUR)).unwrap();
            }
            other => panic!("{other}"),
        }
    }
}

fn describe(media_type: MediaType, bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type, bytes.len() as u64, digest_of(Algorithm::Sha256, bytes))
}

/// Puts blobs, one of which others may have put long ago, and moves a tag; takes another away.
fn write(layout: &ImageLayout) {
    let n = random();
    let own = layout.put(MediaType::ImageLayer, format!("own {n}").as_bytes()).unwrap();
    let shared = layout.put(MediaType::ImageLayer, format!("shared {}", n % 8).as_bytes()).unwrap();
    let config = layout.put(MediaType::EmptyJSON, &b"{}"[..]).unwrap();
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [own, shared]}).to_string();
    let descriptor = describe(MediaType::ImageManifest, manifest.as_bytes());
    let tag = format!("w{}", n % 10);
    say(format!("begin {tag} {}\n", descriptor.digest()));
    layout.publish(&descriptor, manifest.as_bytes(), &[&tag]).unwrap();
    say(format!("done {tag} {}\n", descriptor.digest()));
    if n.is_multiple_of(7) {
        let tag = format!("w{}", (n + 1) % 10);
        say(format!("begin {tag} none\n"));
        layout.untag(&tag).unwrap();
        say(format!("done {tag} none\n"));
    }
}

/// Copies an image, with a layer that is large enough to be gone on from, out of another store.
fn import(layout: &ImageLayout) {
    let store = MemoryStore::new();
    let put = |media_type, bytes: &[u8]| {
        let descriptor = describe(media_type, bytes);
        store.ingest(&descriptor, &bytes).unwrap();
        descriptor
    };
    // Of a few, so that a killed import is gone on with by a later one.
    let n = random() % 6;
    let mut large = vec![n as u8; (1 << 20) + 1];
    large.extend(n.to_le_bytes());
    let layers =
        [put(MediaType::ImageLayer, &large), put(MediaType::ImageLayer, format!("shared {n}").as_bytes())];
    let config = put(MediaType::EmptyJSON, b"{}");
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string();
    let descriptor = describe(MediaType::ImageManifest, manifest.as_bytes());
    store.publish(&descriptor, manifest.as_bytes(), &["image"]).unwrap();
    let tag = format!("i{}", random() % 3);
    say(format!("begin {tag} {}\n", descriptor.digest()));
    copy(&store, "image", layout, &CopyOptions::default().tags([&tag])).unwrap();
    say(format!("done {tag} {}\n", descriptor.digest()));
}

struct Victim {
    child: Child,
    said: BufReader<ChildStdout>,
}

fn spawn(role: &str, path: &Path) -> Victim {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_a_role", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    Victim { child, said }
}

/// What tags may be: what was told to be done, or what was begun after.
#[derive(Default)]
struct Promised {
    tags: BTreeMap<String, BTreeSet<String>>,
}

impl Promised {
    fn hear(&mut self, line: &str) {
        if let [what, tag, digest] = line.trim_end().split(' ').collect::<Vec<_>>()[..] {
            let values = self.tags.entry(tag.to_owned()).or_insert_with(|| ["none".to_owned()].into());
            match what {
                "begin" => drop(values.insert(digest.to_owned())),
                "done" => *values = [digest.to_owned()].into(),
                _ => {}
            }
        }
    }

    /// The layout agrees; from now on it is known what was begun and whether it was done.
    fn check(&mut self, layout: &ImageLayout) {
        let known: BTreeSet<String> = layout.tags().unwrap().into_iter().collect();
        for (tag, values) in &mut self.tags {
            let is = match known.contains(tag) {
                true => layout.resolve(tag).unwrap().digest().to_string(),
                false => "none".to_owned(),
            };
            assert!(values.contains(&is), "{tag} is {is}, and may be {values:?}");
            *values = [is].into();
        }
        assert!(known.iter().all(|tag| self.tags.contains_key(tag)), "{known:?}");
    }
}

#[test]
fn three_hundred_kills_damage_and_lose_nothing() {
    // In memory where there is some: what is not synced survives a kill in any case, and more is done between two.
    let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = scratch.path().join("deep/layout");
    let mut promised = Promised::default();
    let (mut kills, mut told, mut partial, mut aged) = (0, 0, 0, 0);
    for round in 0..ROUNDS {
        let mut victims: Vec<Victim> = ROLES.iter().map(|role| spawn(role, &path)).collect();
        for victim in &mut victims {
            let mut line = String::new();
            while line != "ready\n" {
                line.clear();
                assert_ne!(victim.said.read_line(&mut line).unwrap(), 0, "a child ended");
            }
            // Early ones meet the layout's creation in the first round, and their own start later.
            thread::sleep(Duration::from_micros(random() % (500 + 300 * round)));
        }
        for victim in &mut victims {
            thread::sleep(Duration::from_micros(random() % 3000));
            victim.child.kill().unwrap();
            assert_eq!(victim.child.wait().unwrap().signal(), Some(9), "a child ended by itself");
            kills += 1;
            for line in victim.said.by_ref().lines() {
                let line = line.unwrap();
                told += u32::from(line.starts_with("done"));
                promised.hear(&line);
            }
        }
        partial += fs::read_dir(path.join(".oci-layout/partial")).map_or(0, Iterator::count);

        let layout = ImageLayout::open_or_create(&path).unwrap();
        let report = layout.fsck(&FsckOptions::default()).unwrap();
        assert!(report.is_sound(), "round {round}: {:#?}", report.findings);
        promised.check(&layout);
        // What is there is old in the next round: collected, unless somebody relies on it.
        aged += age_all(&path.join("blobs/sha256"));
    }
    assert_eq!(kills, 300);
    // Nothing is left but what is named, once nobody writes.
    let layout = ImageLayout::open(&path).unwrap();
    let none = Duration::ZERO;
    layout.gc(&GcOptions::default().grace(none).partial_age(none)).unwrap();
    let left = |folder: &str| fs::read_dir(path.join(folder)).map_or(0, Iterator::count);
    assert_eq!(left(".oci-layout/partial"), 0);
    assert_eq!(left(".oci-layout"), 2, "the lock and the folder for partial files");
    let report = layout.fsck(&FsckOptions::default()).unwrap();
    assert_eq!(report.findings.len(), 0, "{:#?}", report.findings);
    promised.check(&layout);
    // Whether they did enough to be worth killing is the machine's affair; that they did something is not.
    assert!(told > 0 && partial > 0, "{told} tags, {partial} partial files, {aged} blobs");
}

fn age_all(folder: &Path) -> usize {
    let Ok(blobs) = fs::read_dir(folder) else { return 0 };
    let long_ago = SystemTime::now() - 2 * HOUR;
    blobs.map(|blob| File::open(blob.unwrap().path()).unwrap().set_modified(long_ago).unwrap()).count()
}
