use std::io::Read;

use super::Location;
use crate::{Descriptor, Digest, Document, Error, Result, VerifyReader, View};

/// Something that gives content: a repository of a registry, a layout, an archive, a memory store.
///
/// Implementations are shared between threads. The conformance suite (feature `conformance`) tells whether one
/// keeps the contract.
pub trait Source: Send + Sync {
    /// The descriptor that a name stands for: a tag, or a digest in its text form.
    ///
    /// The descriptor's media type is the one the content is known by; its size is that of the raw bytes.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such name.
    fn resolve(&self, name: &str) -> Result<Descriptor>;

    /// Opens content at a byte offset: a manifest or index when the descriptor's media type says so, else a blob.
    ///
    /// The bytes are not verified (see the [module](super)). An offset equal to the size gives an empty reader,
    /// a larger one is an error.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the store does not have it.
    fn open(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send + '_>>;

    /// The descriptors of manifests whose `subject` is `subject`, of one artifact type when given.
    ///
    /// distribution-spec, Listing Referrers. Each descriptor carries `artifactType` and annotations. A store that
    /// has none gives an empty list, also when it does not have the subject.
    ///
    /// # Errors
    /// What reading the store can meet.
    fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>>;

    /// Where the content lies, for [`Sink::adopt`](super::Sink::adopt). `None` when it cannot be adopted.
    fn location(&self, _descriptor: &Descriptor) -> Option<Location> {
        None
    }
}

/// What every [`Source`] can do besides.
pub trait SourceExt: Source {
    /// Reads content whole and verified into memory.
    ///
    /// # Errors
    /// [`Error::Limit`] when the descriptor's size is above `limit` bytes, before anything is read;
    /// [`Error::DigestMismatch`] and [`Error::SizeMismatch`] when the bytes do not fit.
    fn read(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>> {
        if descriptor.size() > limit {
            return Err(Error::Limit { limit: "bytes read into memory", maximum: limit });
        }
        let mut bytes = Vec::new();
        VerifyReader::of(self.open(descriptor, 0)?, descriptor)?
            .read_to_end(&mut bytes)
            .map_err(|e| Error::io(format!("reading {}", descriptor.digest()), e))?;
        Ok(bytes)
    }

    /// Reads a document of at most `limit` bytes, verified.
    ///
    /// # Errors
    /// As [`read`](Self::read) and [`Document::parse`].
    fn document<T: View>(&self, descriptor: &Descriptor, limit: u64) -> Result<Document<T>> {
        Document::parse_within(self.read(descriptor, limit)?, Some(descriptor), limit)
    }
}

impl<S: Source + ?Sized> SourceExt for S {}
