//! What a check finds, and what mending does about it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicU64, Ordering};

use oci_digest::content::{MemoryStore, Sink, Source, SourceExt};
use oci_digest::{Algorithm, CancelToken, Descriptor, Digest, MediaType, Platform, digest_of, platform};
use oci_layout::fsck::{FsckEvent, FsckOptions, FsckReport, Level, Problem, RepairOptions, Severity};
use oci_layout::gc::GcOptions;
use oci_layout::{Error, ImageLayout, LayoutOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An image of two layers in an index under a tag, and a referrer of it.
struct Sound {
    _scratch: TempDir,
    layout: ImageLayout,
    config: Descriptor,
    layers: [Descriptor; 2],
    manifest: Descriptor,
    index: Descriptor,
    referrer: Descriptor,
}

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The layers' "compression": it begins as gzip, and every byte is turned over.
fn flipped(bytes: &[u8]) -> Vec<u8> {
    GZIP.iter().copied().chain(bytes.iter().map(|byte| !byte)).collect()
}

fn unflip<'r>(mut reader: Box<dyn Read + Send + 'r>) -> io::Result<Box<dyn Read + Send + 'r>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    let inner = bytes.strip_prefix(GZIP).or(bytes.strip_prefix(ZSTD)).unwrap();
    if inner.starts_with(b"broken") {
        return Err(io::Error::other("no stream"));
    }
    Ok(Box::new(io::Cursor::new(inner.iter().map(|byte| !byte).collect::<Vec<_>>())))
}

fn put_json(layout: &ImageLayout, media_type: MediaType, value: &Value) -> Descriptor {
    layout.put(media_type, value.to_string().as_bytes()).unwrap()
}

fn with_platform(mut descriptor: Descriptor, text: &str) -> Descriptor {
    descriptor.set_platform(Some(platform::parse(text).unwrap()));
    descriptor
}

fn sound() -> Sound {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let layers = ["one", "two"]
        .map(|text| layout.put(MediaType::ImageLayerGzip, flipped(text.as_bytes()).as_slice()).unwrap());
    let config = put_json(&layout, MediaType::ImageConfig, &config_of(&["one", "two"]));
    let manifest = put_json(
        &layout,
        MediaType::ImageManifest,
        &json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": config, "layers": layers}),
    );
    let manifest = with_platform(manifest, "linux/amd64");
    let absent = Descriptor::new(MediaType::ImageManifest, 5, digest_of(Algorithm::Sha256, b"other"));
    let absent = with_platform(absent, "linux/arm64");
    let index = json!({"schemaVersion": 2, "manifests": [manifest, absent]});
    let index = put_json(&layout, MediaType::ImageIndex, &index);
    layout.tag(&index, "latest").unwrap();
    let empty = layout.put(MediaType::EmptyJSON, &b"{}"[..]).unwrap();
    let referrer = json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest,
        "artifactType": "application/x", "config": empty, "layers": [empty], "subject": manifest});
    let referrer = put_json(&layout, MediaType::ImageManifest, &referrer);
    Sound { _scratch: scratch, layout, config, layers, manifest, index, referrer }
}

fn config_of(layers: &[&str]) -> Value {
    let diff_ids: Vec<Digest> =
        layers.iter().map(|text| digest_of(Algorithm::Sha256, text.as_bytes())).collect();
    json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": "a"}, {"empty_layer": true}, {"created_by": "b"}]})
}

fn options() -> FsckOptions {
    FsckOptions::default().decompress(unflip)
}

fn found(report: &FsckReport) -> Vec<(Severity, Problem)> {
    report.findings.iter().map(|finding| (finding.severity, finding.problem)).collect()
}

/// The other platform was never fetched, which an index may say.
const SPARSE: (Severity, Problem) = (Severity::Warning, Problem::Missing);

