//! The vocabulary of OCI content: digests, descriptors, documents, and the traits by which content moves.
//!
//! The models are those of [`oci_spec::image`], re-exported in [`spec`], because that is what the ecosystem
//! passes around. What they lack is here: hashing and verification, documents that stay their bytes,
//! platform matching, and [`content`], the small traits through which a registry, a layout, an archive and a
//! memory store become sources and sinks of one generic [`content::copy`].
//!
//! ```
//! use std::io::Read;
//! use oci_digest::{Algorithm, VerifyReader, digest_of};
//!
//! let digest = digest_of(Algorithm::Sha256, b"hello");
//! let mut out = Vec::new();
//! VerifyReader::new(&b"hello"[..], &digest, 5)?.read_to_end(&mut out)?;
//! assert_eq!(out, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//! - `conformance`: the public conformance suite for implementations of the content traits.
//!
//! # Errors
//! One [`Error`] for the crate; [`Error::is_not_found`] and [`Error::is_retryable`] answer the two questions
//! callers ask.
#![forbid(unsafe_code)]

mod cancel;
pub mod canonical;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod content;
mod document;
mod error;
mod hash;
pub mod media_type;
pub mod platform;

pub use cancel::CancelToken;
pub use document::{Document, MAX_DOCUMENT_BYTES, View};
pub use error::{Error, Result};
pub use hash::{Algorithm, HashReader, HashWriter, Hasher, VerifyReader, digest_of};
pub use oci_spec::image as spec;
pub use oci_spec::image::{
    Descriptor, Digest, ImageConfiguration, ImageIndex, ImageManifest, MediaType, Platform,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
