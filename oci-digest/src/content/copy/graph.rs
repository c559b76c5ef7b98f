use super::CopyOptions;
use crate::content::{Source, SourceExt, embedded};
use crate::error::shortened;
use crate::media_type::Kind;
use crate::spec::ArtifactManifest;
use crate::{Descriptor, Document, Error, ImageIndex, ImageManifest, Result, View};

/// A manifest or index of any kind, and what it names.
pub(super) struct Node {
    pub(super) bytes: Vec<u8>,
    /// What has to be in the sink before it.
    pub(super) children: Vec<Descriptor>,
    pub(super) subject: Option<Descriptor>,
}

/// Reads a manifest and verifies it; its own `data` is used when it fits.
pub(super) fn fetch(source: &dyn Source, descriptor: &Descriptor, options: &CopyOptions) -> Result<Node> {
    let limit = options.limits.manifest_bytes;
    if descriptor.size() > limit {
        return Err(Error::Limit { limit: "manifest bytes", maximum: limit });
    }
    let bytes = match embedded(descriptor) {
        Some(bytes) => bytes,
        None => source.read(descriptor, limit)?,
    };
    understand(bytes, descriptor, limit)
}

pub(super) fn understand(bytes: Vec<u8>, descriptor: &Descriptor, limit: u64) -> Result<Node> {
    let (children, subject) = match Kind::of(descriptor.media_type()) {
        Kind::Manifest => {
            let manifest: ImageManifest = view(&bytes, descriptor, limit)?;
            let mut children = vec![manifest.config().clone()];
            children.extend_from_slice(manifest.layers());
            (children, manifest.subject().clone())
        }
        Kind::Index => {
            let index: ImageIndex = view(&bytes, descriptor, limit)?;
            (index.manifests().clone(), index.subject().clone())
        }
        Kind::ArtifactManifest => {
            let artifact: ArtifactManifest = view(&bytes, descriptor, limit)?;
            (artifact.blobs().clone(), artifact.subject().clone())
        }
        _ => {
            return Err(Error::UnsupportedMediaType {
                digest: descriptor.digest().clone(),
                media_type: shortened(descriptor.media_type().as_ref()),
            });
        }
    };
    Ok(Node { bytes, children, subject })
}

fn view<T: View>(bytes: &[u8], descriptor: &Descriptor, limit: u64) -> Result<T> {
    Ok(Document::<T>::parse_within(bytes, Some(descriptor), limit)?.into_view())
}
