use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::failure::{Check, during};
use crate::content::Sink;
use crate::{Algorithm, Descriptor, MediaType, Result, canonical, digest_of};

/// Content with its descriptor.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Vec<u8>,
}

/// A manifest with the blobs it needs.
pub(super) struct Image {
    pub(super) blobs: Vec<Item>,
    pub(super) manifest: Item,
}

impl Item {
    pub(super) fn new(media_type: MediaType, algorithm: Algorithm, bytes: Vec<u8>) -> Self {
        let digest = digest_of(algorithm, &bytes);
        Self { descriptor: Descriptor::new(media_type, bytes.len() as u64, digest), bytes }
    }

    /// Bytes that nothing else has.
    pub(super) fn blob(size: usize) -> Self {
        Self::blob_of(Algorithm::Sha256, size)
    }

    pub(super) fn blob_of(algorithm: Algorithm, size: usize) -> Self {
        let mut state = unique().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let bytes = std::iter::repeat_with(|| {
            // xorshift64: no pattern that a store could fold.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .flatten()
        .take(size)
        .collect();
        Self::new(MediaType::ImageLayer, algorithm, bytes)
    }

    pub(super) fn ingest(&self, sink: &(impl Sink + ?Sized)) -> Result<()> {
        sink.ingest(&self.descriptor, &self.bytes.as_slice())
    }
}

impl Image {
    pub(super) fn new() -> Self {
        Self::with(json!({}))
    }

    /// An image whose manifest has further members.
    pub(super) fn with(members: Value) -> Self {
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "author": format!("conformance {}", unique()),
            "rootfs": {"type": "layers", "diff_ids": []},
        });
        let config = Item::new(
            MediaType::ImageConfig,
            Algorithm::Sha256,
            canonical::to_vec(&config).unwrap_or_default(),
        );
        let layers = [Item::blob(700), Item::blob(100)];
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::ImageManifest,
            "config": config.descriptor,
            "layers": [layers[0].descriptor, layers[1].descriptor],
        });
        if let (Some(manifest), Value::Object(members)) = (manifest.as_object_mut(), members) {
            manifest.extend(members);
        }
        let manifest = Item::new(
            MediaType::ImageManifest,
            Algorithm::Sha256,
            canonical::to_vec(&manifest).unwrap_or_default(),
        );
        Self { blobs: [config].into_iter().chain(layers).collect(), manifest }
    }

    pub(super) fn ingest_blobs(&self, sink: &(impl Sink + ?Sized)) -> Check {
        self.blobs.iter().try_for_each(|blob| during("ingesting a blob", blob.ingest(sink)))
    }

    pub(super) fn publish(&self, sink: &(impl Sink + ?Sized), tags: &[&str]) -> Check {
        self.ingest_blobs(sink)?;
        during("publishing a manifest", sink.publish(&self.manifest.descriptor, &self.manifest.bytes, tags))
    }
}

/// A tag that nothing else has.
pub(super) fn tag() -> String {
    format!("t-{:x}", unique())
}

fn unique() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    static SALT: OnceLock<u64> = OnceLock::new();
    let salt = SALT.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (now.as_secs() << 20) ^ u64::from(now.subsec_nanos()) ^ (u64::from(std::process::id()) << 40)
    });
    salt.wrapping_add(COUNTER.fetch_add(1, Ordering::Relaxed))
}