#[test]
fn a_sound_layout_is_sound() {
    let sound = sound();
    let layout = &sound.layout;
    let report = layout.fsck(&options()).unwrap();
    assert_eq!(found(&report), [SPARSE]);
    assert!(report.is_sound());
    assert_eq!((report.documents, report.blobs, report.diff_ids), (4, 7, 2));
    let report = layout.fsck(&FsckOptions::default().level(Level::DiffIds)).unwrap();
    assert_eq!((report.blobs, report.diff_ids), (7, 0), "without decompression only plain layers");
    let report = layout.fsck(&FsckOptions::default().level(Level::Structure)).unwrap();
    assert_eq!((report.documents, report.blobs, report.bytes), (4, 0, 0));
}

/// Puts other bytes under a blob's name.
fn overwrite(layout: &ImageLayout, of: &Descriptor, bytes: &[u8]) {
    let path = layout.blob_path(of.digest()).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn delete(layout: &ImageLayout, of: &Descriptor) {
    fs::remove_file(layout.blob_path(of.digest()).unwrap()).unwrap();
}

fn same_size(of: &Descriptor) -> Vec<u8> {
    vec![b'x'; usize::try_from(of.size()).unwrap()]
}

#[test]
fn damage_is_found_and_named() {
    type Damage = fn(&Sound) -> Option<Digest>;
    type Expected = &'static [(Severity, Problem)];
    use Problem as P;
    use Severity::*;
    let cases: [(&str, Damage, Expected); 12] = [
        (
            "a layer's bytes",
            |s| {
                overwrite(&s.layout, &s.layers[0], &same_size(&s.layers[0]));
                Some(s.layers[0].digest().clone())
            },
            &[(Error, P::Digest)],
        ),
        (
            "a layer cut off",
            |s| {
                overwrite(&s.layout, &s.layers[1], b"x");
                Some(s.layers[1].digest().clone())
            },
            &[(Error, P::Digest), (Error, P::Size)],
        ),
        (
            "a layer gone",
            |s| {
                delete(&s.layout, &s.layers[1]);
                Some(s.layers[1].digest().clone())
            },
            &[(Error, P::Missing)],
        ),
        (
            "a layer is a link",
            |s| {
                delete(&s.layout, &s.layers[1]);
                symlink("/etc/passwd", s.layout.blob_path(s.layers[1].digest()).unwrap()).unwrap();
                None
            },
            &[(Error, P::Refused), (Info, P::Unknown)],
        ),
        (
            "the config's bytes",
            |s| {
                overwrite(&s.layout, &s.config, &same_size(&s.config));
                Some(s.config.digest().clone())
            },
            &[(Error, P::Digest)],
        ),
        (
            "the manifest's bytes",
            |s| {
                overwrite(&s.layout, &s.manifest, &same_size(&s.manifest));
                Some(s.manifest.digest().clone())
            },
            &[(Error, P::Digest), (Info, P::Orphan), (Info, P::Orphan), (Info, P::Orphan)],
        ),
        (
            "the referrer's bytes",
            |s| {
                overwrite(&s.layout, &s.referrer, &same_size(&s.referrer));
                Some(s.referrer.digest().clone())
            },
            &[(Error, P::Digest), (Info, P::Orphan), (Info, P::Orphan)],
        ),
        (
            "the root gone",
            |s| {
                delete(&s.layout, &s.index);
                Some(s.index.digest().clone())
            },
            &[(Error, P::Dangling)],
        ),
        (
            "index.json is no JSON",
            |s| {
                fs::write(s.layout.path().join("index.json"), "{\"manifests\":[").unwrap();
                None
            },
            &[(Error, P::Index)],
        ),
        (
            "index.json is no index",
            |s| {
                fs::write(
                    s.layout.path().join("index.json"),
                    r#"{"manifests":[{"digest":7}],"mediaType":"x/y"}"#,
                )
                .unwrap();
                None
            },
            &[
                (Error, P::Schema),
                (Error, P::Schema),
                (Error, P::Schema),
                (Error, P::MediaType),
                (Warning, P::Schema),
            ],
        ),
        (
            "strange files",
            |s| {
                fs::write(s.layout.path().join("blobs/sha256/notes"), "x").unwrap();
                None
            },
            &[(Info, P::Unknown)],
        ),
        (
            "blobs is a link",
            |s| {
                let blobs = s.layout.path().join("blobs");
                fs::rename(&blobs, s.layout.path().join("b")).unwrap();
                symlink("b", &blobs).unwrap();
                None
            },
            &[(Error, P::Refused), (Error, P::Refused)],
        ),
    ];
    for (name, damage, expected) in cases {
        let sound = sound();
        let digest = damage(&sound);
        let report = sound.layout.fsck(&options()).unwrap();
        let listed: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        let mut problems = found(&report);
        problems.retain(|one| *one != SPARSE);
        // What only that led to is named by nothing now.
        let orphans = match name {
            "the root gone" => 6,
            "index.json is no index" => 7,
            _ => 0,
        };
        let (rest, lost) = problems.split_at(problems.len() - orphans);
        assert_eq!(rest, expected, "{name}: {listed:#?}");
        assert!(lost.iter().all(|one| *one == (Info, P::Orphan)), "{name}");
        assert_eq!(report.is_sound(), !expected.iter().any(|(severity, _)| *severity == Error), "{name}");
        if let Some(digest) = digest {
            assert_eq!(report.findings[0].digest, Some(digest.clone()), "{name}");
            assert!(listed[0].starts_with(&format!("error: {digest}")), "{name}: {}", listed[0]);
        }
    }
}

/// An image from parts, tagged; the layout is otherwise empty.
fn image(
    config: &Value,
    layers: &[&[u8]],
    change: impl FnOnce(&mut Value, &mut Descriptor),
) -> (TempDir, ImageLayout) {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let layers: Vec<Descriptor> =
        layers.iter().map(|bytes| layout.put(MediaType::ImageLayerGzip, *bytes).unwrap()).collect();
    let config = put_json(&layout, MediaType::ImageConfig, config);
    let mut manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
    let mut entry = Descriptor::new(MediaType::ImageManifest, 0, config.digest().clone());
    change(&mut manifest, &mut entry);
    let mut manifest = put_json(&layout, entry.media_type().clone(), &manifest);
    manifest.set_platform(entry.platform().clone());
    layout.tag(&manifest, "x").unwrap();
    (scratch, layout)
}

#[test]
fn documents_are_compared_with_each_other() {
    use Problem as P;
    use Severity::*;
    let layers = [flipped(b"one"), flipped(b"two")];
    let layers = [layers[0].as_slice(), layers[1].as_slice()];
    let whole = config_of(&["one", "two"]);
    let with = |pointer: &str, value: Value| {
        let mut config = whole.clone();
        *config.pointer_mut(pointer).unwrap() = value;
        config
    };
    let none = |_: &mut Value, _: &mut Descriptor| {};
    let check =
        |name: &str, built: (TempDir, ImageLayout), expected: &[(Severity, Problem)], pointer: &str| {
            let report = built.1.fsck(&options()).unwrap();
            assert_eq!(found(&report), expected, "{name}: {:#?}", report.findings);
            if let Some(first) = report.findings.first() {
                assert_eq!(first.pointer, pointer, "{name}");
            }
        };
    check("sound", image(&whole, &layers, none), &[], "");
    check(
        "swapped",
        image(&config_of(&["two", "one"]), &layers, none),
        &[(Error, P::DiffId), (Error, P::DiffId)],
        "/rootfs/diff_ids/0",
    );
    check(
        "too few",
        image(&config_of(&["one"]), &layers, none),
        &[(Error, P::DiffId), (Warning, P::History)],
        "/rootfs/diff_ids",
    );
    check(
        "no stream",
        image(&config_of(&["one", "two"]), &[layers[0], b"\x1f\x8bbroken"], none),
        &[(Error, P::DiffId)],
        "",
    );
    check(
        "history",
        image(&with("/history/1", json!({})), &layers, none),
        &[(Warning, P::History)],
        "/history",
    );
    check("no history", image(&with("/history", Value::Null), &layers, none), &[], "");
    check("config", image(&with("/os", json!(1)), &layers, none), &[(Error, P::Schema)], "/os");
    let says = |text: &'static str| {
        move |_: &mut Value, entry: &mut Descriptor| {
            entry.set_platform(Some(platform::parse(text).unwrap()));
        }
    };
    check("platform", image(&whole, &layers, says("linux/amd64")), &[], "");
    check(
        "other platform",
        image(&whole, &layers, says("linux/arm64")),
        &[(Warning, P::Platform)],
        "/manifests/0/platform",
    );
    check(
        "same platform, other name",
        image(&with("/architecture", json!("x86_64")), &layers, says("linux/amd64")),
        &[],
        "",
    );
    check(
        "media type",
        image(&whole, &layers, |manifest, _| {
            manifest["mediaType"] = json!(MediaType::ImageIndex);
        }),
        &[(Error, P::MediaType)],
        "/mediaType",
    );
    check(
        "no size",
        image(&whole, &layers, |manifest, _| {
            manifest["layers"][1].as_object_mut().unwrap().remove("size");
        }),
        &[(Error, P::Schema)],
        "/layers/1/size",
    );
    check(
        "wrong size",
        image(&whole, &layers, |manifest, _| {
            manifest["layers"][1]["size"] = json!(1);
        }),
        &[(Error, P::Size)],
        "",
    );
    let subject = Descriptor::new(MediaType::ImageManifest, 1, digest_of(Algorithm::Sha256, b"gone"));
    check(
        "no subject",
        image(&whole, &layers, |manifest, _| manifest["subject"] = json!(subject)),
        &[(Info, P::Missing)],
        "",
    );
    let foreign =
        Descriptor::new(MediaType::ImageLayerNonDistributableGzip, 1, digest_of(Algorithm::Sha256, b"far"));
    check(
        "foreign",
        image(&config_of(&["one", "far"]), &layers[..1], |manifest, _| {
            manifest["layers"].as_array_mut().unwrap().push(json!(foreign));
        }),
        &[],
        "",
    );
}

