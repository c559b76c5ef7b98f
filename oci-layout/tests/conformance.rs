//! The content traits' conformance suite, on layouts of every sync policy.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use oci_digest::conformance;
use oci_layout::{Error, ImageLayout, LayoutOptions, SyncPolicy};

#[test]
fn a_layout_is_a_store() {
    let scratch = tempfile::tempdir().unwrap();
    let n = AtomicUsize::new(0);
    for sync in [SyncPolicy::None, SyncPolicy::PerBlob, SyncPolicy::Full] {
        conformance::store(|| {
            let path = scratch.path().join(n.fetch_add(1, Ordering::Relaxed).to_string());
            Ok(LayoutOptions::default().sync(sync).create(path)?)
        })
        .unwrap();
    }
}

#[test]
fn one_layout_opened_again_and_again_is_a_store() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("layout");
    conformance::store(|| Ok(ImageLayout::open_or_create(&path)?)).unwrap();
}

#[test]
fn a_layout_that_somebody_else_filled_is_a_source() {
    let scratch = tempfile::tempdir().unwrap();
    conformance::source(|store| {
        let path = scratch.path().join("layout");
        let _ = std::fs::remove_dir_all(&path);
        fill(store, &ImageLayout::create(&path)?)?;
        Ok(ImageLayout::open(&path)?)
    })
    .unwrap();
}

fn fill(from: &oci_digest::content::MemoryStore, to: &ImageLayout) -> Result<(), Error> {
    use oci_digest::content::{Source, Store};

    for descriptor in from.contents() {
        to.ingest(&descriptor, &(from, &descriptor))?;
    }
    for tag in from.tags()? {
        to.tag(&from.resolve(&tag)?, &tag)?;
    }
    Ok(())
}
