use std::ops::Range;

use oci_digest::content::{Image, ImageLayer};
use oci_digest::spec::History;
use oci_digest::{Descriptor, Digest, Document, ImageManifest};
use serde_json::{Value, json};

use super::{Family, ImageEdit, json};
use crate::Result;

/// image-spec annotations.md, Pre-Defined Annotation Keys.
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
const BASE_NAME: &str = "org.opencontainers.image.base.name";

/// A layer that comes into an image: its blob, which the sink must have at the commit, and what the config says of it.
#[derive(Debug, Clone)]
pub struct LayerAddition {
    /// The blob. Its media type becomes that of the image's family.
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// How it came to be.
    pub history: Option<History>,
}

impl LayerAddition {
    /// A layer without a history.
    pub fn new(descriptor: Descriptor, diff_id: Digest) -> Self {
        Self { descriptor, diff_id, history: None }
    }

    /// Sets [`history`](Self::history).
    #[must_use]
    pub fn history(mut self, history: History) -> Self {
        self.history = Some(history);
        self
    }
}

impl ImageEdit {
    /// The layers as they are now, the lowest first.
    ///
    /// # Errors
    /// An invalid document when the config does not name one digest for each layer; an unsupported media type for an
    /// artifact.
    pub fn layers(&self) -> Result<Vec<ImageLayer>> {
        let config = self.config_part()?;
        let bytes = oci_digest::canonical::to_vec(&self.manifest.value)?;
        let manifest = Document::<ImageManifest>::parse(bytes, None)?.into_view();
        let diff_ids = array(&config.value, "/rootfs/diff_ids");
        if diff_ids.len() != manifest.layers().len() {
            let reason = format!("{} diff ids for {} layers", diff_ids.len(), manifest.layers().len());
            return Err(config.wrong("/rootfs/diff_ids".to_owned(), reason).into());
        }
        let mut layers = Vec::new();
        for (n, (layer, diff_id)) in manifest.layers().iter().zip(diff_ids).enumerate() {
            let diff_id = diff_id
                .as_str()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| config.wrong(format!("/rootfs/diff_ids/{n}"), "it is no digest".to_owned()))?;
            layers.push(ImageLayer::new(layer.clone(), diff_id));
        }
        Ok(layers)
    }

    /// Puts a layer on top.
    ///
    /// An image whose history names its layers gets an entry for this one, an empty one when there is no history.
    ///
    /// # Errors
    /// As [`config_mut`](Self::config_mut).
    pub fn append_layer(&mut self, layer: LayerAddition) -> Result<()> {
        let top = array(&self.manifest.value, "/layers").len();
        self.replace_layers(top..top, layer)
    }

    /// Adds an entry to the history that brought no layer, such as a change of the config.
    ///
    /// # Errors
    /// As [`config_mut`](Self::config_mut).
    pub fn append_history(&mut self, mut history: History) -> Result<()> {
        history.set_empty_layer(Some(true));
        let layers = array(&self.manifest.value, "/layers").len();
        let config = &mut self.config_part_mut()?.value;
        pad_history(config, layers);
        json::list(config, "history").push(json!(history));
        Ok(())
    }

    /// Replaces a range of layers, the lowest being 0, by one that holds what they make together. The merging itself
    /// is the caller's. In the history its entry takes the place of the last of theirs.
    ///
    /// # Errors
    /// An invalid range when it is empty or goes beyond the layers; as [`config_mut`](Self::config_mut).
    pub fn squash(&mut self, range: Range<usize>, layer: LayerAddition) -> Result<()> {
        let layers = array(&self.manifest.value, "/layers").len();
        if range.is_empty() || range.end > layers {
            let reason = format!("the image has {layers} layers");
            return Err(invalid("range of layers", format!("{}..{}", range.start, range.end), reason));
        }
        self.replace_layers(range, layer)
    }

    /// Puts the image on another base: the layers of its old one, which must be its lowest, and their history give way
    /// to those of the new one. What the image's config says stays, except for the operating system's version.
    ///
    /// The annotations `org.opencontainers.image.base.digest` and, when `new_name` is given,
    /// `org.opencontainers.image.base.name` name the new base. The new base's layers must be in the sink at the commit.
    ///
    /// # Errors
    /// An invalid base when the image's lowest layers are not the old base's (by diffID), and when the new one is for
    /// another platform; as [`config_mut`](Self::config_mut).
    pub fn rebase(&mut self, old: &Image, new: &Image, new_name: Option<&str>) -> Result<()> {
        let base = |image: &Image, reason: &str| {
            invalid("base", image.descriptor.digest().to_string(), reason.to_owned())
        };
        let (layers, below) = (self.layers()?, old.layers()?);
        let is_base = below.len() <= layers.len()
            && below.iter().zip(&layers).all(|(below, layer)| below.diff_id == layer.diff_id);
        if !is_base {
            return Err(base(old, "its layers are not the image's lowest"));
        }
        let (old_config, new_config) = (parsed(old.config.bytes())?, parsed(new.config.bytes())?);
        let family = self.family();
        let config = &mut self.config_part_mut()?.value;
        if ["os", "architecture"].iter().any(|member| config.get(member) != new_config.get(member)) {
            return Err(base(new, "it is for another platform"));
        }
        pad_history(config, layers.len());
        let new_history = history_of(&new_config, new.layers()?.len());
        let covered = covered_history(array(config, "/history"), array(&old_config, "/history"), below.len());
        if !(array(config, "/history").is_empty() && new_history.is_empty()) {
            json::list(config, "history").splice(..covered, new_history);
        }
        let diff_ids = new.layers()?.into_iter().map(|layer| Value::from(layer.diff_id.as_ref()));
        json::list(json::member(config, "rootfs"), "diff_ids").splice(..below.len(), diff_ids);
        json::set(config, "os.version", new_config.get("os.version").cloned());

        let new_layers = adopted(&parsed(new.manifest.bytes())?, family);
        json::list(&mut self.manifest.value, "layers").splice(..below.len(), new_layers);
        self.added.extend(new.manifest.view().layers().iter().filter(|layer| is_stored(layer)).cloned());
        self.annotate(BASE_DIGEST, Some(new.descriptor.digest().as_ref()));
        if let Some(name) = new_name {
            self.annotate(BASE_NAME, Some(name));
        }
        Ok(())
    }

    fn replace_layers(&mut self, range: Range<usize>, layer: LayerAddition) -> Result<()> {
        let LayerAddition { descriptor, diff_id, history } = layer;
        let descriptor = self.family().adopt(&descriptor);
        let layers = array(&self.manifest.value, "/layers").len();
        let config = &mut self.config_part_mut()?.value;
        let diff_ids = json::list(json::member(config, "rootfs"), "diff_ids");
        if diff_ids.len() != layers {
            let reason = format!("{} diff ids for {layers} layers", diff_ids.len());
            return Err(self.config_part()?.wrong("/rootfs/diff_ids".to_owned(), reason).into());
        }
        diff_ids.splice(range.clone(), [Value::from(diff_id.as_ref())]);
        if history.is_some() || !array(config, "/history").is_empty() {
            pad_history(config, layers);
            let entry = history.map_or_else(
                || json!({}),
                |mut history| {
                    history.set_empty_layer(None);
                    json!(history)
                },
            );
            replace_history(json::list(config, "history"), &range, entry);
        }
        json::list(&mut self.manifest.value, "layers").splice(range, [json::descriptor(&descriptor)]);
        self.added.extend(Some(descriptor).filter(is_stored));
        Ok(())
    }
}