#[test]
fn names_that_are_there_twice() {
    let sound = sound();
    let (layout, manifest) = (&sound.layout, &sound.manifest);
    let plain = Descriptor::new(manifest.media_type().clone(), manifest.size(), manifest.digest().clone());
    layout
        .edit_index(|index| {
            let entry = |tag: &str, platform: Option<Platform>| {
                let mut entry = json!(plain);
                entry["annotations"] = json!({REF_NAME: tag});
                entry["platform"] = json!(platform);
                entry
            };
            let amd = || platform::parse("linux/amd64").ok();
            let list = index["manifests"].as_array_mut().unwrap();
            list.extend([entry("twice", None), entry("twice", None)]);
            list.push(entry("latest", None));
            list.extend([entry("both", amd()), entry("both", platform::parse("linux/amd64/v2").ok())]);
            Ok(true)
        })
        .unwrap();
    let report = layout.fsck(&options()).unwrap();
    let of = |problem| report.of(problem).map(|f| (f.severity, f.reason.clone())).collect::<Vec<_>>();
    assert_eq!(of(Problem::DuplicateEntry), [(Severity::Warning, "the same entry comes earlier".to_owned())]);
    assert_eq!(
        of(Problem::DuplicateTag),
        [
            (Severity::Warning, "2 entries have the tag \"latest\", and the first counts".to_owned()),
            (Severity::Info, "2 entries have the tag \"both\", and the first counts".to_owned()),
        ]
    );
    assert!(report.is_sound());
}

