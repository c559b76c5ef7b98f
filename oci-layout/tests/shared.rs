//! Many layouts with their blobs in one folder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use oci_digest::content::{self, CopyOptions};
use oci_digest::{MediaType, conformance, platform};
use oci_layout::edit::{Family, ImageEdit};
use oci_layout::gc::GcOptions;
use oci_layout::{Error, ImageLayout, LayoutOptions, SyncPolicy};

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
