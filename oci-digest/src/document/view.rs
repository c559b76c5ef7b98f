use serde::de::DeserializeOwned;
use serde_json::Value;

use super::wire;
use crate::media_type::Kind;
use crate::spec::ArtifactManifest;
use crate::{Digest, Error, ImageConfiguration, ImageIndex, ImageManifest, MediaType, Result};

/// A type that a [`Document`](super::Document) can be seen as.
pub trait View: Sized {
    /// Understands JSON whose nesting was checked. `digest` is for errors.
    ///
    /// # Errors
    /// [`Error::Document`] when it is not what this type is for.
    fn from_json(bytes: &[u8], digest: &Digest) -> Result<Self>;

    /// The media type that the document itself names.
    fn media_type(&self) -> Option<MediaType>;

    /// The media type of a document that names none and came without a descriptor.
    fn default_media_type() -> MediaType;

    /// Whether this type is for documents of a kind.
    fn accepts(kind: Kind) -> bool;
}

impl View for ImageManifest {
    fn from_json(bytes: &[u8], digest: &Digest) -> Result<Self> {
        decode::<wire::Body>(bytes, digest)?.into_manifest(digest)
    }

    fn media_type(&self) -> Option<MediaType> {
        self.media_type().clone()
    }

    fn default_media_type() -> MediaType {
        MediaType::ImageManifest
    }

    fn accepts(kind: Kind) -> bool {
        kind == Kind::Manifest
    }
}

impl View for ImageIndex {
    fn from_json(bytes: &[u8], digest: &Digest) -> Result<Self> {
        decode::<wire::Body>(bytes, digest)?.into_index(digest)
    }

    fn media_type(&self) -> Option<MediaType> {
        self.media_type().clone()
    }

    fn default_media_type() -> MediaType {
        MediaType::ImageIndex
    }

    fn accepts(kind: Kind) -> bool {
        kind == Kind::Index
    }
}

impl View for ArtifactManifest {
    fn from_json(bytes: &[u8], digest: &Digest) -> Result<Self> {
        decode(bytes, digest)
    }

    fn media_type(&self) -> Option<MediaType> {
        Some(self.media_type().clone())
    }

    fn default_media_type() -> MediaType {
        MediaType::ArtifactManifest
    }

    fn accepts(kind: Kind) -> bool {
        kind == Kind::ArtifactManifest
    }
}

/// Exposed ports and volumes are sets in JSON and come sorted.
impl View for ImageConfiguration {
    fn from_json(bytes: &[u8], digest: &Digest) -> Result<Self> {
        let mut configuration: Self = decode(bytes, digest)?;
        if let Some(mut config) = configuration.config().clone() {
            let sorted = |set: &Option<Vec<String>>| {
                let mut set = set.clone();
                set.iter_mut().for_each(|set| set.sort());
                set
            };
            let (ports, volumes) = (sorted(config.exposed_ports()), sorted(config.volumes()));
            config.set_exposed_ports(ports);
            config.set_volumes(volumes);
            configuration.set_config(Some(config));
        }
        Ok(configuration)
    }

    fn media_type(&self) -> Option<MediaType> {
        None
    }

    fn default_media_type() -> MediaType {
        MediaType::ImageConfig
    }

    fn accepts(kind: Kind) -> bool {
        matches!(kind, Kind::Config | Kind::Other)
    }
}

/// Sees everything, at the price of memory for it.
impl View for Value {
    fn from_json(bytes: &[u8], digest: &Digest) -> Result<Self> {
        let value: Self = decode(bytes, digest)?;
        let has = |name| value.get(name).is_some_and(|member| !member.is_null());
        if has("manifests") && has("layers") {
            return Err(wire::both(digest, "/layers"));
        }
        Ok(value)
    }

    fn media_type(&self) -> Option<MediaType> {
        self.get("mediaType")?.as_str().map(MediaType::from)
    }

    fn default_media_type() -> MediaType {
        "application/json".into()
    }

    fn accepts(_: Kind) -> bool {
        true
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8], digest: &Digest) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| Error::Document {
        digest: digest.clone(),
        pointer: String::new(),
        reason: crate::error::shortened(&e.to_string()),
    })
}
