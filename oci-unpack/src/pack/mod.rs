//! Making layers: a folder, or entries by hand, into a blob that can be made again bit for bit.
//!
//! [`pack`] takes a folder. [`LayerWriter`] takes entries one by one, for programs that know what a layer shall
//! hold. Both compress and hash on the way, in constant memory and on several threads, and end with a [`PackedLayer`]: the blob's
//! digest, the diffID, the sizes.
//!
//! # What makes a layer reproducible
//! The same tree and options give the same bytes, wherever the tree lies and whoever packs it:
//! - names in the order of their bytes, each directory before its children;
//! - only what a layer means is written: no user names, access times, inode numbers, device numbers of the disk;
//! - times are whole seconds, because a tree that travelled through other tools has no others; see
//!   [`PackOptions::nanoseconds`] and [`PackOptions::latest_mtime`];
//! - holes of sparse files are written as zeros, unless [`PackOptions::sparse`] asks for sparse entries: not every reader
//!   of layers knows them. How a file lies on the disk is not what it is, so that its zeros decide;
//! - plain ustar headers, with PAX records only for what those cannot hold.

mod header;
mod layer;
pub(crate) mod node;
mod options;
mod owners;
mod packed;
pub(crate) mod recorded;
mod sparse;
pub(crate) mod walk;
mod xattrs;

pub use layer::LayerWriter;
pub(crate) use layer::refuse_whiteout;
pub use options::PackOptions;
pub use owners::{IdRange, Owners};
pub use packed::{PackEvent, PackedLayer};
pub(crate) use sparse::next_data;
pub use walk::{pack, pack_observed};
