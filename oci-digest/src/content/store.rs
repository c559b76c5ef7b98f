use super::{Sink, Source};
use crate::{Digest, Result};

/// A store of one repository's content that can also be listed and pruned: what an embedded registry serves.
///
/// [`Source::resolve`] of a store takes the digest of any content it has, blobs included, and then gives the
/// media type `application/octet-stream` for what is not known as a manifest or index.
pub trait Store: Source + Sink {
    /// The tags there are, sorted by bytes, each once.
    ///
    /// # Errors
    /// What reading the store can meet.
    fn tags(&self) -> Result<Vec<String>>;

    /// Takes a tag away and leaves its content. `Ok(false)` when there was none.
    ///
    /// # Errors
    /// What writing the store can meet.
    fn untag(&self, tag: &str) -> Result<bool>;

    /// Removes content, and every tag that names it. `Ok(false)` when there was none.
    ///
    /// # Errors
    /// What writing the store can meet.
    fn remove(&self, digest: &Digest) -> Result<bool>;
}
