//! What garbage collection takes and what it leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use oci_digest::media_type::{
    DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_LIST, DOCKER_MANIFEST, DOCKER_SCHEMA_1,
};
use oci_digest::{Algorithm, CancelToken, Descriptor, Digest, MediaType, digest_of};
use oci_layout::gc::{GcEvent, GcOptions, GcReport};
use oci_layout::{Error, ImageLayout};
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);

fn scratch() -> (TempDir, ImageLayout) {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    (scratch, layout)
}

fn put(layout: &ImageLayout, media_type: impl Into<MediaType>, bytes: impl AsRef<[u8]>) -> Descriptor {
    layout.put(media_type.into(), bytes.as_ref()).unwrap()
}

fn put_json(layout: &ImageLayout, media_type: impl Into<MediaType>, value: Value) -> Descriptor {
    put(layout, media_type, value.to_string())
}

/// A manifest with a config and a layer of its own; all three.
fn image(layout: &ImageLayout, name: &str) -> [Descriptor; 3] {
    let config = put(layout, MediaType::ImageConfig, format!(r#"{{"config of":"{name}"}}"#));
    let layer = put(layout, MediaType::ImageLayer, format!("layer of {name}"));
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    [put_json(layout, MediaType::ImageManifest, manifest), config, layer]
}

fn blobs(layout: &ImageLayout) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for algorithm in Algorithm::ALL {
        let Ok(folder) = fs::read_dir(layout.path().join("blobs").join(algorithm.as_str())) else { continue };
        found.extend(folder.map(|f| format!("{algorithm}:{}", f.unwrap().file_name().to_str().unwrap())));
    }
    found
}

fn digests<'a>(descriptors: impl IntoIterator<Item = &'a Descriptor>) -> BTreeSet<String> {
    descriptors.into_iter().map(|d| d.digest().to_string()).collect()
}

fn set_age(path: &Path, age: Duration) {
    // Ordinary users may not open a blob for writing, but its owner may set its times.
    let at = SystemTime::now().checked_sub(age).unwrap();
    File::open(path).unwrap().set_modified(at).unwrap();
}

fn age_all(layout: &ImageLayout, age: Duration) {
    for digest in blobs(layout) {
        set_age(&layout.blob_path(&digest.parse().unwrap()).unwrap(), age);
    }
}

fn collect(layout: &ImageLayout) -> GcReport {
    layout.gc(&GcOptions::default().grace(HOUR)).unwrap()
}

