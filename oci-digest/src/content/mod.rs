//! The traits by which content moves.
//!
//! A [`Source`] gives content by name and digest, a [`Sink`] takes it, and a [`Store`] is both and can be listed
//! and pruned. They are synchronous and small, so that a registry, a layout, an archive, a memory store and a
//! store of unpacked layers can all be either side of one generic copy.
//!
//! Who verifies: **the sink**. A source hands out bytes as it has them; a sink hashes what it takes, once, and
//! keeps nothing that does not fit its descriptor. Who reads a source for other purposes wraps the reader in a
//! [`VerifyReader`](crate::VerifyReader), or calls [`SourceExt::read`].

mod copy;
mod data;
mod image;
mod location;
mod memory;
mod referrer;
mod sink;
mod source;
mod store;
mod tag;

pub use copy::{CopyLimits, CopyOptions, CopyReport, Event, Observer, Platforms, copy};
pub use data::{embed, embedded};
pub use image::{Image, ImageLayer, image};
pub use location::Location;
pub use memory::MemoryStore;
pub use referrer::Referrer;
pub use sink::{Content, Sink};
pub use source::{Source, SourceExt};
pub use store::Store;
