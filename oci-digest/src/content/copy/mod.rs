//! The one copy.

mod graph;
mod options;
mod report;
mod root;
mod schedule;
mod transfer;

pub use options::{CopyLimits, CopyOptions, Observer, Platforms};
pub use report::{CopyReport, Event};

use super::{Sink, Source};
use crate::{Algorithm, Digest, Result};

/// Copies what a name stands for, with all that it needs, from any source to any sink.
///
/// `what` is a tag or digest in the source. The walk goes from an index to its manifests, from a manifest to its
/// config and layers, and, when asked, to referrers and subjects. Blobs go side by side, each digest once. What
/// is named comes before what names it, and the root last, under its tags: a copy that fails leaves no tag.
///
/// A blob that the sink has is not sent; one that it can adopt is not, either. A foreign layer that the source
/// does not have is left out. Every manifest is verified before it is followed; blobs are verified by the sink.
///
/// ```
/// use oci_digest::content::{self, CopyOptions, MemoryStore, Sink, Source};
/// use oci_digest::{Algorithm, Descriptor, MediaType, digest_of};
///
/// # let (source, sink) = (MemoryStore::new(), MemoryStore::new());
/// # let empty = Descriptor::new(MediaType::EmptyJSON, 2, digest_of(Algorithm::Sha256, b"{}"));
/// # source.ingest(&empty, &&b"{}"[..])?;
/// # let manifest = oci_digest::canonical::to_vec(&serde_json::json!({
/// #     "schemaVersion": 2, "config": empty, "layers": [],
/// # }))?;
/// # let digest = digest_of(Algorithm::Sha256, &manifest);
/// # let root = Descriptor::new(MediaType::ImageManifest, manifest.len() as u64, digest);
/// # source.publish(&root, &manifest, &["latest"])?;
/// let report = content::copy(&source, "latest", &sink, &CopyOptions::default())?;
/// assert_eq!(sink.resolve("latest")?, report.root);
/// # Ok::<(), oci_digest::Error>(())
/// ```
///
/// # Errors
/// The first that a source or sink meets, after which the other transfers end at their next read;
/// [`Error::Cancelled`](crate::Error::Cancelled) only when the options' token was raised;
/// [`Error::NoPlatform`](crate::Error::NoPlatform), [`Error::Limit`](crate::Error::Limit), and
/// [`Error::UnsupportedMediaType`](crate::Error::UnsupportedMediaType) for what is no manifest or index, such as
/// docker's schema 1.
pub fn copy(source: &dyn Source, what: &str, sink: &dyn Sink, options: &CopyOptions) -> Result<CopyReport> {
    options.cancel.check()?;
    let (root, node) = root::choose(source, what, options)?;
    options.tell(&Event::Resolved { descriptor: &root });
    let tags: Vec<&str> = match &options.tags {
        Some(tags) => tags.iter().map(String::as_str).collect(),
        None if is_digest(what) => Vec::new(),
        None => vec![what],
    };
    let bytes = node.bytes.clone();
    let mut report = schedule::Schedule::new(source, sink, options, &root).run(node)?;
    options.cancel.check()?;
    sink.publish(&root, &bytes, &tags)?;
    options.tell(&Event::Published { descriptor: &root, tags: &tags });
    report.sent += 1;
    report.sent_bytes += root.size();
    report.tags = tags.into_iter().map(str::to_owned).collect();
    Ok(report)
}

/// `name:tag` is a digest by its grammar, but not one of an algorithm that exists.
fn is_digest(name: &str) -> bool {
    name.parse::<Digest>().is_ok_and(|digest| Algorithm::of(&digest).is_ok())
}
