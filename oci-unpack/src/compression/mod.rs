//! Compression of layers: plain, gzip and zstd, decoded by what the bytes are and encoded reproducibly.

mod decoder;
mod encoder;
mod format;
mod gzip;
mod input;

pub use decoder::{Decoder, Notice};
pub use encoder::Encoder;
pub use format::Compression;
