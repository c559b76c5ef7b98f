//! A loss of power at every instant: a process is recorded while it creates, puts, copies, tags, untags and collects, and
//! the layout is looked at as a disk might have it after each of its calls.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod disk;

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use disk::{Call, Descriptors, Disk, Heeds, State, Survives, calls};
use oci_digest::content::{CopyOptions, MemoryStore, Sink, SourceExt, copy};
use oci_digest::{Algorithm, Descriptor, MediaType, digest_of};
use oci_layout::fsck::{FsckOptions, Problem, Severity};
use oci_layout::gc::GcOptions;
use oci_layout::{ImageLayout, LayoutOptions, SyncPolicy};
use serde_json::json;

const ROLE: &str = "OCI_LAYOUT_TEST_ROLE";
const PATH: &str = "OCI_LAYOUT_TEST_PATH";

/// Where the layout is below the recorded folder: deep enough that folders have to be created.
const LAYOUT: &str = "deep/layout";

fn policy(text: &str) -> SyncPolicy {
    match text {
        "group" => SyncPolicy::Group,
        "per-blob" => SyncPolicy::PerBlob,
        "full" => SyncPolicy::Full,
        other => panic!("{other}"),
    }
}

fn describe(media_type: MediaType, bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type, bytes.len() as u64, digest_of(Algorithm::Sha256, bytes))
}

/// What the recorded process does; nothing in an ordinary run.
#[test]
fn in_a_role() {
    let (Ok(role), Some(path)) = (std::env::var(ROLE), std::env::var_os(PATH)) else { return };
    let path = PathBuf::from(path).join(LAYOUT);
    let layout = LayoutOptions::default().sync(policy(&role)).create(&path).unwrap();
    // One write for each, so that the log has it whole.
    let say = |text: String| {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).unwrap();
        out.flush().unwrap();
    };
    let tagged = |tag: &str, of: &Descriptor| say(format!("tagged {tag} {}\n", of.digest()));

    // A tag that moves, and one that goes.
    for n in 0..3 {
        let layer = layout.put(MediaType::ImageLayer, format!("layer {n}").as_bytes()).unwrap();
        let manifest = manifest(&layout.put(MediaType::EmptyJSON, &b"{}"[..]).unwrap(), &[layer]);
        let descriptor = describe(MediaType::ImageManifest, &manifest);
        layout.publish(&descriptor, &manifest, &["moves"]).unwrap();
        tagged("moves", &descriptor);
    }
    layout.tag(&layout.resolve("moves").unwrap(), "goes").unwrap();
    say("untagged goes\n".to_owned());
    layout.untag("goes").unwrap();

    // An image from elsewhere, with a layer that is large enough for a partial file.
    let store = MemoryStore::new();
    let root = image(&store, "imported");
    copy(&store, "imported", &layout, &CopyOptions::default().jobs(2)).unwrap();
    tagged("imported", &root);

    // Everything that nothing names goes.
    let garbage = layout.put(MediaType::ImageLayer, &b"garbage"[..]).unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(7200);
    for blob in fs::read_dir(path.join("blobs/sha256")).unwrap() {
        File::open(blob.unwrap().path()).unwrap().set_modified(long_ago).unwrap();
    }
    let report = layout.gc(&GcOptions::default().grace(Duration::from_secs(3600))).unwrap();
    assert_eq!(report.removed.files, 5, "two images that the tag left, and the garbage");
    assert!(!layout.contains(&garbage).unwrap());
    // What was collected comes again.
    let manifest = manifest(&layout.put(MediaType::EmptyJSON, &b"{}"[..]).unwrap(), &[]);
    let layer = layout.put(MediaType::ImageLayer, &b"layer 0"[..]).unwrap();
    layout.tag(&layer, "again").unwrap();
    tagged("again", &layer);
    let descriptor = describe(MediaType::ImageManifest, &manifest);
    layout.publish(&descriptor, &manifest, &["last"]).unwrap();
    tagged("last", &descriptor);
}

