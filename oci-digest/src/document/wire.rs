use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::shortened;
use crate::spec::{Arch, ImageManifestBuilder, Os, SCHEMA_VERSION};
use crate::{Descriptor, Digest, Error, ImageIndex, ImageManifest, MediaType, Platform, Result};

/// A manifest or an index as it is on the wire.
///
/// `oci_spec`'s types are not read directly, for three reasons: members that are `null` count as absent (Go
/// writes them), `os.version` of a platform has a name they do not know, and a body that is two things at once
/// has to be seen. Members that are of no interest are skipped without being kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    schema_version: Option<u32>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Entry>,
    layers: Option<Vec<Entry>>,
    manifests: Option<Vec<Entry>>,
    fs_layers: Option<IgnoredAny>,
    subject: Option<Entry>,
    annotations: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: String,
    digest: Digest,
    size: u64,
    urls: Option<Vec<String>>,
    annotations: Option<HashMap<String, String>>,
    platform: Option<EntryPlatform>,
    artifact_type: Option<String>,
    data: Option<String>,
}

#[derive(Deserialize)]
struct EntryPlatform {
    architecture: Option<String>,
    os: Option<String>,
    #[serde(rename = "os.version", alias = "os_version")]
    os_version: Option<String>,
    #[serde(rename = "os.features", alias = "os_features")]
    os_features: Option<Vec<String>>,
    variant: Option<String>,
    features: Option<Vec<String>>,
}

impl Body {
    pub(super) fn into_manifest(self, digest: &Digest) -> Result<ImageManifest> {
        self.check_version(digest)?;
        // Two readers of one document must not see two different things in it.
        if self.manifests.is_some() {
            return Err(both(digest, "/manifests"));
        }
        let config = self.config.ok_or_else(|| missing(digest, "/config"))?;
        let mut manifest = manifest_of(config.into(), entries(self.layers));
        manifest.set_media_type(self.media_type.as_deref().map(MediaType::from));
        manifest.set_artifact_type(self.artifact_type.as_deref().map(MediaType::from));
        manifest.set_subject(self.subject.map(Descriptor::from));
        manifest.set_annotations(self.annotations);
        Ok(manifest)
    }

    pub(super) fn into_index(self, digest: &Digest) -> Result<ImageIndex> {
        self.check_version(digest)?;
        if self.layers.is_some() {
            return Err(both(digest, "/layers"));
        }
        if self.config.is_some() {
            return Err(both(digest, "/config"));
        }
        let manifests = self.manifests.ok_or_else(|| missing(digest, "/manifests"))?;
        let mut index = ImageIndex::default();
        index.set_schema_version(SCHEMA_VERSION);
        index.set_manifests(entries(Some(manifests)));
        index.set_media_type(self.media_type.as_deref().map(MediaType::from));
        index.set_artifact_type(self.artifact_type.as_deref().map(MediaType::from));
        index.set_subject(self.subject.map(Descriptor::from));
        index.set_annotations(self.annotations);
        Ok(index)
    }

    /// image-spec manifest.md and image-index.md: schemaVersion MUST be 2.
    fn check_version(&self, digest: &Digest) -> Result<()> {
        if self.schema_version == Some(1) || self.fs_layers.is_some() {
            let media_type = self.media_type.as_deref().unwrap_or(crate::media_type::DOCKER_SCHEMA_1);
            return Err(Error::UnsupportedMediaType {
                digest: digest.clone(),
                media_type: shortened(media_type),
            });
        }
        if self.schema_version != Some(SCHEMA_VERSION) {
            return Err(problem(digest, "/schemaVersion", "it must be 2"));
        }
        Ok(())
    }
}

#[expect(clippy::expect_used, reason = "everything the builder requires is set")]
fn manifest_of(config: Descriptor, layers: Vec<Descriptor>) -> ImageManifest {
    ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .config(config)
        .layers(layers)
        .build()
        .expect("a manifest has a version, a config and layers")
}

impl From<Entry> for Descriptor {
    fn from(entry: Entry) -> Self {
        let mut descriptor = Self::new(entry.media_type.as_str().into(), entry.size, entry.digest);
        descriptor.set_urls(entry.urls);
        descriptor.set_annotations(entry.annotations);
        descriptor.set_platform(entry.platform.map(Platform::from));
        descriptor.set_artifact_type(entry.artifact_type.as_deref().map(MediaType::from));
        descriptor.set_data(entry.data);
        descriptor
    }
}

impl From<EntryPlatform> for Platform {
    fn from(entry: EntryPlatform) -> Self {
        let mut platform = Self::default();
        platform.set_architecture(arch(entry.architecture.as_deref().unwrap_or_default()));
        platform.set_os(Os::from(entry.os.as_deref().unwrap_or_default()));
        platform.set_os_version(entry.os_version);
        platform.set_os_features(entry.os_features);
        platform.set_variant(entry.variant);
        platform.set_features(entry.features);
        platform
    }
}

/// `oci_spec` takes armbe for arm64be.
fn arch(text: &str) -> Arch {
    if text == "armbe" { Arch::ARMbe } else { Arch::from(text) }
}

fn entries(list: Option<Vec<Entry>>) -> Vec<Descriptor> {
    list.unwrap_or_default().into_iter().map(Descriptor::from).collect()
}

pub(super) fn both(digest: &Digest, pointer: &str) -> Error {
    problem(digest, pointer, "a document is either a manifest or an index")
}

fn missing(digest: &Digest, pointer: &str) -> Error {
    problem(digest, pointer, "it is required")
}

fn problem(digest: &Digest, pointer: &str, reason: &str) -> Error {
    Error::Document { digest: digest.clone(), pointer: pointer.to_owned(), reason: reason.to_owned() }
}
