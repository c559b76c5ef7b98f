//! What happens, told to people or machines.

use examples::Progress;
use oci_digest::content::Image;
use oci_unpack::Event;
use serde_json::json;

/// The layers of an image are about to be read.
pub(crate) fn start(progress: &Progress, image: &Image) {
    let layers = image.manifest.view().layers();
    let bytes = layers.iter().map(|layer| layer.size()).fold(0, u64::saturating_add);
    progress.start(bytes, "starting");
    progress.event(&json!({
        "event": "start",
        "manifest": image.descriptor.digest().to_string(),
        "layers": layers.len(),
        "bytes": bytes,
    }));
}

/// An observer for the unpacking of an image.
pub(crate) fn unpacking(progress: &Progress, image: &Image) -> impl Fn(&Event) + Send + Sync + 'static {
    let progress = progress.clone();
    let digests: Vec<String> =
        image.manifest.view().layers().iter().map(|layer| layer.digest().to_string()).collect();
    let count = digests.len();
    move |event| match event {
        Event::LayerStarted { layer } => {
            progress.message(format!("layer {} of {count}", layer + 1));
            let digest = digests.get(*layer);
            progress.event(&json!({"event": "layer-started", "layer": layer, "digest": digest}));
        }
        Event::Progress { layer, entries, bytes } => {
            progress.event(&json!({"event": "progress", "layer": layer, "entries": entries, "bytes": bytes}))
        }
        Event::LayerDone { layer, entries, bytes } => progress
            .event(&json!({"event": "layer-done", "layer": layer, "entries": entries, "bytes": bytes})),
        Event::Warning { layer, path, warning } => {
            let place = if path.is_empty() { format!("layer {}", layer) } else { path.clone() };
            progress.warn(&place, &warning.to_string());
        }
        _ => {}
    }
}
