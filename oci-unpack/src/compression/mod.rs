//! Compression of layers: plain, gzip and zstd (and xz and bzip2, with the features of these names), decoded by what the bytes are and encoded reproducibly.

mod block;
mod blocks;
mod decoder;
mod encoder;
mod format;
mod gzip;
mod input;

pub(crate) use decoder::WINDOW;
pub use decoder::{Decoder, Notice};
pub use encoder::Encoder;
pub use format::Compression;
