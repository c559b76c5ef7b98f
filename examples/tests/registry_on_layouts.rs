//! The embedded registry over image layouts: what is pushed to it by HTTP stands in the folders, and what stands in the
//! folders is served.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test program")]

mod peers;

use std::sync::Arc;

use examples::Access;
use oci_client::Reference;
use oci_client::registry::{OpenedRepositories, Registry};
use oci_digest::content::{self, CopyOptions, MemoryStore, Sink, Store};
use oci_digest::{Algorithm, Descriptor, Document, ImageManifest, MediaType, digest_of};
use oci_layout::ImageLayout;

/// A small artifact with one layer.
fn artifact(store: &dyn Sink, text: &str) -> Descriptor {
    let blob = |media_type: MediaType, bytes: &[u8]| {
        let descriptor = Descriptor::new(media_type, bytes.len() as u64, digest_of(Algorithm::Sha256, bytes));
        store.ingest(&descriptor, &bytes).unwrap();
        descriptor
    };
    let config = blob(MediaType::EmptyJSON, b"{}");
    let layer = blob("text/plain".into(), text.as_bytes());
    let json = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
    let bytes = oci_digest::canonical::to_vec(&json).unwrap();
    let manifest: Document<ImageManifest> = Document::parse(bytes, None).unwrap();
    store.publish(manifest.descriptor(), manifest.bytes(), &["v1"]).unwrap();
    manifest.descriptor().clone()
}

#[test]
fn folders_are_repositories() {
    let folder = peers::scratch();
    let root = folder.path().to_owned();
    let repositories = OpenedRepositories::new(move |name: &str, create: bool| {
        let path = root.join(name);
        if !create && !path.exists() {
            return Ok(None);
        }
        let layout = ImageLayout::open_or_create(path)?;
        Ok(Some(Arc::new(layout) as Arc<dyn Store>))
    });
    let server = Registry::builder().repositories(repositories).start().unwrap();
    let reference: Reference = format!("{}/team/app:v1", server.host()).parse().unwrap();
    let repository = Access::default().repository(&reference).unwrap();

    let source = MemoryStore::new();
    let pushed = artifact(&source, "pushed by HTTP");
    content::copy(&source, "v1", &repository, &CopyOptions::default()).unwrap();
    let layout = ImageLayout::open(folder.path().join("team/app")).unwrap();
    assert_eq!(layout.resolve("v1").unwrap().digest(), pushed.digest());
    assert_eq!(layout.tags().unwrap(), ["v1"]);

    // What another program puts there is there for the next request.
    let put = artifact(&layout, "put into the folder");
    let pulled = MemoryStore::new();
    let report = content::copy(&repository, "v1", &pulled, &CopyOptions::default()).unwrap();
    assert_eq!(report.root.digest(), put.digest());
    assert_eq!(repository.tags().unwrap(), ["v1"]);
}
