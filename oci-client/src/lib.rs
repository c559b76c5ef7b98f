//! An OCI registry client that streams, resumes and verifies: an async core, and a [`blocking`] face over it that
//! is a source and a sink of [`oci_digest::content::copy`].
//!
//! ```no_run
//! use std::io;
//! use oci_client::{Reference, blocking::Client};
//!
//! let reference: Reference = "127.0.0.1:5000/tools/jq:1.7".parse()?;
//! let repository = Client::new()?.repository(&reference)?;
//! let manifest = repository.manifest(reference.target())?;
//! println!("{} has {} bytes", manifest.descriptor().digest(), manifest.bytes().len());
//! # Ok::<(), oci_client::Error>(())
//! ```
//!
//! # Features
//! - `ring` (default): TLS by rustls with ring.
//! - `aws-lc-rs`: TLS by rustls with aws-lc-rs. With both, ring is used; without either, https is an error.
//! - `native-roots`: `ClientOptions::native_roots`, to trust the roots of the operating system besides the built-in
//!   ones.
//! - `registry`: an embeddable registry, for tests and offline use.
//!
//! # Errors
//! One [`Error`] for the crate. [`Error::is_not_found`], [`Error::is_unauthorized`] and [`Error::is_retryable`]
//! answer the questions that callers ask. Errors hold no secrets, and show URLs without their query.
#![forbid(unsafe_code)]

pub mod blocking;
mod client;
pub mod credentials;
mod error;
mod net;
mod options;
mod protocol;
mod reference;
#[cfg(feature = "registry")]
pub mod registry;
mod repository;
mod session;
mod wait;

pub use client::{Client, Registry};
pub use credentials::{CredentialSource, Credentials};
pub use error::{Error, Result};
pub use options::{ClientOptions, PlainHttp};
pub use reference::Reference;
pub use repository::{BlobReader, Manifest, Repository};