fn manifest(config: &Descriptor, layers: &[Descriptor]) -> Vec<u8> {
    json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string().into_bytes()
}

fn image(store: &MemoryStore, tag: &str) -> Descriptor {
    let put = |media_type, bytes: &[u8]| {
        let descriptor = describe(media_type, bytes);
        store.ingest(&descriptor, &bytes).unwrap();
        descriptor
    };
    let layers = [vec![7; (1 << 20) + 5], b"small".to_vec()].map(|bytes| put(MediaType::ImageLayer, &bytes));
    let diff_ids: Vec<_> = layers.iter().map(Descriptor::digest).collect();
    let config =
        json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let manifest = manifest(&put(MediaType::ImageConfig, config.to_string().as_bytes()), &layers);
    let descriptor = describe(MediaType::ImageManifest, &manifest);
    store.publish(&descriptor, &manifest, &[tag]).unwrap();
    descriptor
}

/// Runs the role under strace; what it did. `None`: strace is missing or may not trace.
fn record(role: &str, test: &str) -> Option<Vec<Call>> {
    let scratch = tempfile::tempdir().unwrap();
    let (root, log) = (scratch.path().join("root"), scratch.path().join("log"));
    fs::create_dir(&root).unwrap();
    let output = Command::new("strace")
        .args([
            "-f",
            "-xx",
            "-s",
            "4000000",
            "-e",
            &format!("trace={}", disk::TRACED),
            "-e",
            "signal=none",
            "-o",
        ])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "in_a_role", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(PATH, &root)
        .output();
    let output = match output {
        Ok(output) => output,
        Err(_) => {
            eprintln!("SKIP {test}: needs strace");
            return None;
        }
    };
    let text = String::from_utf8_lossy(&output.stderr);
    if text.contains("ptrace") {
        eprintln!("SKIP {test}: needs the right to trace: {}", text.trim());
        return None;
    }
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stdout));
    let calls = calls(&fs::read_to_string(&log).unwrap(), root.to_str().unwrap());

    // The model is right only if it ends with what is there.
    let mut disk = Disk::new(Heeds::All);
    let mut descriptors = Descriptors::default();
    for call in &calls {
        disk.apply(call, &mut descriptors);
    }
    let mut rebuilt = disk.after_loss(Survives::All);
    rebuilt.retain(|_, bytes| bytes.is_some());
    assert_eq!(rebuilt, files(&root));
    Some(calls)
}

fn files(root: &Path) -> State {
    let mut found = State::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), Some(fs::read(&path).unwrap()));
            }
        }
    }
    found
}

/// What tags must be there.
#[derive(Default)]
struct Promised {
    tags: BTreeMap<String, String>,
}

impl Promised {
    fn hear(&mut self, text: &str) {
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["tagged", tag, digest] => drop(self.tags.insert(tag.to_owned(), digest.to_owned())),
                ["untagged", tag] => drop(self.tags.remove(tag)),
                _ => {}
            }
        }
    }
}