#[test]
fn what_a_tag_leads_to_stays_and_the_rest_goes() {
    let (_scratch, layout) = scratch();
    let mut live = Vec::new();
    let [inner, config, layer] = image(&layout, "inner");
    let index = put_json(&layout, MediaType::ImageIndex, json!({"schemaVersion": 2, "manifests": [inner]}));
    let outer = put_json(&layout, MediaType::ImageIndex, json!({"schemaVersion": 2, "manifests": [index]}));
    layout.tag(&outer, "nested").unwrap();
    live.extend([inner.clone(), config, layer, index, outer]);

    let config = put(&layout, DOCKER_CONFIG, r#"{"docker":"config"}"#);
    let layer = put(&layout, DOCKER_LAYER_GZIP, "docker layer");
    let manifest =
        json!({"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": [layer]});
    let manifest = put_json(&layout, DOCKER_MANIFEST, manifest);
    let list = put_json(&layout, DOCKER_LIST, json!({"schemaVersion": 2, "manifests": [manifest]}));
    layout.tag(&list, "docker").unwrap();
    live.extend([config, layer, manifest, list]);

    let layer = put(&layout, DOCKER_LAYER_GZIP, "schema 1 layer");
    let old = json!({"schemaVersion": 1, "fsLayers": [{"blobSum": layer.digest()}]});
    let old = put_json(&layout, DOCKER_SCHEMA_1, old);
    layout.tag(&old, "old").unwrap();
    live.extend([layer, old]);

    // A referrer that nothing names, the referrer of that, and what they are made of.
    let refers = |what: &Descriptor, name: &str| {
        let layer = put(&layout, "application/x", format!("{name}'s layer"));
        let manifest =
            json!({"schemaVersion": 2, "config": MediaType::EmptyJSON, "subject": what, "layers": [layer]});
        [put_json(&layout, MediaType::ImageManifest, manifest), layer]
    };
    let signature = refers(&inner, "a signature");
    let attestation = refers(&signature[0], "an attestation of the signature");
    live.extend(signature.into_iter().chain(attestation));
    // A referrer that is tagged keeps what it is about.
    let subject = image(&layout, "subject");
    let tagged = refers(&subject[0], "a tagged referrer");
    layout.tag(&tagged[0], "referrer").unwrap();
    live.extend(subject.into_iter().chain(tagged));

    // A type that nobody knows, with descriptors deep inside, one of another algorithm.
    let deep = put(&layout, "application/octet-stream", "deep");
    let mut writer = layout.writer(Algorithm::Sha512).unwrap();
    std::io::Write::write_all(&mut writer, b"sha512").unwrap();
    let (digest, size) = writer.commit().unwrap();
    let long = Descriptor::new(MediaType::ImageLayer, size, digest);
    let unknown = json!([{"x": [{"y": {"digest": deep.digest()}}]}, long]);
    let unknown = put_json(&layout, "application/vnd.example+json", unknown);
    layout.tag(&unknown, "unknown").unwrap();
    live.extend([deep, long, unknown]);

    let unlisted = image(&layout, "nobody");
    let dead_referrer = refers(&unlisted[0], "a referrer of nothing");
    let garbage = [put(&layout, "x/y", "garbage"), put(&layout, "x/y", "{"), put(&layout, "x/y", "[]")];
    let dead: Vec<_> = unlisted.iter().chain(&dead_referrer).chain(&garbage).collect();
    age_all(&layout, 2 * HOUR);

    let all = blobs(&layout);
    let events = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&events);
    let options = GcOptions::default().grace(HOUR).observer(move |event| {
        if let GcEvent::Removed { digest, bytes } = event {
            seen.lock().unwrap().insert((digest.to_string(), *bytes));
        }
    });
    let would = layout.gc(&options.clone().dry_run(true)).unwrap();
    assert_eq!(blobs(&layout), all, "a dry run removes nothing");
    let did = layout.gc(&options).unwrap();
    assert_eq!(would, did);
    assert_eq!(blobs(&layout), digests(&live));
    assert_eq!(did.removed.files, dead.len() as u64);
    assert_eq!(did.removed.bytes, dead.iter().map(|d| d.size()).sum::<u64>());
    assert_eq!(did.live.files, live.len() as u64);
    assert_eq!(did.live.bytes, live.iter().map(Descriptor::size).sum::<u64>());
    assert_eq!(
        *events.lock().unwrap(),
        dead.iter().map(|d| (d.digest().to_string(), d.size())).collect::<BTreeSet<_>>()
    );
    assert_eq!(layout.gc(&options).unwrap().removed.files, 0);

    // Untagged, the nested index goes, and with it the referrers of what was in it.
    layout.untag("nested").unwrap();
    age_all(&layout, 2 * HOUR);
    assert_eq!(collect(&layout).removed.files, 9);
}

#[test]
fn what_is_young_or_relied_upon_is_spared_with_what_it_names() {
    let (_scratch, layout) = scratch();
    let [young, config, layer] = image(&layout, "young");
    let dedupe = put(&layout, "x/y", "found present");
    let asked = put(&layout, "x/y", "asked for");
    let put_again = put(&layout, "x/y", "put again");
    let forgotten = put(&layout, "x/y", "forgotten");
    age_all(&layout, 2 * HOUR);
    set_age(&layout.blob_path(young.digest()).unwrap(), HOUR / 2);
    layout.ingest(&dedupe, &&b""[..]).unwrap();
    assert!(layout.contains(&asked).unwrap());
    put(&layout, "x/y", "put again");

    let report = collect(&layout);
    assert_eq!(blobs(&layout), digests([&young, &config, &layer, &dedupe, &asked, &put_again]));
    assert_eq!((report.removed.files, report.removed.bytes), (1, forgotten.size()));
    assert_eq!(report.spared.files, 4, "what the young manifest names counts as live: {report:?}");

    // A time to come is young, too. Without a grace age nothing is spared.
    set_age(&layout.blob_path(asked.digest()).unwrap(), Duration::ZERO);
    File::open(layout.blob_path(asked.digest()).unwrap())
        .unwrap()
        .set_modified(SystemTime::now() + 100 * HOUR)
        .unwrap();
    assert_eq!(collect(&layout).removed.files, 0);
    let keep = layout.gc(&GcOptions::default().grace(Duration::ZERO).keep([young.digest().clone()])).unwrap();
    assert_eq!((keep.removed.files, keep.live.files), (3, 3));
    assert_eq!(layout.gc(&GcOptions::default().grace(Duration::ZERO)).unwrap().removed.files, 3);
    assert!(blobs(&layout).is_empty());
}

