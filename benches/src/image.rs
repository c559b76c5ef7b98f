use oci_digest::content::Sink;
use oci_digest::{Algorithm, Descriptor, MediaType, canonical, digest_of, platform};
use serde_json::json;

use crate::MadeLayer;

/// Anything that can go wrong in making something to measure.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Puts an image of these layers into a store, under a tag.
///
/// # Errors
/// What the store can meet.
pub fn add_image(store: &dyn Sink, tag: &str, layers: &[MadeLayer]) -> Result<Descriptor, Failure> {
    for (blob, layer) in layers {
        store.ingest(&layer.descriptor(), &&blob[..])?;
    }
    let config = canonical::to_vec(&json!({
        "architecture": platform::host().architecture(),
        "os": "linux",
        "rootfs": {
            "type": "layers",
            "diff_ids": layers.iter().map(|(_, layer)| &layer.diff_id).collect::<Vec<_>>(),
        },
    }))?;
    let config_descriptor = describe(MediaType::ImageConfig, &config);
    store.ingest(&config_descriptor, &&config[..])?;
    let manifest = canonical::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageManifest,
        "config": config_descriptor,
        "layers": layers.iter().map(|(_, layer)| layer.descriptor()).collect::<Vec<_>>(),
    }))?;
    let descriptor = describe(MediaType::ImageManifest, &manifest);
    store.publish(&descriptor, &manifest, &[tag])?;
    Ok(descriptor)
}

fn describe(media_type: MediaType, bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type, bytes.len() as u64, digest_of(Algorithm::Sha256, bytes))
}