/// Looks at a layout after the power came back; what is wrong.
fn broken(path: &Path, sync: SyncPolicy, promised: &Promised) -> Result<(), String> {
    if !promised.tags.is_empty() {
        // Only what was told counts: before, there may be anything between nothing and a layout.
        ImageLayout::open(path).map_err(|e| format!("it cannot be opened: {e}"))?;
    }
    // The next run goes on. That it syncs has no part in it.
    let layout =
        LayoutOptions::default().sync(SyncPolicy::None).open_or_create(path).map_err(|e| format!("{e}"))?;
    let report = layout.fsck(&FsckOptions::default().jobs(1)).map_err(|e| format!("{e}"))?;
    let is_damage = |finding: &&oci_layout::fsck::Finding| {
        // With one barrier for all, a blob that nothing names yet may be anything; the next put of it is whole.
        let unnamed = finding.problem == Problem::Digest && finding.descriptor.is_none();
        finding.severity == Severity::Error && !(unnamed && sync == SyncPolicy::Group)
    };
    if let Some(damage) = report.findings.iter().find(is_damage) {
        return Err(damage.to_string());
    }
    for (tag, digest) in &promised.tags {
        // A tag that moves may have moved on before it was told.
        let found = layout.resolve(tag).map_err(|e| format!("{tag}: {e}"))?;
        if found.digest().as_ref() != digest && tag != "moves" {
            return Err(format!("{tag} is {}, and was told to be {digest}", found.digest()));
        }
    }
    let bytes = b"layer 1";
    let blob = layout.put(MediaType::ImageLayer, &bytes[..]).map_err(|e| format!("{e}"))?;
    layout.tag(&blob, "goes-on").map_err(|e| format!("{e}"))?;
    match layout.read(&layout.resolve("goes-on").map_err(|e| e.to_string())?, 99) {
        Ok(read) if read == bytes => Ok(()),
        other => Err(format!("what was put again is {other:?}")),
    }
}

/// Loses the power after each call, in several ways; every way in which that broke the layout, and how many were tried.
fn lose_power(calls: &[Call], sync: SyncPolicy, heeds: Heeds) -> (Vec<String>, usize) {
    // In memory where there is some: thousands of files come and go.
    let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let (mut disk, mut descriptors, mut promised) =
        (Disk::new(heeds), Descriptors::default(), Promised::default());
    let (mut found, mut tried, mut known) = (Vec::new(), 0, HashSet::new());
    for (n, call) in calls.iter().enumerate() {
        if let Call::Said { text } = call {
            promised.hear(text);
            known.clear();
        } else if !disk.apply(call, &mut descriptors) {
            continue;
        }
        let seed = n as u64;
        let some = [2 * seed, 2 * seed + 1].map(Survives::Some);
        let always = [Survives::Nothing, Survives::Names, Survives::Bytes, Survives::All];
        for survives in always.into_iter().chain(some) {
            tried += 1;
            let state = disk.after_loss(survives);
            let mut hasher = DefaultHasher::new();
            state.hash(&mut hasher);
            if !known.insert(hasher.finish()) {
                continue;
            }
            let root = scratch.path().join(format!("{n}-{tried}"));
            for (path, bytes) in state {
                match bytes {
                    Some(bytes) => fs::write(root.join(path), bytes).unwrap(),
                    None => fs::create_dir(root.join(path)).unwrap(),
                }
            }
            if let Err(reason) = broken(&root.join(LAYOUT), sync, &promised) {
                found.push(format!("after call {n} {}, {survives:?}: {reason}", short(call)));
            }
            fs::remove_dir_all(root).unwrap();
        }
    }
    assert_eq!(promised.tags.len(), 4, "everything that was said was heard");
    (found, tried)
}

fn short(call: &Call) -> String {
    format!("{call:?}").chars().take(100).collect()
}

#[test]
fn what_was_told_survives_and_nothing_is_damaged() {
    for role in ["per-blob", "group", "full"] {
        let Some(calls) = record(role, "what_was_told_survives_and_nothing_is_damaged") else { return };
        let (broken, tried) = lose_power(&calls, policy(role), Heeds::All);
        assert!(broken.is_empty(), "{role}: {} of {tried}:\n{}", broken.len(), broken.join("\n"));
        assert!(tried > 300, "{tried}");
    }
}

/// Who looks for damage and can find none is no proof: on a disk that heeds only some of the calls there is some.
#[test]
fn every_kind_of_call_is_needed() {
    let Some(calls) = record("per-blob", "every_kind_of_call_is_needed") else { return };
    for (heeds, what) in [(Heeds::OfFolders, "its bytes have the digest"), (Heeds::OfFiles, "no such folder")]
    {
        let (broken, tried) = lose_power(&calls, SyncPolicy::PerBlob, heeds);
        assert!(broken.iter().any(|reason| reason.contains(what)), "{what} of {tried}: {broken:#?}");
    }
}