#[test]
fn hostile_layouts_end() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let leaf = put_json(&layout, MediaType::ImageIndex, &json!({"schemaVersion": 2, "manifests": []}));
    let mut index = put_json(
        &layout,
        MediaType::ImageIndex,
        &json!({"schemaVersion": 2, "manifests": vec![&leaf; 10_000]}),
    );
    for _ in 0..20 {
        index = put_json(
            &layout,
            MediaType::ImageIndex,
            &json!({"schemaVersion": 2, "manifests": vec![&index; 1_000]}),
        );
    }
    layout.tag(&index, "x").unwrap();
    let report = layout.fsck(&options()).unwrap();
    assert_eq!((found(&report), report.documents), (vec![], 22));

    // An index that names itself, and ten thousand broken entries.
    let fake: Digest = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
    let bytes = json!({"manifests": [Descriptor::new(MediaType::ImageIndex, 1, fake.clone())]}).to_string();
    fs::write(layout.blob_path(&fake).unwrap(), &bytes).unwrap();
    layout.tag(&Descriptor::new(MediaType::ImageIndex, bytes.len() as u64, fake.clone()), "fake").unwrap();
    let broken =
        put_json(&layout, MediaType::ImageIndex, &json!({"schemaVersion": 2, "manifests": vec![7; 10_000]}));
    layout.tag(&broken, "broken").unwrap();
    let report = layout.fsck(&options()).unwrap();
    assert_eq!(report.of(Problem::Digest).count(), 1);
    assert_eq!(report.of(Problem::Schema).count(), 100);
    let report = layout.fsck(&options().max_findings(7)).unwrap();
    assert_eq!((report.findings.len(), report.suppressed, report.errors), (7, 94, 101));
    assert!(!report.is_sound());
    // What is only worth knowing gives way to damage, and is none.
    for n in 0..10 {
        layout.put("x/y".into(), format!("orphan {n}").as_bytes()).unwrap();
    }
    let report = layout.fsck(&options().max_findings(3)).unwrap();
    assert!(report.findings.iter().all(|finding| finding.severity == Severity::Error));
    layout.untag("fake").unwrap();
    layout.untag("broken").unwrap();
    fs::remove_file(layout.blob_path(&fake).unwrap()).unwrap();
    let report = layout.fsck(&options().max_findings(3)).unwrap();
    assert_eq!((report.findings.len(), report.suppressed, report.is_sound()), (3, 8, true));

    let cancel = CancelToken::new();
    cancel.cancel();
    let error = layout.fsck(&options().cancel(cancel)).unwrap_err();
    assert!(matches!(oci_digest::Error::from(error), oci_digest::Error::Cancelled));
}