/// Gives each layer an entry in the history, where some or all of them have none: a list that names fewer layers than
/// there are would give the next one to another.
fn pad_history(config: &mut Value, layers: usize) {
    let history = json::list(config, "history");
    let named = history.iter().filter(|entry| names_layer(entry)).count();
    history.extend(std::iter::repeat_n(json!({}), layers.saturating_sub(named)));
}

/// The history of a config, with an entry for each of its layers; nothing when it has none.
fn history_of(config: &Value, layers: usize) -> Vec<Value> {
    let mut config = config.clone();
    if !array(&config, "/history").is_empty() {
        pad_history(&mut config, layers);
    }
    array(&config, "/history").to_vec()
}

/// Puts an entry for the layer that took the place of a range of layers.
fn replace_history(history: &mut Vec<Value>, range: &Range<usize>, entry: Value) {
    let of_layers: Vec<usize> =
        history.iter().enumerate().filter(|(_, entry)| names_layer(entry)).map(|(n, _)| n).collect();
    let replaced = of_layers.get(range.clone()).unwrap_or_default();
    match replaced.split_last() {
        None => history.push(entry),
        Some((last, others)) => {
            if let Some(place) = history.get_mut(*last) {
                *place = entry;
            }
            for other in others.iter().rev() {
                history.remove(*other);
            }
        }
    }
}

