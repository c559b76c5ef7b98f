use std::fmt;
use std::io::{self, BufWriter, Write};
use std::num::NonZero;
use std::thread::available_parallelism;

use super::Compression;
use super::block::Method;
use super::blocks::Blocks;
use crate::{Error, Result};

/// Compresses a layer, reproducibly: the same bytes, compression and level give the same blob, on any number of threads
/// and however the bytes are cut into writes.
///
/// The layer is compressed in blocks of a fixed size, side by side: those of gzip (256 KiB) are pieces of one stream, which
/// point back into one another, those of zstd (4 MiB) are frames. The memory is that of four blocks for each thread. The
/// threads are started with the second block and end with the encoder.
///
/// The bytes are a promise of one version of this crate on one platform, not for all times: a later compressor may
/// find a shorter way to say the same. The diffID does not depend on it.
pub struct Encoder<W: Write>(State<W>);

enum State<W: Write> {
    Plain(BufWriter<W>),
    Blocks(Box<Blocks<W>>),
}

/// Layers as small as those of `gzip -6` in half the time on two processors: at level 7 alone they are half a percent
/// larger, at level 9 alone it takes as much work as there.
const GZIP: [i32; 2] = [7, 9];
/// As in the program `zstd`.
const ZSTD: u32 = 3;

/// What takes plain bytes should not see small pieces.
const BUFFER: usize = 128 << 10;

/// More threads than this wait for whoever reads and hashes.
const MOST_THREADS: usize = 16;

impl<W: Write> Encoder<W> {
    /// Compresses into `inner`. `level` is 0–9 for gzip (default: the blocks take turns between 7 and 9, which makes layers as
    /// small as `gzip -6` does) and 1–22 for zstd (default 3). As many threads as the process has processors compress, 16
    /// at most.
    ///
    /// # Errors
    /// [`Error::Compression`] for a level that the compression does not have, and for xz and bzip2; what writing can meet.
    pub fn new(inner: W, compression: Compression, level: Option<u32>) -> Result<Self> {
        Self::with_threads(inner, compression, level, 0)
    }

    /// As [`new`](Self::new) with a number of threads: with 1 the caller's compresses, 0 stands for the default. The blob
    /// is the same.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_threads(
        inner: W,
        compression: Compression,
        level: Option<u32>,
        threads: usize,
    ) -> Result<Self> {
        let bad_level = || Error::Compression {
            reason: format!("{compression} has no level {}", level.unwrap_or_default()),
        };
        let method = match compression {
            Compression::None => {
                return Ok(Self(State::Plain(BufWriter::with_capacity(BUFFER, inner))));
            }
            Compression::Gzip => match level.map(i32::try_from) {
                None => Method::Gzip { levels: GZIP },
                Some(Ok(level @ 0..=9)) => Method::Gzip { levels: [level; 2] },
                Some(_) => return Err(bad_level()),
            },
            Compression::Zstd => {
                Method::Zstd { level: i32::try_from(level.unwrap_or(ZSTD)).map_err(|_| bad_level())? }
            }
            Compression::Xz | Compression::Bzip2 => {
                return Err(Error::Compression { reason: format!("no layer is written as {compression}") });
            }
        };
        if matches!(method, Method::Zstd { level } if !(1..=22).contains(&level)) {
            return Err(bad_level());
        }
        let threads = match threads {
            0 => available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS),
            some => some,
        };
        let blocks = Blocks::new(inner, method, threads).map_err(writing)?;
        Ok(Self(State::Blocks(Box::new(blocks))))
    }

    /// Writes what is left and the trailer, and gives the writer back.
    ///
    /// # Errors
    /// What writing can meet.
    pub fn finish(self) -> Result<W> {
        match self.0 {
            State::Plain(inner) => inner.into_inner().map_err(io::IntoInnerError::into_error),
            State::Blocks(blocks) => blocks.finish(),
        }
        .map_err(writing)
    }
}

fn writing(error: io::Error) -> Error {
    Error::io("writing the layer", error)
}

/// `flush` reaches what is complete: a block that is not full yet waits for its end, since where blocks end
/// decides what the bytes are.
impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            State::Plain(inner) => inner.write(buf),
            State::Blocks(blocks) => blocks.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            State::Plain(inner) => inner.flush(),
            State::Blocks(blocks) => blocks.flush(),
        }
    }
}

impl<W: Write> fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.0 {
            State::Plain(_) => "Plain",
            State::Blocks(_) => "Blocks",
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

    /// Text, noise and zeros of any length, always the same.
    fn sample(len: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut all = Vec::with_capacity(len + 64);
        while all.len() < len {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            match (state >> 60) & 3 {
                0 => all.extend_from_slice(&state.to_le_bytes()),
                1 => all.extend_from_slice(&[0; 40]),
                _ => all.extend_from_slice(format!("line {:x} of text\n", state >> 52).as_bytes()),
            }
        }
        all.truncate(len);
        all
    }

    fn encode(
        data: &[u8],
        (compression, level): (Compression, Option<u32>),
        threads: usize,
        pieces: usize,
    ) -> Vec<u8> {
        let mut encoder = Encoder::with_threads(Vec::new(), compression, level, threads).unwrap();
        for piece in data.chunks(pieces) {
            encoder.write_all(piece).unwrap();
            encoder.flush().unwrap();
        }
        encoder.finish().unwrap()
    }

    #[test]
    fn neither_threads_nor_pieces_matter() {
        let gzip = [0, 1, 100_000, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 2 << 20];
        let zstd = [0, 1, 4 << 20, (4 << 20) + 1, 9_000_000];
        for (how, sizes) in [
            ((Compression::Gzip, None), &gzip[..]),
            ((Compression::Gzip, Some(6)), &gzip[..]),
            ((Compression::Gzip, Some(0)), &gzip[..]),
            ((Compression::Zstd, Some(1)), &zstd[..]),
        ] {
            for &size in sizes {
                let data = sample(size);
                let blob = encode(&data, how, 1, 1 << 20);
                for (threads, pieces) in [(2, 70_001), (3, 1 << 20), (7, 300_000)] {
                    assert!(encode(&data, how, threads, pieces) == blob, "{how:?} {size} {threads}");
                }
                let mut decoder = super::super::Decoder::new(&blob[..], Some(how.0)).unwrap();
                let mut back = Vec::new();
                io::copy(&mut decoder, &mut back).unwrap();
                assert!(back == data, "{how:?} {size}");
                assert_eq!(decoder.notices(), []);
            }
        }
    }

    /// Written to until it is full.
    struct Small(usize);

    impl Write for Small {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0 =
                self.0.checked_sub(buf.len()).ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?;
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_sink_that_fails_ends_it() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let mut encoder = Encoder::with_threads(Small(300_000), compression, None, 3).unwrap();
            let data = sample(20_000_000);
            let error = encoder.write_all(&data).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            // Its threads are joined here.
            drop(encoder);
        }
    }
}
