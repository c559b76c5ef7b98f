use std::collections::BTreeMap;

use oci_digest::content::{Sink, embed};
use oci_digest::{Algorithm, Descriptor, Document, Error, ImageManifest, MediaType, canonical, digest_of};
use serde_json::{Value, json};

use super::json;
use crate::Result;

/// image-spec manifest.md, Guidance for an Empty Descriptor.
const EMPTY: &[u8] = b"{}";

/// A new artifact: content that is no image, in an image manifest with an artifact type, perhaps about another.
///
/// ```
/// use oci_digest::content::{MemoryStore, Source};
/// use oci_layout::edit::Artifact;
///
/// # let store = MemoryStore::new();
/// let note = Artifact::new("application/vnd.example.note").annotation("text", "hello").commit(&store, &["note"])?;
/// assert_eq!(store.resolve("note")?.digest(), note.digest());
/// # Ok::<(), oci_layout::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Artifact {
    /// What kind of artifact it is: a media type.
    pub artifact_type: MediaType,
    /// Its config. By default the empty object.
    pub config: Option<Descriptor>,
    /// Its blobs. Without any the manifest names the empty object, as image-spec manifest.md asks.
    pub blobs: Vec<Descriptor>,
    /// What it is about.
    pub subject: Option<Descriptor>,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Whether the descriptors of the empty object carry it as `data`. By default not.
    pub embed_empty: bool,
}

impl Artifact {
    /// An artifact of a type, with nothing in it.
    pub fn new(artifact_type: impl Into<MediaType>) -> Self {
        Self {
            artifact_type: artifact_type.into(),
            config: None,
            blobs: Vec::new(),
            subject: None,
            annotations: BTreeMap::new(),
            embed_empty: false,
        }
    }

    /// Sets [`config`](Self::config).
    #[must_use]
    pub fn config(mut self, config: Descriptor) -> Self {
        self.config = Some(config);
        self
    }

    /// Adds to [`blobs`](Self::blobs).
    #[must_use]
    pub fn blob(mut self, blob: Descriptor) -> Self {
        self.blobs.push(blob);
        self
    }

    /// Sets [`subject`](Self::subject).
    #[must_use]
    pub fn subject(mut self, subject: Descriptor) -> Self {
        self.subject = Some(subject);
        self
    }

    /// Adds to [`annotations`](Self::annotations).
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, text: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), text.into());
        self
    }

    /// Sets [`embed_empty`](Self::embed_empty).
    #[must_use]
    pub fn embed_empty(mut self, embed: bool) -> Self {
        self.embed_empty = embed;
        self
    }

    /// Stores the manifest, and the empty object where it is named, and publishes it. Config and blobs have to be in
    /// the sink.
    ///
    /// # Errors
    /// An invalid artifact type; not found for a config or blob that the sink does not have; what storing can meet.
    pub fn commit(&self, sink: &dyn Sink, tags: &[&str]) -> Result<Descriptor> {
        check_type(self.artifact_type.as_ref())?;
        for named in self.config.iter().chain(&self.blobs) {
            if !sink.has(named)? {
                return Err(Error::NotFound { what: named.digest().to_string() }.into());
            }
        }
        if self.config.is_none() || self.blobs.is_empty() {
            sink.ingest(&self.empty(), &EMPTY)?;
        }
        let manifest = Document::<ImageManifest>::parse(canonical::to_vec(&self.manifest())?, None)?;
        sink.publish(manifest.descriptor(), manifest.bytes(), tags)?;
        Ok(manifest.descriptor().clone())
    }

    fn manifest(&self) -> Value {
        let plain = |of: &Descriptor| json::descriptor(of);
        let layers: Vec<Value> = match self.blobs.as_slice() {
            // image-spec manifest.md, layers: "For portability, layers SHOULD have at least one entry."
            [] => vec![plain(&self.empty())],
            blobs => blobs.iter().map(plain).collect(),
        };
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::ImageManifest.as_ref(),
            "artifactType": self.artifact_type.as_ref(),
            "config": plain(self.config.as_ref().unwrap_or(&self.empty())),
            "layers": layers,
        });
        json::set(&mut manifest, "subject", self.subject.as_ref().map(named_subject));
        if !self.annotations.is_empty() {
            manifest["annotations"] = json!(self.annotations);
        }
        manifest
    }

    fn empty(&self) -> Descriptor {
        let digest = digest_of(Algorithm::default(), EMPTY);
        let mut empty = Descriptor::new(MediaType::EmptyJSON, EMPTY.len() as u64, digest);
        if self.embed_empty {
            empty.set_data(Some(embed(EMPTY)));
        }
        empty
    }
}

/// A subject is named by what it is alone, not by what a store or index said of it.
fn named_subject(subject: &Descriptor) -> Value {
    json::descriptor(&Descriptor::new(subject.media_type().clone(), subject.size(), subject.digest().clone()))
}

/// image-spec manifest.md, artifactType: "the value MUST comply with RFC 6838, including the naming requirements in
/// its section 4.2".
fn check_type(text: &str) -> Result<()> {
    let is_name = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        part.len() <= 127
            && part.bytes().all(fits)
            && part.starts_with(|first: char| first.is_ascii_alphanumeric())
    };
    match text.split_once('/') {
        Some((kind, subtype)) if is_name(kind) && is_name(subtype) => Ok(()),
        _ => Err(Error::Invalid {
            what: "artifact type",
            value: text.chars().take(128).collect(),
            reason: "it is no media type as RFC 6838 names them".to_owned(),
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifact_types() {
        for good in ["application/vnd.example.sbom.v1+json", "text/x", "a/b_c-d"] {
            assert!(check_type(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "/", "a/", "a/b/c", "a/b;c=d", "a /b", ".a/b", "é/b"] {
            assert!(check_type(bad).is_err(), "{bad}");
        }
    }
}
