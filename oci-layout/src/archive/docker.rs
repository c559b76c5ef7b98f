use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use oci_digest::content::Source;
use oci_digest::{
    Algorithm, Descriptor, Digest, Document, Error as ContentError, HashReader, ImageConfiguration,
    MediaType, Result as ContentResult, canonical, digest_of,
};
use serde::Deserialize;
use serde_json::json;

use super::members::Members;
use super::{ArchiveOptions, docker_name};
use crate::blobs::invalid_offset;
use crate::decompress::compression;
use crate::{Error, Result};

/// What names the images of a docker archive.
pub(super) const MANIFEST: &str = "manifest.json";

/// A docker-archive: what `docker save` writes, every version from 1.10 on, and podman and skopeo after it; read in place.
///
/// The format has no manifests. Each image is given one here, of the config as it is in the archive and of the layers as
/// they are: an uncompressed layer's digest is its diffID, so that nothing needs to be read for it.
///
/// An image is named by one of its references (`busybox:1.36`, `docker.io/library/busybox:1.36`), by its position (`@0`), by
/// the digest of the manifest, or by the empty name when it is the only one.
#[derive(Debug)]
pub struct DockerArchive {
    members: Members,
    images: Vec<(Vec<String>, Descriptor)>,
    blobs: HashMap<Digest, Blob>,
}

#[derive(Debug)]
enum Blob {
    At((u64, u64)),
    Bytes(Vec<u8>),
}

/// One element of manifest.json. Members that are null count as absent.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

impl DockerArchive {
    /// Opens an archive. A file is read in place; a pipe, and a compressed archive when the options can decompress, is
    /// spooled. Compressed layers are read once, for their digests.
    ///
    /// # Errors
    /// [`Error::Archive`] for what is no tar archive, is cut off, has no manifest.json, or lacks what that names; what
    /// reading can meet.
    pub fn open(path: impl AsRef<Path>, options: &ArchiveOptions) -> Result<Self> {
        Self::of(Members::open(path.as_ref(), options)?, options)
    }

    /// Reads an archive from a pipe or another reader, by a spool.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(reader: impl Read + Send, options: &ArchiveOptions) -> Result<Self> {
        Self::of(Members::read(reader, Path::new("archive"), options)?, options)
    }

    fn of(members: Members, options: &ArchiveOptions) -> Result<Self> {
        let limit = options.max_document_bytes;
        let bytes = members.read_whole(MANIFEST, limit)?.ok_or_else(|| {
            let reason = if members.has("repositories") {
                "it is missing: docker before 1.10 wrote this archive"
            } else {
                "it is missing: this is no docker-archive"
            };
            members.wrong(MANIFEST, reason)
        })?;
        let items: Vec<Item> = serde_json::from_slice(&bytes)
            .map_err(|e| members.wrong(MANIFEST, format!("it is not what docker writes: {e}")))?;
        let mut archive = Self { members, images: Vec::new(), blobs: HashMap::new() };
        let mut hashed = HashMap::new();
        for (at, item) in items.into_iter().enumerate() {
            let manifest = archive.understand(at, &item, limit, &mut hashed)?;
            archive.images.push((item.repo_tags.unwrap_or_default(), manifest));
        }
        Ok(archive)
    }

    /// Makes an image's manifest and remembers where its parts lie.
    fn understand(
        &mut self,
        at: usize,
        item: &Item,
        limit: u64,
        hashed: &mut HashMap<u64, Descriptor>,
    ) -> Result<Descriptor> {
        let missing = |name: &str| self.members.wrong(name, "manifest.json names it, and it is missing");
        let config_bytes =
            self.members.read_whole(&item.config, limit)?.ok_or_else(|| missing(&item.config))?;
        let config = Document::<ImageConfiguration>::parse(config_bytes.as_slice(), None)
            .map_err(|e| self.members.wrong(&item.config, e.to_string()))?;
        let diff_ids = config.view().rootfs().diff_ids();
        let paths = item.layers.as_deref().unwrap_or_default();
        if diff_ids.len() != paths.len() {
            let reason = format!("image {at} has {} layers and {} diff ids", paths.len(), diff_ids.len());
            return Err(self.members.wrong(MANIFEST, reason));
        }
        let mut layers = Vec::new();
        for (path, diff_id) in paths.iter().zip(diff_ids) {
            let place = self.members.find(path)?.ok_or_else(|| missing(path))?;
            let layer = match hashed.get(&place.0) {
                Some(layer) => layer.clone(),
                None => self.layer(path, place, diff_id, &item.config)?,
            };
            hashed.insert(place.0, layer.clone());
            self.blobs.entry(layer.digest().clone()).or_insert(Blob::At(place));
            layers.push(crate::edit::json::descriptor(&layer));
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::ImageManifest.as_ref(),
            "config": crate::edit::json::descriptor(&Descriptor::new(
                MediaType::ImageConfig,
                config_bytes.len() as u64,
                config.digest().clone(),
            )),
            "layers": layers,
        });
        let manifest = canonical::to_vec(&manifest)?;
        let digest = digest_of(Algorithm::Sha256, &manifest);
        let descriptor = Descriptor::new(MediaType::ImageManifest, manifest.len() as u64, digest.clone());
        self.blobs.insert(config.digest().clone(), Blob::Bytes(config_bytes));
        self.blobs.insert(digest, Blob::Bytes(manifest));
        Ok(descriptor)
    }

    fn layer(&self, path: &str, place: (u64, u64), diff_id: &str, config: &str) -> Result<Descriptor> {
        let failed = Error::io("read", self.members.path());
        let mut magic = Vec::new();
        if let Err(e) = self.members.open_at(place, 0).take(6).read_to_end(&mut magic) {
            return Err(failed(e));
        }
        let media_type = match compression(&magic) {
            None => {
                let diff_id = diff_id
                    .parse::<Digest>()
                    .map_err(|_| self.members.wrong(config, "a diff id in it is no digest"))?;
                return Ok(Descriptor::new(MediaType::ImageLayer, place.1, diff_id));
            }
            Some("gzip") => MediaType::ImageLayerGzip,
            Some("zstd") => MediaType::ImageLayerZstd,
            Some(other) => {
                return Err(self.members.wrong(path, format!("it is compressed with {other}")));
            }
        };
        let mut reader = HashReader::new(self.members.open_at(place, 0), Algorithm::Sha256);
        std::io::copy(&mut reader, &mut std::io::sink()).map_err(failed)?;
        Ok(Descriptor::new(media_type, place.1, reader.finish().0))
    }

    /// The references that the images have, sorted, each once.
    pub fn tags(&self) -> Vec<String> {
        let mut tags: Vec<String> = self.images.iter().flat_map(|(tags, _)| tags.iter().cloned()).collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }

    /// The images' manifests, in the order of the archive.
    pub fn roots(&self) -> impl Iterator<Item = &Descriptor> {
        self.images.iter().map(|(_, manifest)| manifest)
    }
}

