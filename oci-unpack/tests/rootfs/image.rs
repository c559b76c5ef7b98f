//! An image in memory, whose every part can be wrong.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use oci_digest::content::Source;
use oci_digest::{
    Algorithm, Descriptor, Digest, Error, ImageConfiguration, ImageManifest, MediaType, Result, digest_of,
};
use oci_unpack::compression::{Compression, Encoder};
use oci_unpack::{Report, UnpackOptions};

use super::mode::Mode;

pub(crate) const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) blobs: HashMap<String, Vec<u8>>,
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) diff_ids: Vec<String>,
    pub(crate) config_type: String,
    pub(crate) os: String,
}

impl Image {
    pub(crate) fn new() -> Self {
        Self {
            blobs: HashMap::new(),
            layers: Vec::new(),
            diff_ids: Vec::new(),
            config_type: OCI_CONFIG.into(),
            os: "linux".into(),
        }
    }

    pub(crate) fn plain(archives: &[Vec<u8>]) -> Self {
        let mut image = Self::new();
        for archive in archives {
            image.add(PLAIN, archive.clone(), archive);
        }
        image
    }

    /// Adds a layer: its media type, its blob, and what that uncompresses to.
    pub(crate) fn add(&mut self, media_type: &str, blob: Vec<u8>, archive: &[u8]) {
        let digest = digest_of(Algorithm::Sha256, &blob);
        self.layers.push(Descriptor::new(MediaType::from(media_type), blob.len() as u64, digest.clone()));
        self.blobs.insert(digest.to_string(), blob);
        self.diff_ids.push(digest_of(Algorithm::Sha256, archive).to_string());
    }

    pub(crate) fn unpack(&self, destination: &Path, options: &UnpackOptions) -> oci_unpack::Result<Report> {
        self.unpack_as(Mode::Rootfs, destination, options)
    }

    pub(crate) fn unpack_as(
        &self,
        mode: Mode,
        destination: &Path,
        options: &UnpackOptions,
    ) -> oci_unpack::Result<Report> {
        let config = format!(
            r#"{{"architecture":"amd64","os":"{}","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            self.os,
            self.diff_ids.iter().map(|id| format!("{id:?}")).collect::<Vec<_>>().join(",")
        );
        let config = ImageConfiguration::from_reader(config.as_bytes()).unwrap();
        let empty = digest_of(Algorithm::Sha256, b"{}");
        let mut manifest = ImageManifest::from_reader(
            format!(
                r#"{{"schemaVersion":2,"config":{{"mediaType":"{}","digest":"{empty}","size":2}},"layers":[]}}"#,
                self.config_type
            )
            .as_bytes(),
        )
        .unwrap();
        manifest.set_layers(self.layers.clone());
        mode.unpack(self, &manifest, &config, destination, options)
    }
}

impl Source for Image {
    fn resolve(&self, name: &str) -> Result<Descriptor> {
        Err(Error::not_found(name))
    }

    fn open(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send + '_>> {
        match self.blobs.get(&descriptor.digest().to_string()) {
            Some(blob) => Ok(Box::new(&blob[usize::try_from(offset).unwrap()..])),
            None => Err(Error::not_found(descriptor.digest())),
        }
    }

    fn referrers(&self, _subject: &Digest, _artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        Ok(Vec::new())
    }
}

pub(crate) fn compressed(archive: &[u8], compression: Compression) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new(), compression, None).unwrap();
    std::io::Write::write_all(&mut encoder, archive).unwrap();
    encoder.finish().unwrap()
}
