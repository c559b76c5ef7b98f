use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oci_digest::content::{Content, Sink};
use oci_digest::media_type::{Compression, Kind};
use oci_digest::{
    Algorithm, Descriptor, Digest, Document, Error as ContentError, HashWriter, ImageConfiguration,
    ImageManifest, Result as ContentResult, VerifyReader,
};
use serde_json::{Value, json};

use super::docker::MANIFEST;
use super::output::Output;
use super::{ArchiveOptions, docker_name, legacy, spool};
use crate::{Error, Result};

/// How many bytes of configs are held until their manifests come.
const HELD: usize = 64 << 20;

/// Writes a docker-archive, which `docker load`, podman and skopeo read: layers as they come, and what names them at the
/// end, manifest.json for every docker from 1.10 on and a folder per layer for those before.
///
/// Layers are written uncompressed and under their diffIDs when the [options](ArchiveOptions::decompress) can decompress;
/// else as they are, which all of these read, too. Tags are references (`busybox:1.36`). The format holds images only: an
/// index or an artifact is refused. Nothing counts before [`finish`](Self::finish).
#[derive(Debug)]
pub struct DockerArchiveWriter {
    state: Mutex<State>,
    options: ArchiveOptions,
}

#[derive(Debug)]
struct State {
    output: Output,
    layers: HashMap<Digest, Layer>,
    held: HashMap<Digest, Vec<u8>>,
    held_bytes: usize,
    images: Vec<Image>,
}

/// A layer in the archive.
#[derive(Debug, Clone)]
struct Layer {
    /// Of the blob that came.
    size: u64,
    /// Of what was written, when that is uncompressed.
    diff_id: Option<Digest>,
    name: String,
}

/// An element of manifest.json.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) digest: Digest,
    pub(super) config_name: String,
    pub(super) config: Value,
    pub(super) tags: Vec<String>,
    pub(super) layers: Vec<String>,
}

impl DockerArchiveWriter {
    /// An archive that will be a file; what has the name before stays until [`finish`](Self::finish).
    ///
    /// # Errors
    /// What creating a file can meet.
    pub fn create(path: impl AsRef<Path>, options: &ArchiveOptions) -> Result<Self> {
        Ok(Self::begin(Output::create(path.as_ref())?, options))
    }

    /// An archive that goes into a pipe or another writer.
    pub fn stream(to: impl Write + Send + 'static, options: &ArchiveOptions) -> Self {
        Self::begin(Output::stream(to), options)
    }

    fn begin(output: Output, options: &ArchiveOptions) -> Self {
        let state =
            State { output, layers: HashMap::new(), held: HashMap::new(), held_bytes: 0, images: Vec::new() };
        Self { state: Mutex::new(state), options: options.clone() }
    }

    /// Writes what names the layers, and ends the archive.
    ///
    /// # Errors
    /// What writing can meet.
    pub fn finish(self) -> Result<()> {
        let State { mut output, images, .. } =
            self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        legacy::append(&mut output, &images)?;
        let items: Vec<Value> = images
            .iter()
            .map(|image| {
                let tags = if image.tags.is_empty() { Value::Null } else { json!(image.tags) };
                json!({"Config": image.config_name, "RepoTags": tags, "Layers": image.layers})
            })
            .collect();
        output.append_bytes(MANIFEST, Value::Array(items).to_string().as_bytes())?;
        output.finish()
    }

    /// Brings a layer into a file of our own, verified: its name in the archive, and its diffID when it is uncompressed.
    fn spool(
        &self,
        descriptor: &Descriptor,
        content: &dyn Content,
        compression: Compression,
    ) -> ContentResult<(Layer, File, u64)> {
        let reading = |e| ContentError::io(format!("reading {}", descriptor.digest()), e);
        let reader = VerifyReader::of(content.open(0)?, descriptor)?;
        let mut reader = Remembering { reader, error: None };
        let mut file = spool::scratch(&self.options)?;
        let size = descriptor.size();
        let (diff_id, written, suffix) = match (compression, self.options.decompress) {
            (Compression::Gzip | Compression::Zstd, None) => {
                let written = io::copy(&mut reader.reader, &mut file).map_err(reading)?;
                let suffix = if compression == Compression::Gzip { "tar.gz" } else { "tar.zst" };
                (None, written, suffix)
            }
            (compression, decompress) => {
                let mut hashed = HashWriter::new(&mut file, Algorithm::Sha256);
                let decompressed = {
                    let raw: Box<dyn Read + Send + '_> = Box::new(&mut reader);
                    let plain = match decompress.filter(|_| compression != Compression::None) {
                        Some(decompress) => decompress(raw),
                        None => Ok(raw),
                    };
                    plain.and_then(|mut plain| io::copy(&mut plain, &mut hashed))
                };
                // Wrong bytes are the better reason for a stream that cannot be decompressed. And where it can, a
                // decompressor may not have read to the very end, where the digest is seen.
                match reader.error.take() {
                    Some(error) => return Err(reading(error)),
                    None => io::copy(&mut reader.reader, &mut io::sink()).map_err(reading)?,
                };
                let written = decompressed
                    .map_err(|e| ContentError::io(format!("decompressing {}", descriptor.digest()), e))?;
                (Some(hashed.finish().1), written, "tar")
            }
        };
        let named_by = diff_id.as_ref().unwrap_or_else(|| descriptor.digest());
        let name = format!("{}.{suffix}", named_by.digest());
        Ok((Layer { size, diff_id, name }, file, written))
    }