#[test]
fn every_blob_is_told() {
    let sound = sound();
    let layout = &sound.layout;
    let (planned, read) = (std::sync::Arc::new(AtomicU64::new(0)), std::sync::Arc::new(AtomicU64::new(0)));
    let counts = (planned.clone(), read.clone());
    let report = layout
        .fsck(&options().jobs(3).observer(move |event| match event {
            FsckEvent::Planned { bytes, .. } => counts.0.store(*bytes, Ordering::Relaxed),
            FsckEvent::Read { descriptor } => drop(counts.1.fetch_add(descriptor.size(), Ordering::Relaxed)),
            _ => {}
        }))
        .unwrap();
    assert_eq!(planned.load(Ordering::Relaxed), report.bytes);
    assert_eq!(read.load(Ordering::Relaxed), report.bytes);
}

#[test]
fn what_is_damaged_or_missing_is_mended_from_another_store() {
    let damaged = sound();
    let layout = &damaged.layout;
    let store = MemoryStore::new();
    for one in [&damaged.config, &damaged.layers[0], &damaged.layers[1], &damaged.manifest, &damaged.index] {
        store.ingest(one, &(layout as &dyn Source, one)).unwrap();
    }
    overwrite(layout, &damaged.layers[0], b"cut");
    overwrite(layout, &damaged.layers[1], &same_size(&damaged.layers[1]));
    overwrite(layout, &damaged.manifest, &same_size(&damaged.manifest));
    delete(layout, &damaged.config);
    delete(layout, &damaged.index);

    // Nowhere to fetch from: what is damaged is moved, the rest is told.
    let orphan = layout.put("x/y".into(), &b"an orphan"[..]).unwrap();
    overwrite(layout, &orphan, b"damaged");
    let report = layout.repair(&options(), &RepairOptions::default()).unwrap();
    assert_eq!((report.quarantined.len(), report.fetched.len()), (4, 0), "{report:#?}");
    for (digest, path) in &report.quarantined {
        assert!(path.ends_with(format!(".oci-layout/quarantine/sha256-{}", digest.digest())));
        assert!(path.is_file() && !layout.blob_path(digest).unwrap().exists());
    }
    assert!(!report.after.is_sound());
    assert_eq!(layout.tags().unwrap(), ["latest"]);

    let report = layout.repair(&options(), &RepairOptions::default().source(&store)).unwrap();
    assert!(report.after.is_sound(), "{:#?}", report.after.findings);
    assert_eq!((report.quarantined.len(), report.fetched.len(), report.failed.len()), (0, 5, 0));
    assert_eq!(found(&layout.fsck(&options()).unwrap()), [SPARSE]);
    let report = layout.repair(&options(), &RepairOptions::default().source(&store).fetch_all(true)).unwrap();
    assert_eq!((report.fetched.len(), report.failed.len()), (0, 1));
    assert!(report.failed[0].1.is_not_found());

    // Damaged again: what is in the quarantine stays, and a collection leaves it alone.
    overwrite(layout, &damaged.layers[0], b"cut");
    let report = layout.repair(&options(), &RepairOptions::default().source(&store)).unwrap();
    assert!(report.quarantined[0].1.to_str().unwrap().ends_with(".1"), "{report:?}");
    layout.gc(&GcOptions::default().grace(std::time::Duration::ZERO)).unwrap();
    assert_eq!(fs::read_dir(layout.path().join(".oci-layout/quarantine")).unwrap().count(), 5);
    assert_eq!(layout.read(&damaged.layers[0], 99).unwrap(), flipped(b"one"));
}

