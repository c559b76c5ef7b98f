use std::io::{self, Read};

/// Gives the uncompressed bytes of a gzip or zstd stream, which it tells by its first bytes.
///
/// This crate brings no compression along; `oci_unpack::compression::Decoder` is made for it. Archives are read and written
/// with it ([`ArchiveOptions::decompress`](crate::archive::ArchiveOptions::decompress)), and layers are checked
/// ([`FsckOptions::decompress`](crate::fsck::FsckOptions::decompress)).
pub type Decompress = for<'r> fn(Box<dyn Read + Send + 'r>) -> io::Result<Box<dyn Read + Send + 'r>>;

/// How many first bytes [`compression`] wants.
pub(crate) const MAGIC: usize = 6;

/// The compression that the first bytes of a stream show. A tar archive begins with a name.
pub(crate) fn compression(magic: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 4] = [
        (&[0x1f, 0x8b], "gzip"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"),
        (b"BZh", "bzip2"),
    ];
    known.iter().find(|(start, _)| magic.starts_with(start)).map(|(_, name)| *name)
}
