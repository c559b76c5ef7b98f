use std::io::Read;

use super::{Location, Source};
use crate::{Descriptor, Error, Result};

/// Bytes that can be opened more than once and at an offset, so that a sink can go on where it stopped: after a
/// partial file that it kept, or at the offset that a registry's upload session names.
pub trait Content: Sync {
    /// Opens the bytes at an offset.
    ///
    /// # Errors
    /// What opening can meet, among it an offset beyond the end.
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send + '_>>;
}

impl Content for &[u8] {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send + '_>> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        match rest {
            Some(rest) => Ok(Box::new(rest)),
            None => Err(Error::Invalid {
                what: "offset",
                value: offset.to_string(),
                reason: format!("the content has {} bytes", self.len()),
            }),
        }
    }
}

/// A blob or manifest of a [`Source`].
impl<S: Source + ?Sized> Content for (&S, &Descriptor) {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send + '_>> {
        self.0.open(self.1, offset)
    }
}

/// Something that takes content: a repository of a registry, a layout, an archive, a memory store.
///
/// The order of calls in a copy: blobs and child manifests with [`ingest`](Self::ingest) (or
/// [`adopt`](Self::adopt)), what they are named by after them, the root with [`publish`](Self::publish) last.
pub trait Sink: Send + Sync {
    /// Whether the content is there with the descriptor's size, so that it need not be sent.
    ///
    /// # Errors
    /// What asking the store can meet; that it is not there is `Ok(false)`.
    fn has(&self, descriptor: &Descriptor) -> Result<bool>;

    /// Takes content from a place it can reach by itself. `Ok(false)`: it cannot, send the bytes.
    ///
    /// # Errors
    /// Only what makes sending the bytes pointless, too.
    fn adopt(&self, _descriptor: &Descriptor, _from: &Location) -> Result<bool> {
        Ok(false)
    }

    /// Stores a blob or a manifest (the descriptor's media type tells) under its digest alone.
    ///
    /// The sink verifies size and digest and keeps nothing under the digest's name unless both fit. Content that
    /// is there already is success, whether or not the bytes are read.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], [`Error::SizeMismatch`], and what storing can meet.
    fn ingest(&self, descriptor: &Descriptor, content: &dyn Content) -> Result<()>;

    /// Stores a manifest or index and makes it a root of the store, under these tags or, without any, by digest.
    ///
    /// A root is what the store lists and keeps: in a layout, an entry of index.json. A tag that named something
    /// else moves.
    ///
    /// # Errors
    /// As [`ingest`](Self::ingest), and [`Error::Invalid`] for a tag the store cannot hold.
    fn publish(&self, descriptor: &Descriptor, manifest: &[u8], tags: &[&str]) -> Result<()>;
}
