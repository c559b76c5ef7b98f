//! Documents that stay their bytes.

mod depth;
mod view;
mod wire;

use std::sync::Arc;

use serde::Serialize;

pub use view::View;

use crate::error::shortened;
use crate::media_type::{self, Kind};
use crate::{Algorithm, Descriptor, Digest, Error, MediaType, Result, VerifyReader, canonical, digest_of};

/// The largest document that is taken by default, 4 MiB: what distribution-spec asks registries to accept.
pub const MAX_DOCUMENT_BYTES: u64 = 4 << 20;

/// A JSON document: its bytes as they came, and a typed view of them.
///
/// The bytes are the document. A view knows only the members it has names for and no order, so it is never
/// written out in place of the bytes: what was pulled is stored and pushed by [`bytes`](Self::bytes).
///
/// `T` is [`ImageManifest`](crate::ImageManifest), [`ImageIndex`](crate::ImageIndex),
/// [`ArtifactManifest`](crate::spec::ArtifactManifest), [`ImageConfiguration`](crate::ImageConfiguration) or
/// [`serde_json::Value`]. docker's twins have the same shapes and the same views. Clones share the bytes.
///
/// ```
/// use oci_digest::{Document, ImageIndex};
///
/// let bytes = br#"{"schemaVersion":2, "manifests":[], "unknown":"stays"}"#;
/// let index: Document<ImageIndex> = Document::parse(&bytes[..], None)?;
/// assert_eq!(index.bytes(), bytes);
/// assert!(index.view().manifests().is_empty());
/// # Ok::<(), oci_digest::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Document<T> {
    bytes: Arc<[u8]>,
    descriptor: Descriptor,
    view: T,
}

impl<T: View> Document<T> {
    /// Understands bytes that came from outside, of at most [`MAX_DOCUMENT_BYTES`].
    ///
    /// With a descriptor the bytes must have its size and digest, and its media type must be one that `T` is for
    /// and must be the one the document itself names, if it names one. Without, the digest is the bytes' sha256.
    ///
    /// # Errors
    /// [`Error::Limit`] for bytes or nesting (128) beyond the limit; [`Error::SizeMismatch`] and
    /// [`Error::DigestMismatch`]; [`Error::UnsupportedMediaType`] when the kind is not what `T` is for;
    /// [`Error::Document`] for what is not JSON, lacks a required member, names another media type, or is a
    /// manifest and an index at the same time.
    pub fn parse(bytes: impl Into<Arc<[u8]>>, descriptor: Option<&Descriptor>) -> Result<Self> {
        Self::parse_within(bytes, descriptor, MAX_DOCUMENT_BYTES)
    }

    /// As [`parse`](Self::parse), with another limit of bytes.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_within(
        bytes: impl Into<Arc<[u8]>>,
        descriptor: Option<&Descriptor>,
        limit: u64,
    ) -> Result<Self> {
        let bytes = bytes.into();
        if bytes.len() as u64 > limit {
            return Err(Error::Limit { limit: "document bytes", maximum: limit });
        }
        let digest = match descriptor {
            Some(descriptor) => {
                verify(&bytes, descriptor)?;
                descriptor.digest().clone()
            }
            None => digest_of(Algorithm::Sha256, &bytes),
        };
        if let Some(descriptor) = descriptor {
            accept::<T>(&digest, descriptor.media_type())?;
        }
        depth::check(&bytes)?;
        let view = T::from_json(&bytes, &digest)?;
        let own = view.media_type();
        if let Some(own) = &own {
            accept::<T>(&digest, own)?;
        }
        let descriptor = match (descriptor, own) {
            (Some(descriptor), Some(own)) if !media_type::same(descriptor.media_type(), &own) => {
                return Err(Error::Document {
                    digest,
                    pointer: "/mediaType".to_owned(),
                    reason: format!(
                        "it names {}, but is described as {}",
                        shortened(own.as_ref()),
                        shortened(descriptor.media_type().as_ref())
                    ),
                });
            }
            (Some(descriptor), _) => descriptor.clone(),
            (None, own) => {
                Descriptor::new(own.unwrap_or_else(T::default_media_type), bytes.len() as u64, digest)
            }
        };
        Ok(Self { bytes, descriptor, view })
    }

    /// Writes a new document as [`canonical`] JSON.
    ///
    /// # Errors
    /// As [`canonical::to_vec`] and [`parse`](Self::parse).
    pub fn author(value: &T) -> Result<Self>
    where
        T: Serialize,
    {
        Self::parse(canonical::to_vec(value)?, None)
    }
}

impl<T> Document<T> {
    /// The bytes as they came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> &Digest {
        self.descriptor.digest()
    }

    /// The media type that the document is known by.
    pub fn media_type(&self) -> &MediaType {
        self.descriptor.media_type()
    }

    /// Digest, size and media type; with all that came along when it was parsed by a descriptor.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// What is in it.
    pub fn view(&self) -> &T {
        &self.view
    }

    /// What is in it, without the bytes.
    pub fn into_view(self) -> T {
        self.view
    }
}

/// Two documents are one when their bytes are.
impl<T> PartialEq for Document<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.media_type() == other.media_type()
    }
}

impl<T> Eq for Document<T> {}

fn verify(bytes: &[u8], descriptor: &Descriptor) -> Result<()> {
    std::io::copy(&mut VerifyReader::of(bytes, descriptor)?, &mut std::io::sink())
        .map(drop)
        .map_err(|e| Error::io(format!("verifying {}", descriptor.digest()), e))
}

fn accept<T: View>(digest: &Digest, media_type: &MediaType) -> Result<()> {
    if T::accepts(Kind::of(media_type)) {
        return Ok(());
    }
    Err(Error::UnsupportedMediaType { digest: digest.clone(), media_type: shortened(media_type.as_ref()) })
}
