//! The conformance suite: whether an implementation of the content traits keeps their contract.
//!
//! Every implementation in the family runs it, and so should yours. A check that does not hold is a [`Failure`]
//! with the check's name; nothing panics.
//!
//! ```
//! use oci_digest::content::MemoryStore;
//!
//! oci_digest::conformance::store(|| Ok(MemoryStore::new()))?;
//! # Ok::<(), oci_digest::conformance::Failure>(())
//! ```
//!
//! Each call of the factory gives an empty store. It may also give one repository of a registry again and again:
//! all content, tags and subjects are unique to a check and to a run, and no check expects that nothing else is
//! there. Images are whole (their blobs come before them), because registries insist on it.

mod exchange;
mod failure;
mod fixture;
mod referrers;
mod sink;
mod source;
mod store;

pub use failure::Failure;

use crate::Result;
use crate::content::{MemoryStore, Sink, Source, Store};

/// Checks a [`Source`] that something else fills: `make` gets a store and gives a source of the same content.
///
/// The store holds one tagged image with a config and two layers. For an archive, `make` writes the store into
/// one and opens it.
///
/// # Errors
/// The first check that fails.
pub fn source<S: Source>(make: impl Fn(&MemoryStore) -> Result<S>) -> Result<(), Failure> {
    source::run(make)
}

/// Checks a [`Sink`] by what it says of itself.
///
/// # Errors
/// The first check that fails.
pub fn sink<S: Sink>(make: impl Fn() -> Result<S>) -> Result<(), Failure> {
    sink::run(&make)
}

/// Checks something that is [`Source`] and [`Sink`]: all of [`sink`], and that what goes in comes out.
///
/// # Errors
/// The first check that fails.
pub fn exchange<S: Source + Sink>(make: impl Fn() -> Result<S>) -> Result<(), Failure> {
    sink::run(&make)?;
    exchange::run(&make)?;
    referrers::run(&make)
}

/// Checks a [`Store`]: all of [`exchange`], and listing and removal.
///
/// # Errors
/// The first check that fails.
pub fn store<S: Store>(make: impl Fn() -> Result<S>) -> Result<(), Failure> {
    exchange(&make)?;
    store::run(&make)
}