#[test]
fn a_right_blob_with_a_wrong_descriptor_stays() {
    let (_scratch, layout) = image(&config_of(&["one"]), &[&flipped(b"one")], |manifest, _| {
        manifest["layers"][0]["size"] = json!(99);
    });
    let report = layout.repair(&options(), &RepairOptions::default().source(&MemoryStore::new())).unwrap();
    assert_eq!(report.quarantined, []);
    assert_eq!(report.after.of(Problem::Size).count(), 1);
}

#[test]
fn entries_to_nowhere_go_only_when_asked() {
    let sound = sound();
    let (layout, index, manifest) = (&sound.layout, &sound.index, &sound.manifest);
    layout.tag(manifest, "kept").unwrap();
    delete(layout, index);
    let report = layout.repair(&options(), &RepairOptions::default()).unwrap();
    assert_eq!((report.removed_entries, report.after.of(Problem::Dangling).count()), (0, 1));
    assert_eq!(layout.tags().unwrap(), ["kept", "latest"]);
    let report = layout.repair(&options(), &RepairOptions::default().remove_dangling(true)).unwrap();
    assert_eq!((report.removed_entries, report.after.of(Problem::Dangling).count()), (1, 0));
    assert_eq!(layout.tags().unwrap(), ["kept"]);
    assert!(report.after.is_sound());
}

