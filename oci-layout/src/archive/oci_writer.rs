use std::collections::HashMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oci_digest::content::{Content, Location, Sink};
use oci_digest::{
    Algorithm, Descriptor, Digest, Error as ContentError, Result as ContentResult, VerifyReader,
};
use serde_json::{Value, json};

use super::output::{Output, reopen};
use super::{ArchiveOptions, spool};
use crate::blobs::BlobName;
use crate::index::{check_tag, is_of, set_tag};
use crate::layout::{BLOBS, INDEX, VERSION, VERSION_FILE};
use crate::{Error, Result};

/// Writes an oci-archive, blob by blob as they come, and its index.json at the end.
///
/// A blob is spooled and verified before its first byte is in the archive, because a stream cannot be taken back; a
/// file of a layout goes straight in. Nothing counts before [`finish`](Self::finish): a file has its name only then.
#[derive(Debug)]
pub struct OciArchiveWriter {
    state: Mutex<State>,
    options: ArchiveOptions,
}

#[derive(Debug)]
struct State {
    output: Output,
    sizes: HashMap<Digest, u64>,
    roots: Vec<Value>,
}

impl OciArchiveWriter {
    /// An archive that will be a file; what has the name before stays until [`finish`](Self::finish).
    ///
    /// # Errors
    /// What creating a file can meet.
    pub fn create(path: impl AsRef<Path>, options: &ArchiveOptions) -> Result<Self> {
        Self::begin(Output::create(path.as_ref())?, options)
    }

    /// An archive that goes into a pipe or another writer.
    ///
    /// # Errors
    /// What writing can meet.
    pub fn stream(to: impl Write + Send + 'static, options: &ArchiveOptions) -> Result<Self> {
        Self::begin(Output::stream(to), options)
    }

    fn begin(mut output: Output, options: &ArchiveOptions) -> Result<Self> {
        let version = format!(r#"{{"imageLayoutVersion":"{VERSION}"}}"#);
        output.append_bytes(VERSION_FILE, version.as_bytes())?;
        output.append_folder(BLOBS)?;
        output.append_folder(&format!("{BLOBS}/{}", Algorithm::Sha256))?;
        let state = State { output, sizes: HashMap::new(), roots: Vec::new() };
        Ok(Self { state: Mutex::new(state), options: options.clone() })
    }

    /// Writes index.json and ends the archive.
    ///
    /// # Errors
    /// What writing can meet.
    pub fn finish(self) -> Result<()> {
        let mut state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": state.roots,
        });
        state.output.append_bytes(INDEX, index.to_string().as_bytes())?;
        state.output.finish()
    }

    // A panic elsewhere leaves at worst a member that is cut off, and then the writing fails.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, descriptor: &Descriptor, file: &mut File) -> Result<()> {
        if self.sizes.contains_key(descriptor.digest()) {
            return Ok(());
        }
        let blob = BlobName::of(descriptor.digest())?;
        let name = format!("{BLOBS}/{}/{}", blob.algorithm, blob.encoded);
        file.seek(SeekFrom::Start(0)).map_err(Error::io("spool for", self.output.path()))?;
        self.output.append(&name, descriptor.size(), file)?;
        self.sizes.insert(descriptor.digest().clone(), descriptor.size());
        Ok(())
    }
}

impl Sink for OciArchiveWriter {
    fn has(&self, descriptor: &Descriptor) -> ContentResult<bool> {
        Ok(self.lock().sizes.get(descriptor.digest()) == Some(&descriptor.size()))
    }

    fn adopt(&self, descriptor: &Descriptor, from: &Location) -> ContentResult<bool> {
        let Location::File { path } = from else { return Ok(false) };
        let Ok(mut file) = reopen(path) else { return Ok(false) };
        verify(&mut file, descriptor)?;
        self.lock().put(descriptor, &mut file)?;
        Ok(true)
    }

    fn ingest(&self, descriptor: &Descriptor, content: &dyn Content) -> ContentResult<()> {
        Algorithm::of(descriptor.digest())?;
        if self.has(descriptor)? {
            return Ok(());
        }
        let mut file = spool::scratch(&self.options)?;
        let mut reader = VerifyReader::of(content.open(0)?, descriptor)?;
        std::io::copy(&mut reader, &mut file)
            .map_err(|e| ContentError::io(format!("reading {}", descriptor.digest()), e))?;
        Ok(self.lock().put(descriptor, &mut file)?)
    }

    fn publish(&self, descriptor: &Descriptor, manifest: &[u8], tags: &[&str]) -> ContentResult<()> {
        tags.iter().try_for_each(|tag| check_tag(tag))?;
        std::io::copy(&mut VerifyReader::of(manifest, descriptor)?, &mut std::io::sink())
            .map_err(|e| ContentError::io(format!("reading {}", descriptor.digest()), e))?;
        self.ingest(descriptor, &manifest)?;
        let mut state = self.lock();
        if tags.is_empty() && !state.roots.iter().any(|root| is_of(root, descriptor.digest())) {
            state.roots.push(crate::index::entry(descriptor, None));
        }
        for tag in tags {
            set_tag(&mut state.roots, descriptor, tag);
        }
        Ok(())
    }
}

fn verify(file: &mut File, descriptor: &Descriptor) -> ContentResult<()> {
    std::io::copy(&mut VerifyReader::of(file, descriptor)?, &mut std::io::sink())
        .map(drop)
        .map_err(|e| ContentError::io(format!("reading {}", descriptor.digest()), e))
}