    // A panic elsewhere leaves at worst a member that is cut off, and then the writing fails.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, digest: &Digest, layer: Layer, file: &mut File, size: u64) -> Result<()> {
        // Two blobs may be one layer, compressed in two ways.
        if !self.layers.values().any(|there| there.name == layer.name) {
            file.seek(SeekFrom::Start(0)).map_err(Error::io("spool for", self.output.path()))?;
            self.output.append(&layer.name, size, file)?;
        }
        self.layers.insert(digest.clone(), layer);
        Ok(())
    }

    fn hold(&mut self, digest: &Digest, bytes: Vec<u8>) -> ContentResult<()> {
        self.held_bytes = self.held_bytes.saturating_add(bytes.len());
        if self.held_bytes > HELD {
            return Err(ContentError::Limit { limit: "bytes of configs", maximum: HELD as u64 });
        }
        self.held.insert(digest.clone(), bytes);
        Ok(())
    }

    fn publish(&mut self, manifest: &Document<ImageManifest>, tags: Vec<String>) -> ContentResult<()> {
        let not_found = |digest: &Digest| ContentError::NotFound { what: digest.to_string() };
        let of = manifest.view().config();
        let bytes = self.held.get(of.digest()).ok_or_else(|| not_found(of.digest()))?.clone();
        let config = Document::<ImageConfiguration>::parse(bytes.as_slice(), Some(of))?;
        let diff_ids = config.view().rootfs().diff_ids();
        let wrong = |pointer: String, reason: String| ContentError::Document {
            digest: of.digest().clone(),
            pointer,
            reason,
        };
        let wanted = manifest.view().layers();
        if wanted.len() != diff_ids.len() {
            let reason = format!("{} diff ids for {} layers", diff_ids.len(), wanted.len());
            return Err(wrong("/rootfs/diff_ids".to_owned(), reason));
        }
        let mut layers = Vec::new();
        for (n, (layer, diff_id)) in wanted.iter().zip(diff_ids).enumerate() {
            let there = self.layers.get(layer.digest()).ok_or_else(|| not_found(layer.digest()))?;
            let is_other = there
                .diff_id
                .as_ref()
                .is_some_and(|is| diff_id.starts_with(Algorithm::Sha256.as_str()) && is.as_ref() != diff_id);
            if is_other {
                let reason = format!("the layer {} is not {diff_id}", layer.digest());
                return Err(wrong(format!("/rootfs/diff_ids/{n}"), reason));
            }
            layers.push(there.name.clone());
        }
        for image in &mut self.images {
            image.tags.retain(|tag| !tags.contains(tag));
        }
        if let Some(image) = self.images.iter_mut().find(|image| image.digest == *manifest.digest()) {
            image.tags.extend(tags);
            return Ok(());
        }
        let config_name = format!("{}.json", of.digest().digest());
        if !self.images.iter().any(|image| image.config_name == config_name) {
            self.output.append_bytes(&config_name, &bytes)?;
        }
        let config = Document::<Value>::parse(bytes, None)?.into_view();
        self.images.push(Image { digest: manifest.digest().clone(), config_name, config, tags, layers });
        Ok(())
    }
}

impl Sink for DockerArchiveWriter {
    fn has(&self, descriptor: &Descriptor) -> ContentResult<bool> {
        let (state, digest) = (self.lock(), descriptor.digest());
        let size = state
            .layers
            .get(digest)
            .map(|layer| layer.size)
            .or_else(|| state.held.get(digest).map(|bytes| bytes.len() as u64));
        Ok(size == Some(descriptor.size()))
    }

    fn ingest(&self, descriptor: &Descriptor, content: &dyn Content) -> ContentResult<()> {
        Algorithm::of(descriptor.digest())?;
        if self.has(descriptor)? {
            return Ok(());
        }
        match Kind::of(descriptor.media_type()) {
            Kind::Layer(layer) => {
                let (layer, mut file, size) = self.spool(descriptor, content, layer.compression)?;
                Ok(self.lock().put(descriptor.digest(), layer, &mut file, size)?)
            }
            Kind::Config | Kind::Other if descriptor.size() <= self.options.max_document_bytes => {
                let mut bytes = Vec::new();
                VerifyReader::of(content.open(0)?, descriptor)?
                    .read_to_end(&mut bytes)
                    .map_err(|e| ContentError::io(format!("reading {}", descriptor.digest()), e))?;
                self.lock().hold(descriptor.digest(), bytes)
            }
            _ => Err(unsupported(descriptor)),
        }
    }

    fn publish(&self, descriptor: &Descriptor, manifest: &[u8], tags: &[&str]) -> ContentResult<()> {
        let tags = tags.iter().map(|tag| docker_name::tagged(tag)).collect::<Result<Vec<_>>>()?;
        if Kind::of(descriptor.media_type()) != Kind::Manifest {
            return Err(unsupported(descriptor));
        }
        let manifest = Document::<ImageManifest>::parse(manifest, Some(descriptor))?;
        self.lock().publish(&manifest, tags)
    }
}

/// A reader whose error is its own, whatever the decompressor that reads it makes of it.
struct Remembering<R> {
    reader: R,
    error: Option<io::Error>,
}

impl<R: Read> Read for Remembering<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buf) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                let told = io::Error::from(e.kind());
                self.error = Some(e);
                Err(told)
            }
            read => read,
        }
    }
}

/// A docker archive holds images for one platform each, and nothing else.
fn unsupported(descriptor: &Descriptor) -> ContentError {
    ContentError::UnsupportedMediaType {
        digest: descriptor.digest().clone(),
        media_type: descriptor.media_type().as_ref().chars().take(128).collect(),
    }
}
