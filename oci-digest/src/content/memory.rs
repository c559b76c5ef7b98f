use std::collections::{BTreeMap, HashMap};
use std::io::{self, Cursor, Read};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Content, Referrer, Sink, Source, Store, tag};
use crate::media_type::Kind;
use crate::{Algorithm, Descriptor, Digest, Error, MediaType, Result, VerifyReader};

/// A store in memory, for tests, for small things, and as the model of the others.
///
/// Clones are the same store. What is in it was verified when it came.
///
/// ```
/// use oci_digest::content::{MemoryStore, Sink, Source, SourceExt};
/// use oci_digest::{Algorithm, Descriptor, MediaType, digest_of};
///
/// let store = MemoryStore::new();
/// let blob = &b"hello"[..];
/// let descriptor =
///     Descriptor::new(MediaType::ImageLayer, blob.len() as u64, digest_of(Algorithm::Sha256, blob));
/// store.ingest(&descriptor, &blob)?;
/// assert_eq!(store.read(&descriptor, 1024)?, blob);
/// # Ok::<(), oci_digest::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<RwLock<State>>);

#[derive(Default)]
struct State {
    blobs: HashMap<Digest, Blob>,
    tags: BTreeMap<String, Digest>,
}

struct Blob {
    bytes: Shared,
    /// Of a manifest or index; other media types are their descriptors' affair.
    media_type: Option<MediaType>,
    referrer: Option<Referrer>,
}

/// Bytes for several readers. They stay where they were read into: an `Arc<[u8]>` would need a copy.
#[derive(Clone)]
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The descriptors of all content there is, sorted by digest.
    pub fn contents(&self) -> Vec<Descriptor> {
        let mut all: Vec<Descriptor> =
            self.read_lock().blobs.iter().map(|(digest, blob)| blob.descriptor(digest)).collect();
        all.sort_by(|a, b| a.digest().as_ref().cmp(b.digest().as_ref()));
        all
    }

    fn store(&self, descriptor: &Descriptor, bytes: Vec<u8>) {
        let is_manifest = Kind::of(descriptor.media_type()).is_manifest_or_index();
        let referrer = if is_manifest { Referrer::of(&bytes, descriptor).unwrap_or_default() } else { None };
        let mut state = self.write_lock();
        let blob = state.blobs.entry(descriptor.digest().clone()).or_insert(Blob {
            bytes: Shared(Arc::new(bytes)),
            media_type: None,
            referrer: None,
        });
        if is_manifest {
            blob.media_type = Some(descriptor.media_type().clone());
            blob.referrer = referrer;
        }
    }

    // A panic elsewhere cannot leave the state half changed: each change is one insertion or removal.
    fn read_lock(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blob {
    fn descriptor(&self, digest: &Digest) -> Descriptor {
        let media_type = self.media_type.clone().unwrap_or_else(|| "application/octet-stream".into());
        Descriptor::new(media_type, self.bytes.0.len() as u64, digest.clone())
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.read_lock();
        f.debug_struct("MemoryStore").field("blobs", &state.blobs.len()).field("tags", &state.tags).finish()
    }
}

impl Source for MemoryStore {
    fn resolve(&self, name: &str) -> Result<Descriptor> {
        let state = self.read_lock();
        let digest = match state.tags.get(name) {
            Some(digest) => digest.clone(),
            None => name.parse::<Digest>().map_err(|_| Error::not_found(crate::error::shortened(name)))?,
        };
        let blob = state.blobs.get(&digest).ok_or_else(|| Error::not_found(&digest))?;
        Ok(blob.descriptor(&digest))
    }

    fn open(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send + '_>> {
        let digest = descriptor.digest();
        let bytes = match self.read_lock().blobs.get(digest) {
            Some(blob) => blob.bytes.clone(),
            None => return Err(Error::not_found(digest)),
        };
        if offset > bytes.0.len() as u64 {
            return Err(Error::invalid(
                "offset",
                &offset.to_string(),
                format!("{digest} has {} bytes", bytes.0.len()),
            ));
        }
        let mut reader = Cursor::new(bytes);
        reader.set_position(offset);
        Ok(Box::new(reader))
    }

    fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        let mut found: Vec<Descriptor> = self
            .read_lock()
            .blobs
            .values()
            .filter_map(|blob| blob.referrer.as_ref())
            .filter(|referrer| referrer.subject == *subject)
            .map(|referrer| &referrer.descriptor)
            .filter(|descriptor| {
                artifact_type.is_none_or(|wanted| {
                    descriptor.artifact_type().as_ref().is_some_and(|is| is.as_ref() == wanted)
                })
            })
            .cloned()
            .collect();
        found.sort_by(|a, b| a.digest().as_ref().cmp(b.digest().as_ref()));
        Ok(found)
    }
}

