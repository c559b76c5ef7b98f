//! Many layouts with their blobs in one folder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use oci_digest::content::{self, CopyOptions, Sink, SourceExt};
use oci_digest::{Algorithm, Descriptor, ImageManifest, MediaType, conformance, digest_of, platform};
use oci_layout::edit::{Family, ImageEdit};
use oci_layout::gc::GcOptions;
use oci_layout::{Error, ImageLayout, LayoutOptions, SyncPolicy};

const ROLE: &str = "OCI_LAYOUT_TEST_ROLE";
const PATH: &str = "OCI_LAYOUT_TEST_PATH";

/// How many images each process tags.
const IMAGES: usize = 25;

fn layout(folder: &Path, name: &str) -> ImageLayout {
    LayoutOptions::default().shared_blobs(folder.join("shared")).open_or_create(folder.join(name)).unwrap()
}

fn image(layout: &ImageLayout, text: &str) {
    let mut edit = ImageEdit::new(Family::Oci, &platform::host());
    edit.config_mut().unwrap().author(text);
    edit.commit_in(layout, &[text]).unwrap();
}

fn blobs(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("sha256")).map_or(0, |entries| entries.count())
}

#[test]
fn blobs_are_in_the_one_folder_and_names_in_each_layout() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    let (a, b) = (layout(at, "a"), layout(at, "b"));
    image(&a, "one");
    image(&b, "one");
    image(&b, "two");
    assert_eq!((a.tags().unwrap().len(), b.tags().unwrap().len()), (1, 2));
    assert_eq!(blobs(&at.join("shared")), 4, "what both have is there once");
    assert_eq!((blobs(&at.join("a/blobs")), blobs(&at.join("b/blobs"))), (0, 0));
    assert!(at.join("a/blobs").is_dir(), "the specification asks for it");

    // Another layout of the folder has the blobs, and so nothing is sent.
    let c = layout(at, "c");
    let report = content::copy(&b, "two", &c, &CopyOptions::default()).unwrap();
    assert_eq!((report.present, report.sent), (1, 1));
    let two = content::image(&c, "two", None).unwrap();
    assert!(c.blob_path(two.config.digest()).unwrap().starts_with(at.join("shared/sha256")));

    // Without being told of the folder a layout has none of them.
    let alone = ImageLayout::open(at.join("a")).unwrap();
    assert!(content::image(&alone, "one", None).unwrap_err().is_not_found());
    // What one removes, another may have.
    assert!(b.remove(two.descriptor.digest()).unwrap());
    assert!(content::image(&c, "two", None).is_ok());
    assert!(b.resolve("two").unwrap_err().is_not_found());
}

#[test]
fn a_shared_folder_is_collected_for_all_its_layouts_or_not_at_all() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    let (a, b) = (layout(at, "a"), layout(at, "b"));
    image(&a, "one");
    image(&b, "two");
    image(&b, "goes");
    b.untag("goes").unwrap();
    let now = GcOptions::default().grace(Duration::ZERO);
    for layout in [&a, &b] {
        let error = layout.gc(&now).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
    }
    assert_eq!(blobs(&at.join("shared")), 6);
    let dry = a.gc(&now.clone().sharing([at.join("b")]).dry_run(true)).unwrap();
    assert_eq!((dry.removed.files, dry.live.files), (2, 4));
    // The same layout under two names, and itself, are no others.
    std::os::unix::fs::symlink(at.join("b"), at.join("again")).unwrap();
    let report = a.gc(&now.clone().sharing([at.join("b"), at.join("again"), at.join("a")])).unwrap();
    assert_eq!((report.removed.files, report.live.files), (2, 4));
    assert!(report.unknown.is_empty(), "{:?}", report.unknown);
    for (layout, tag) in [(&a, "one"), (&b, "two")] {
        content::image(layout, tag, None).unwrap();
    }
    assert!(a.gc(&now.clone().sharing([at.join("missing")])).is_err());
    // A layout with its own blobs needs nobody.
    ImageLayout::create(at.join("alone")).unwrap().gc(&now).unwrap();
}

#[test]
fn collections_and_writers_of_many_layouts_lose_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    let names = ["a", "b", "c"];
    names.iter().for_each(|name| drop(layout(at, name)));
    std::thread::scope(|scope| {
        for name in names {
            scope.spawn(move || {
                let layout = layout(at, name);
                for n in 0..15 {
                    image(&layout, &format!("{name}-{n}"));
                }
            });
            scope.spawn(move || {
                let layout = layout(at, name);
                let others = names.iter().filter(|other| **other != name).map(|other| at.join(other));
                let options = GcOptions::default().sharing(others);
                for _ in 0..10 {
                    layout.gc(&options).unwrap();
                }
            });
        }
    });
    for name in names {
        let layout = layout(at, name);
        for n in 0..15 {
            content::image(&layout, &format!("{name}-{n}"), None).unwrap();
        }
    }
}