#[test]
fn a_finished_download_of_long_ago_is_young_when_it_becomes_a_blob() {
    let (_scratch, layout) = scratch();
    let bytes = vec![7; 2 << 20];
    let digest = digest_of(Algorithm::Sha256, &bytes);
    let blob = Descriptor::new(MediaType::ImageLayer, bytes.len() as u64, digest);
    let partial = layout.path().join(".oci-layout/partial");
    fs::create_dir_all(&partial).unwrap();
    let partial = partial.join(format!("sha256-{}", blob.digest().digest()));
    fs::write(&partial, &bytes).unwrap();
    set_age(&partial, 100 * HOUR);
    layout.ingest(&blob, &bytes.as_slice()).unwrap();
    assert_eq!(collect(&layout).spared.files, 1);
    assert!(layout.contains(&blob).unwrap());
}

#[test]
fn damage_stops_it_before_anything_is_removed() {
    let (_scratch, layout) = scratch();
    let [manifest, config, layer] = image(&layout, "damaged");
    let other = image(&layout, "whole");
    let gone = Descriptor::new(MediaType::ImageManifest, 2, digest_of(Algorithm::Sha256, b"{}"));
    let list = [&manifest, &gone, &other[0]];
    let index = put_json(&layout, MediaType::ImageIndex, json!({"schemaVersion": 2, "manifests": list}));
    layout.tag(&index, "x").unwrap();
    age_all(&layout, 2 * HOUR);
    let report = collect(&layout);
    assert_eq!(report.missing, [gone.digest().clone()], "what was never fetched is no damage");
    assert_eq!(report.removed.files, 0);

    let path = layout.blob_path(manifest.digest()).unwrap();
    let whole = fs::read(&path).unwrap();
    let all = blobs(&layout);
    let options = GcOptions::default().grace(HOUR);
    let damages: [(&str, &dyn Fn()); 4] = [
        ("other bytes", &|| {
            fs::remove_file(&path).unwrap();
            fs::write(&path, vec![b' '; whole.len()]).unwrap();
        }),
        ("cut off", &|| fs::write(&path, &whole[1..]).unwrap()),
        ("empty", &|| fs::write(&path, b"").unwrap()),
        ("a link", &|| {
            fs::remove_file(&path).unwrap();
            symlink("/etc/passwd", &path).unwrap();
        }),
    ];
    for (name, damage) in damages {
        damage();
        let error = layout.gc(&options).unwrap_err();
        assert!(error.to_string().contains(manifest.digest().digest()), "{name}: {error}");
        assert_eq!(blobs(&layout), all, "{name}");
    }
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"{").unwrap();
    set_age(&path, 2 * HOUR);
    let report = layout.gc(&options.ignore_damage(true)).unwrap();
    assert_eq!(report.removed.files, 2, "what only it named");
    assert_eq!(&all - &blobs(&layout), digests([&config, &layer]));

    fs::write(layout.path().join("index.json"), "{").unwrap();
    assert!(matches!(layout.gc(&GcOptions::default()), Err(Error::Document { .. })));
}

#[test]
fn what_is_not_known_is_left_alone() {
    let (_scratch, layout) = scratch();
    put(&layout, "x/y", "garbage");
    let path = layout.path();
    let name = "0".repeat(64);
    let foreign = [
        "notes.txt".to_owned(),
        "blobs/readme".to_owned(),
        format!("blobs/blake3/{name}"),
        "blobs/sha256/short".to_owned(),
        format!("blobs/sha256/{}", "A".repeat(64)),
        format!("blobs/sha256/{name}.tmp"),
        format!("blobs/sha256/{}/inside", "1".repeat(64)),
        ".oci-layout/tmp-0123".to_owned(),
        ".oci-layout/tmp-0123456789abcdef.txt".to_owned(),
        ".oci-layout/partial/mine".to_owned(),
        format!(".oci-layout/partial/blake3-{name}"),
        format!(".oci-layout/quarantine/sha256-{name}"),
        "other/blobs/sha256/x".to_owned(),
    ];
    for file in &foreign {
        fs::create_dir_all(path.join(file).parent().unwrap()).unwrap();
        fs::write(path.join(file), "x").unwrap();
        set_age(&path.join(file), 1000 * HOUR);
    }
    symlink("/etc/passwd", path.join("blobs/sha256").join("2".repeat(64))).unwrap();
    let report = layout.gc(&GcOptions::default().grace(Duration::ZERO).partial_age(Duration::ZERO)).unwrap();
    assert_eq!((report.removed.files, report.stale.files), (1, 0));
    for file in &foreign {
        assert!(path.join(file).is_file(), "{file}");
    }
    assert_eq!(report.unknown.len(), 7, "{:?}", report.unknown);
    assert!(fs::symlink_metadata(path.join("blobs/sha256").join("2".repeat(64))).is_ok());

    // A blobs folder that is a link leads who knows where.
    let elsewhere = path.parent().unwrap().join("elsewhere");
    fs::rename(path.join("blobs"), &elsewhere).unwrap();
    symlink(&elsewhere, path.join("blobs")).unwrap();
    fs::write(elsewhere.join("sha256").join(&name), "x").unwrap();
    assert!(matches!(layout.gc(&GcOptions::default().grace(Duration::ZERO)), Err(Error::Refused { .. })));
    assert!(elsewhere.join("sha256").join(&name).is_file());
}