impl Sink for MemoryStore {
    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        let state = self.read_lock();
        Ok(state
            .blobs
            .get(descriptor.digest())
            .is_some_and(|blob| blob.bytes.0.len() as u64 == descriptor.size()))
    }

    fn ingest(&self, descriptor: &Descriptor, content: &dyn Content) -> Result<()> {
        Algorithm::of(descriptor.digest())?;
        let is_manifest = Kind::of(descriptor.media_type()).is_manifest_or_index();
        if !is_manifest && self.has(descriptor)? {
            return Ok(());
        }
        let reader = VerifyReader::of(content.open(0)?, descriptor)?;
        let bytes = read(reader, descriptor.size())
            .map_err(|e| Error::io(format!("reading {}", descriptor.digest()), e))?;
        self.store(descriptor, bytes);
        Ok(())
    }

    fn publish(&self, descriptor: &Descriptor, manifest: &[u8], tags: &[&str]) -> Result<()> {
        tags.iter().try_for_each(|tag| tag::check(tag))?;
        self.ingest(descriptor, &manifest)?;
        let mut state = self.write_lock();
        for tag in tags {
            state.tags.insert((*tag).to_owned(), descriptor.digest().clone());
        }
        Ok(())
    }
}

impl Store for MemoryStore {
    fn tags(&self) -> Result<Vec<String>> {
        Ok(self.read_lock().tags.keys().cloned().collect())
    }

    fn untag(&self, tag: &str) -> Result<bool> {
        Ok(self.write_lock().tags.remove(tag).is_some())
    }

    fn remove(&self, digest: &Digest) -> Result<bool> {
        let mut state = self.write_lock();
        state.tags.retain(|_, named| named != digest);
        Ok(state.blobs.remove(digest).is_some())
    }
}

/// All bytes of a reader that promises `size` of them. No more is reserved than came already, so that a promise
/// alone costs nothing, and nothing beyond the promise.
fn read(mut reader: impl Read, size: u64) -> io::Result<Vec<u8>> {
    const LEAST: u64 = 64 << 10;
    const MOST: u64 = 64 << 20;
    let mut bytes = Vec::new();
    loop {
        let came = bytes.len() as u64;
        let room = size.saturating_sub(came).min(came.clamp(LEAST, MOST));
        bytes.reserve_exact(usize::try_from(room).unwrap_or(0));
        if room == 0 || (reader.by_ref().take(room).read_to_end(&mut bytes)? as u64) < room {
            // What is behind the promise is the reader's affair.
            reader.read_to_end(&mut bytes)?;
            return Ok(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserves_what_is_promised_as_it_comes() {
        for (came, promised, reserved) in [
            (0, 0, 0..=0),
            (3, 3, 3..=3),
            (1_000_000, 1_000_000, 1_000_000..=1_000_000),
            (0, u64::MAX, 0..=64 << 10),
            (100_000, u64::MAX, 100_000..=200_000),
        ] {
            let content = vec![7; came];
            let bytes = read(&*content, promised).unwrap();
            assert!(bytes == content && reserved.contains(&bytes.capacity()), "{}", bytes.capacity());
        }
    }
}