/// What a spawned process does; nothing in an ordinary run.
#[test]
fn in_a_role() {
    let (Ok(name), Some(at)) = (std::env::var(ROLE), std::env::var_os(PATH)) else { return };
    let layout = layout(Path::new(&at), &name);
    let put = |text: &str| layout.put(MediaType::ImageLayer, text.as_bytes()).unwrap();
    let config = put("{}");
    for n in 0..IMAGES {
        // What was there for long and nobody named, which a collector may take until we rely on it: it is put again.
        let old = format!("old {name} {} {n}", std::process::id());
        make_old(&layout, &put(&old));
        let layers = [put(&old), put(&format!("{name} {n}")), put(&format!("met {n}"))];
        let manifest =
            serde_json::json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string();
        let digest = digest_of(Algorithm::Sha256, manifest.as_bytes());
        let descriptor = Descriptor::new(MediaType::ImageManifest, manifest.len() as u64, digest);
        layout.publish(&descriptor, manifest.as_bytes(), &[&format!("{n}"), "moves"]).unwrap();
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn make_old(layout: &ImageLayout, blob: &Descriptor) {
    let path = layout.blob_path(blob.digest()).unwrap();
    std::fs::File::open(path).unwrap().set_modified(std::time::SystemTime::now() - 2 * HOUR).unwrap();
}

/// Processes that write to three layouts of one folder, and two collectors that each find garbage to remove whenever they
/// look. The grace age is an hour, which no writer takes; what is older was made so, by its time.
#[test]
fn collectors_that_sweep_beside_processes_in_many_layouts_take_only_garbage() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    let names = ["a", "b", "c"];
    names.iter().for_each(|name| drop(layout(at, name)));
    let put_long_ago = |text: String| {
        let layout = layout(at, "a");
        let blob = layout.put(MediaType::ImageLayer, text.as_bytes()).unwrap();
        make_old(&layout, &blob);
        blob
    };
    // A layout that nobody writes to has a blob of long ago.
    let quiet = layout(at, "quiet");
    let old = put_long_ago("quiet".to_owned());
    quiet.tag(&old, "x").unwrap();
    make_old(&quiet, &old);
    let mut writers: Vec<_> = names
        .iter()
        .cycle()
        .take(6)
        .map(|name| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "in_a_role", "--nocapture", "--test-threads=1"])
                .envs([(ROLE, std::ffi::OsStr::new(name)), (PATH, at.as_os_str())])
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let (swept, garbage) = std::thread::scope(|scope| {
        let collectors = ["a", "quiet"].map(|name| {
            let (is_done, put_long_ago) = (&is_done, &put_long_ago);
            scope.spawn(move || {
                let others = ["a", "b", "c", "quiet"].into_iter().filter(|other| *other != name);
                let options = GcOptions::default().grace(HOUR).sharing(others.map(|other| at.join(other)));
                let (mut removed, mut garbage) = (0, Vec::new());
                for round in 0.. {
                    if is_done.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                    garbage.push(put_long_ago(format!("garbage of {name} {round}")));
                    removed += layout(at, name).gc(&options).unwrap().removed.files;
                }
                (removed, garbage)
            })
        });
        for writer in &mut writers {
            assert!(writer.wait().unwrap().success());
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        let ends = collectors.map(|collector| collector.join().unwrap());
        (ends.iter().map(|end| end.0).sum::<u64>(), ends.map(|end| end.1).concat())
    });
    // Two that remove the same blob at once may both count it.
    assert!(swept >= garbage.len() as u64, "{swept} of {}", garbage.len());
    assert!(garbage.iter().all(|blob| !quiet.contains(blob).unwrap()));
    assert_eq!(quiet.read(&old, 99).unwrap(), b"quiet");
    for name in names {
        let layout = layout(at, name);
        assert_eq!(layout.tags().unwrap().len(), IMAGES + 1);
        for n in 0..IMAGES {
            let manifest = layout.resolve(&n.to_string()).unwrap();
            let manifest = layout.document::<ImageManifest>(&manifest, 1 << 20).unwrap();
            for layer in manifest.view().layers() {
                layout.read(layer, 99).unwrap();
            }
            layout.read(manifest.view().config(), 99).unwrap();
        }
    }
}

#[test]
fn a_layout_with_shared_blobs_keeps_the_contract() {
    let scratch = tempfile::tempdir().unwrap();
    let n = std::cell::Cell::new(0);
    for sync in [SyncPolicy::None, SyncPolicy::PerBlob] {
        conformance::exchange(|| {
            n.set(n.get() + 1);
            let options = LayoutOptions::default().sync(sync).shared_blobs(scratch.path().join("shared"));
            Ok(options.create(scratch.path().join(n.get().to_string()))?)
        })
        .unwrap();
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    ImageLayout::create(at.join("l")).unwrap();
    let error = LayoutOptions::default().shared_blobs(at.join("none")).open(at.join("l")).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
    let made = LayoutOptions::default().shared_blobs(at.join("x/y")).create(at.join("m")).unwrap();
    made.put(MediaType::ImageLayer, &b"blob"[..]).unwrap();
    assert_eq!(blobs(&at.join("x/y")), 1);
}