#[test]
fn what_interrupted_writers_left_goes_when_nobody_holds_it() {
    let (_scratch, layout) = scratch();
    let work = layout.path().join(".oci-layout");
    let partial = work.join("partial");
    fs::create_dir_all(&partial).unwrap();
    let name = |n: u8| format!("sha256-{}", format!("{n:02x}").repeat(32));
    let file = |path: &Path, age: Duration| {
        fs::write(path, "12345").unwrap();
        set_age(path, age);
        File::open(path).unwrap()
    };
    file(&work.join("tmp-0123456789abcdef"), 2 * HOUR);
    file(&work.join("tmp-1123456789abcdef"), HOUR / 2);
    let held = file(&work.join("tmp-2123456789abcdef"), 2 * HOUR);
    flock(&held, FlockOperation::LockExclusive).unwrap();
    file(&partial.join(name(1)), 200 * HOUR);
    file(&partial.join(name(2)), 100 * HOUR);
    let held = (held, file(&partial.join(name(3)), 200 * HOUR));
    flock(&held.1, FlockOperation::LockExclusive).unwrap();

    let options = GcOptions::default().grace(HOUR);
    assert_eq!(layout.gc(&options.clone().dry_run(true)).unwrap().stale.files, 2);
    let report = layout.gc(&options).unwrap();
    assert_eq!((report.stale.files, report.stale.bytes), (2, 10));
    assert!(work.join("tmp-1123456789abcdef").exists() && work.join("tmp-2123456789abcdef").exists());
    assert!(partial.join(name(2)).exists() && partial.join(name(3)).exists());
    drop(held);
    assert_eq!(layout.gc(&options).unwrap().stale.files, 2);
    assert_eq!(layout.gc(&options.partial_age(HOUR)).unwrap().stale.files, 1);
}

#[test]
fn repeats_and_circles_cost_nothing() {
    let (_scratch, layout) = scratch();
    let [manifest, ..] = image(&layout, "one");
    let repeated = vec![&manifest; 10_000];
    let mut index =
        put_json(&layout, MediaType::ImageIndex, json!({"schemaVersion": 2, "manifests": repeated}));
    for _ in 0..50 {
        let repeated = vec![&index; 1_000];
        index = put_json(&layout, MediaType::ImageIndex, json!({"schemaVersion": 2, "manifests": repeated}));
    }
    layout.tag(&index, "x").unwrap();
    layout.tag(&manifest, "y").unwrap();
    put(&layout, "x/y", "garbage");
    age_all(&layout, 2 * HOUR);
    let report = collect(&layout);
    assert_eq!((report.live.files, report.removed.files), (54, 1));

    // A manifest that names itself cannot have its own digest: somebody put it there.
    let fake: Digest = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
    let itself = Descriptor::new(MediaType::ImageIndex, 2, fake.clone());
    fs::write(layout.blob_path(&fake).unwrap(), json!({"manifests": [itself]}).to_string()).unwrap();
    layout.tag(&itself, "itself").unwrap();
    assert!(layout.gc(&GcOptions::default()).unwrap_err().to_string().contains(fake.as_ref()));

    let cancel = CancelToken::new();
    cancel.cancel();
    let error = layout.gc(&GcOptions::default().cancel(cancel)).unwrap_err();
    assert!(matches!(oci_digest::Error::from(error), oci_digest::Error::Cancelled));
}