/// How many of the first entries are the base's: those it has itself, or else all up to its last layer.
fn covered_history(history: &[Value], base: &[Value], layers: usize) -> usize {
    if !base.is_empty() && history.starts_with(base) {
        return base.len();
    }
    let mut left = layers;
    history
        .iter()
        .position(|entry| {
            if left > 0 && names_layer(entry) {
                left -= 1;
                return false;
            }
            left == 0
        })
        .unwrap_or(history.len())
}

/// image-spec config.md: `empty_layer` marks entries that brought no layer.
fn names_layer(entry: &Value) -> bool {
    entry.get("empty_layer").and_then(Value::as_bool) != Some(true)
}

/// The layers of a manifest, as another family names them.
fn adopted(manifest: &Value, family: Family) -> Vec<Value> {
    let mut layers = array(manifest, "/layers").to_vec();
    for layer in &mut layers {
        if let Some(media_type) = layer.get_mut("mediaType")
            && let Some(text) = media_type.as_str()
        {
            *media_type = family.name(&text.into()).as_ref().into();
        }
    }
    layers
}

/// Whether a layer's blob has to be there: foreign ones need not.
fn is_stored(layer: &Descriptor) -> bool {
    !oci_digest::media_type::Kind::of(layer.media_type()).is_foreign()
}

fn parsed(bytes: &[u8]) -> Result<Value> {
    Ok(Document::<Value>::parse(bytes, None)?.into_view())
}

fn array<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn invalid(what: &'static str, value: String, reason: String) -> crate::Error {
    oci_digest::Error::Invalid { what, value, reason }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(text: &str) -> Vec<Value> {
        text.chars()
            .map(|c| match c {
                '-' => json!({"empty_layer": true}),
                c => json!({"created_by": c.to_string()}),
            })
            .collect()
    }

    fn text(history: &[Value]) -> String {
        history
            .iter()
            .map(|entry| match entry.get("created_by") {
                Some(Value::String(by)) => by.clone(),
                _ if names_layer(entry) => ".".to_owned(),
                _ => "-".to_owned(),
            })
            .collect()
    }

    #[test]
    fn history_follows_the_layers() {
        for (before, range, after) in [
            ("a-b", 2..2, "a-bX"),
            ("a-b-", 2..2, "a-b-X"),
            ("a-bc-", 1..3, "a-X-"),
            ("a-b-c", 0..2, "-X-c"),
            ("abc", 0..3, "X"),
            ("", 0..0, "X"),
        ] {
            let mut entries = history(before);
            replace_history(&mut entries, &range, json!({"created_by": "X"}));
            assert_eq!(text(&entries), after, "{before} {range:?}");
        }
        for (before, layers, after) in [("", 2, ".."), ("a-", 1, "a-"), ("a-", 3, "a-.."), ("abc", 1, "abc")]
        {
            let mut config = json!({"history": history(before)});
            pad_history(&mut config, layers);
            assert_eq!(text(array(&config, "/history")), after, "{before}");
        }
        for (all, base, layers, covered) in [
            ("a-bc", "a-", 1, 2),
            ("a-bc", "", 1, 1),
            ("a-bc", "x-", 2, 3),
            ("a-", "", 5, 2),
            ("-a-b", "", 1, 2),
            ("-a", "", 0, 0),
        ] {
            assert_eq!(covered_history(&history(all), &history(base), layers), covered, "{all} {base}");
        }
    }
}
