//! Tar framing: from the bytes of an uncompressed layer to its entries.
//!
//! [`Decoder`] does no I/O: bytes go in, [`Event`]s come out, however the bytes are cut into pieces.
//! [`ArchiveReader`] drives it over any [`std::io::BufRead`], out of its buffer. Old (pre-POSIX), ustar, PAX and GNU
//! archives are read, sparse files of all four kinds among them. Names are bytes and stay as they are in the
//! archive: nothing here resolves, normalises or trusts them.
//!
//! What two readers of one archive could understand differently is an error here: a GNU long name that differs
//! from the PAX path, numbers out of range, sparse maps that do not add up, unknown entry types.

mod decoder;
mod entry;
mod fault;
mod header;
mod limits;
mod number;
mod pax;
mod reader;
mod sparse;
mod warning;
mod xattr;

pub use decoder::{Decoder, Event};
pub use entry::{Entry, EntryKind, Segment, Timestamp};
pub use limits::FramingLimits;
pub use reader::{ArchiveReader, Chunk};
pub use warning::Warning;

/// Whether an archive begins with these bytes: a whole header with a right checksum.
pub(crate) fn is_header(start: &[u8]) -> bool {
    start.first_chunk::<BLOCK>().is_some_and(|block| header::Header::new(block).is_ok())
}

/// The unit of the format: headers are one block, data is padded to whole blocks.
pub(crate) const BLOCK: usize = 512;
