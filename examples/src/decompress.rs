use std::io::{self, Read};

use oci_unpack::compression::Decoder;

/// Reads gzip and zstd: what the archives and checks of `oci_layout` ask for.
///
/// # Errors
/// When the stream is neither, and what reading can meet.
pub fn decompress<'r>(reader: Box<dyn Read + Send + 'r>) -> io::Result<Box<dyn Read + Send + 'r>> {
    Ok(Box::new(Decoder::new(reader, None).map_err(io::Error::other)?))
}