#[test]
fn what_cannot_be_read_is_no_damage() {
    let sound = sound();
    let (layout, layers) = (&sound.layout, &sound.layers);
    if rustix::process::geteuid().is_root() {
        return eprintln!("SKIP what_cannot_be_read_is_no_damage: needs an ordinary user");
    }
    let path = layout.blob_path(layers[0].digest()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let report = layout.repair(&options(), &RepairOptions::default());
    assert!(path.exists(), "{report:?}");
    let report = layout.fsck(&options()).unwrap();
    assert_eq!(report.of(Problem::Digest).count(), 0);
    assert!(report.of(Problem::Unreadable).count() > 0);
    assert!(matches!(layout.get(&layers[0]), Err(Error::Io { .. })));
}

#[test]
fn a_shared_folder_has_its_quarantine_beside_the_blobs() {
    let scratch = tempfile::tempdir().unwrap();
    let shared = scratch.path().join("shared");
    let open =
        |name| LayoutOptions::default().shared_blobs(&shared).create(scratch.path().join(name)).unwrap();
    let (one, other) = (open("one"), open("other"));
    let blob = one.put(MediaType::ImageLayer, &b"blob"[..]).unwrap();
    one.tag(&blob, "x").unwrap();
    let store = MemoryStore::new();
    store.ingest(&blob, &&b"blob"[..]).unwrap();
    overwrite(&one, &blob, b"blub");
    let report = one.repair(&options(), &RepairOptions::default().source(&store)).unwrap();
    assert!(report.quarantined[0].1.starts_with(shared.join(".oci-layout/quarantine")), "{report:?}");
    assert!(report.after.is_sound());
    assert_eq!(other.read(&blob, 9).unwrap(), b"blob");
}

#[test]
fn orphans_of_a_shared_folder_are_told_by_all_its_layouts_only() {
    let scratch = tempfile::tempdir().unwrap();
    let shared = scratch.path().join("shared");
    let open =
        |name| LayoutOptions::default().shared_blobs(&shared).create(scratch.path().join(name)).unwrap();
    let (one, other) = (open("one"), open("other"));
    let put = |layout: &ImageLayout, text: &str| layout.put("text/plain".into(), text.as_bytes()).unwrap();
    one.tag(&put(&one, "one"), "x").unwrap();
    assert!(one.fsck(&options()).unwrap().findings.is_empty(), "nothing lies there that it does not name");
    other.tag(&put(&other, "other"), "x").unwrap();
    let orphan = put(&one, "orphan");

    let report = one.fsck(&options()).unwrap();
    assert_eq!(found(&report), [(Severity::Info, Problem::Untold)]);
    assert!(report.findings[0].to_string().contains("2 blobs"), "{report:?}");
    let told = one.fsck(&options().sharing([other.path(), one.path()])).unwrap();
    assert_eq!(found(&told), [(Severity::Info, Problem::Orphan)]);
    assert_eq!(told.findings[0].digest.as_ref(), Some(orphan.digest()));
    assert!(one.fsck(&options().sharing([scratch.path().join("none")])).is_err());
}

/// Readers look at the bytes, but not all of them.
#[test]
fn a_layer_that_is_compressed_in_another_way_than_it_says_is_told() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let zstd: Vec<u8> = ZSTD.iter().copied().chain(flipped(b"inside").split_off(GZIP.len())).collect();
    for (tag, media_type, bytes, expected) in [
        ("gzip as plain", MediaType::ImageLayer, flipped(b"inside"), "no compression, its bytes are gzip"),
        (
            "plain as gzip",
            MediaType::ImageLayerGzip,
            b"inside".to_vec(),
            "gzip, its bytes are no compression",
        ),
        ("zstd as gzip", MediaType::ImageLayerGzip, zstd, "gzip, its bytes are zstd"),
        ("xz as gzip", MediaType::ImageLayerGzip, b"\xfd7zXZ\0".to_vec(), "gzip, its bytes are xz"),
    ] {
        let layer = layout.put(media_type, bytes.as_slice()).unwrap();
        let config = put_json(
            &layout,
            MediaType::ImageConfig,
            &json!({"architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [digest_of(Algorithm::Sha256, b"inside")]}}),
        );
        let manifest = put_json(
            &layout,
            MediaType::ImageManifest,
            &json!({"schemaVersion": 2,
            "mediaType": MediaType::ImageManifest, "config": config, "layers": [layer]}),
        );
        layout.tag(&manifest, "x").unwrap();
        layout.gc(&GcOptions::default().grace(std::time::Duration::ZERO)).unwrap();
        let report = layout.fsck(&options()).unwrap();
        let reasons: Vec<_> = report.of(Problem::MediaType).map(|finding| finding.reason.clone()).collect();
        assert_eq!(reasons, [format!("its media type says {expected}")], "{tag}");
        // What nobody can decompress has no diffID; what can be has the right one here.
        assert_eq!(report.of(Problem::DiffId).count(), usize::from(tag == "xz as gzip"), "{tag}: {report:?}");
    }
}
