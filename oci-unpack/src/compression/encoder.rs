use std::fmt;
use std::io::{self, BufWriter, Write};

use super::Compression;
use crate::{Error, Result};

/// Compresses a layer, reproducibly: the same bytes, compression and level give the same blob.
///
/// The bytes are a promise of one version of this crate on one platform, not for all times: a later compressor may
/// find a shorter way to say the same. The diffID does not depend on it.
pub struct Encoder<W: Write>(State<W>);

enum State<W: Write> {
    Plain(BufWriter<W>),
    Gzip(flate2::write::GzEncoder<BufWriter<W>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<W>>),
}

/// Compressors write small pieces; what takes them should not see those.
const BUFFER: usize = 128 << 10;

impl<W: Write> Encoder<W> {
    /// Compresses into `inner`. `level` is 0–9 for gzip (default 6) and 1–22 for zstd (default 3).
    ///
    /// # Errors
    /// [`Error::Compression`] for a level that the compression does not have, and for xz and bzip2.
    pub fn new(inner: W, compression: Compression, level: Option<u32>) -> Result<Self> {
        let inner = BufWriter::with_capacity(BUFFER, inner);
        let bad_level = || Error::Compression {
            reason: format!("{compression} has no level {}", level.unwrap_or_default()),
        };
        Ok(Self(match compression {
            Compression::None => State::Plain(inner),
            Compression::Gzip => {
                let level = level.unwrap_or(6);
                if level > 9 {
                    return Err(bad_level());
                }
                // RFC 1952: no time, and 255 for an unknown operating system.
                let header = flate2::GzBuilder::new().mtime(0).operating_system(255);
                State::Gzip(header.write(inner, flate2::Compression::new(level)))
            }
            Compression::Zstd => {
                let level = i32::try_from(level.unwrap_or(3)).map_err(|_| bad_level())?;
                if !(1..=22).contains(&level) {
                    return Err(bad_level());
                }
                let broken = |e: io::Error| Error::Compression { reason: format!("zstd: {e}") };
                let mut encoder = zstd::stream::write::Encoder::new(inner, level).map_err(broken)?;
                encoder.include_checksum(true).map_err(broken)?;
                State::Zstd(encoder)
            }
            Compression::Xz | Compression::Bzip2 => {
                return Err(Error::Compression { reason: format!("no layer is written as {compression}") });
            }
        }))
    }

    /// Writes what is left and the trailer, and gives the writer back.
    ///
    /// # Errors
    /// What writing can meet.
    pub fn finish(self) -> Result<W> {
        let finished = match self.0 {
            State::Plain(inner) => Ok(inner),
            State::Gzip(encoder) => encoder.finish(),
            State::Zstd(encoder) => encoder.finish(),
        };
        finished
            .and_then(|inner| inner.into_inner().map_err(io::IntoInnerError::into_error))
            .map_err(|e| Error::io("writing the layer", e))
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            State::Plain(inner) => inner.write(buf),
            State::Gzip(encoder) => encoder.write(buf),
            State::Zstd(encoder) => encoder.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            State::Plain(inner) => inner.flush(),
            State::Gzip(encoder) => encoder.flush(),
            State::Zstd(encoder) => encoder.flush(),
        }
    }
}

impl<W: Write> fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.0 {
            State::Plain(_) => "Plain",
            State::Gzip(_) => "Gzip",
            State::Zstd(_) => "Zstd",
        };
        f.debug_tuple("Encoder").field(&name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gzip_header_tells_nothing() {
        let blob = Encoder::new(Vec::new(), Compression::Gzip, None).unwrap().finish().unwrap();
        assert_eq!(blob[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    }

    #[test]
    fn levels() {
        for (compression, level, fine) in [
            (Compression::Gzip, 9, true),
            (Compression::Gzip, 10, false),
            (Compression::Zstd, 22, true),
            (Compression::Zstd, 0, false),
            (Compression::Zstd, 23, false),
            (Compression::Xz, 6, false),
            (Compression::Bzip2, 6, false),
        ] {
            assert_eq!(
                Encoder::new(Vec::new(), compression, Some(level)).is_ok(),
                fine,
                "{compression} {level}"
            );
        }
    }
}