impl Source for DockerArchive {
    fn resolve(&self, name: &str) -> ContentResult<Descriptor> {
        let not_found = || ContentError::NotFound { what: name.chars().take(128).collect() };
        if let ("", [(_, only)]) = (name, self.images.as_slice()) {
            return Ok(only.clone());
        }
        if let Some(position) = name.strip_prefix('@') {
            let at: usize = position.parse().map_err(|_| not_found())?;
            return self.images.get(at).map(|(_, root)| root.clone()).ok_or_else(not_found);
        }
        let wanted = docker_name::full(name);
        let tagged = self
            .images
            .iter()
            .find(|(tags, _)| tags.iter().any(|tag| tag == name || docker_name::full(tag) == wanted));
        if let Some((_, root)) = tagged {
            return Ok(root.clone());
        }
        let digest: Digest = name.parse().map_err(|_| not_found())?;
        if let Some(root) = self.roots().find(|root| *root.digest() == digest) {
            return Ok(root.clone());
        }
        let size = match self.blobs.get(&digest).ok_or_else(not_found)? {
            Blob::At((_, size)) => *size,
            Blob::Bytes(bytes) => bytes.len() as u64,
        };
        Ok(Descriptor::new("application/octet-stream".into(), size, digest))
    }

    fn open(&self, descriptor: &Descriptor, offset: u64) -> ContentResult<Box<dyn Read + Send + '_>> {
        let digest = descriptor.digest();
        match self.blobs.get(digest) {
            None => Err(ContentError::NotFound { what: digest.to_string() }),
            Some(Blob::Bytes(bytes)) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
                match rest {
                    Some(rest) => Ok(Box::new(rest)),
                    None => Err(invalid_offset(offset, bytes.len() as u64).into()),
                }
            }
            Some(Blob::At(place)) if offset > place.1 => Err(invalid_offset(offset, place.1).into()),
            Some(Blob::At(place)) => Ok(Box::new(self.members.open_at(*place, offset))),
        }
    }

    /// There are none: the format has no place for them.
    fn referrers(&self, _: &Digest, _: Option<&str>) -> ContentResult<Vec<Descriptor>> {
        Ok(Vec::new())
    }
}
