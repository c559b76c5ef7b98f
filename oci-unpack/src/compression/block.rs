//! One block of a layer, compressed so that it follows the one before and does not wait for it.

use std::io;

use zlib_rs::{Deflate, DeflateConfig, DeflateError, DeflateFlush, Status, crc32};

/// How far back deflate can point (RFC 1951).
const WINDOW: usize = 32 << 10;

/// How many symbols share one set of codes: 4096, a quarter of the usual. On the trees of images this makes layers smaller
/// by 0.3 %, at no cost.
const MEMORY_LEVEL: i32 = 6;

/// What the blocks of one layer have in common.
#[derive(Debug, Clone, Copy)]
pub(super) enum Method {
    /// Pieces of one deflate stream. Each ends at a whole byte (a sync flush), and points back into the block before. The
    /// levels take turns.
    Gzip { levels: [i32; 2] },
    /// One frame each.
    Zstd { level: i32 },
}

impl Method {
    /// The bytes of a block. The size decides what the compressed bytes are, so it is part of what must not change.
    pub(super) fn block(self) -> usize {
        match self {
            Self::Gzip { .. } => 256 << 10,
            Self::Zstd { .. } => 4 << 20,
        }
    }

    /// The bytes at a block's end that the next one points back into.
    pub(super) fn window(self) -> usize {
        match self {
            Self::Gzip { .. } => WINDOW,
            Self::Zstd { .. } => 0,
        }
    }
}

/// Bytes that are compressed, behind those that came before them.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    /// How many of the bytes belong to the block before.
    pub(super) before: usize,
    /// Its place in the stream, from 0.
    pub(super) index: u64,
    /// Whether the stream ends with it.
    pub(super) last: bool,
}

/// A block's bytes in the blob.
pub(super) struct Compressed {
    pub(super) bytes: Vec<u8>,
    /// Of the block's own bytes, and how many they are; for gzip only.
    pub(super) crc: u32,
    pub(super) len: u64,
    /// The block's memory, to be used again.
    pub(super) spare: Vec<u8>,
}

impl Block {
    /// A compressor of its own for each block: one that was used before finds other matches, though it was reset.
    pub(super) fn compress(self, method: Method) -> io::Result<Compressed> {
        let (before, own) = self.bytes.split_at(self.before.min(self.bytes.len()));
        let mut crc = 0;
        let bytes = match method {
            Method::Gzip { levels: [even, odd] } => {
                let level = if self.index.is_multiple_of(2) { even } else { odd };
                crc = crc32::crc32(0, own);
                deflate(before, own, level, self.last)?
            }
            Method::Zstd { level } => {
                let mut compressor = zstd::bulk::Compressor::new(level)?;
                compressor.include_checksum(true)?;
                compressor.compress(own)?
            }
        };
        Ok(Compressed { bytes, crc, len: own.len() as u64, spare: self.bytes })
    }
}

fn deflate(before: &[u8], own: &[u8], level: i32, last: bool) -> io::Result<Vec<u8>> {
    let failed = |e: DeflateError| io::Error::other(e.as_str());
    let mut config = DeflateConfig::new(level);
    // Negative: without header and trailer (zlib.h, deflateInit2).
    config.window_bits = -15;
    config.mem_level = MEMORY_LEVEL;
    let mut stream = Deflate::new_with_config(config);
    if !before.is_empty() {
        stream.set_dictionary(before).map_err(failed)?;
    }
    let flush = if last { DeflateFlush::Finish } else { DeflateFlush::SyncFlush };
    let mut out = vec![0; own.len() / 2 + 1024];
    loop {
        let (read, written) = (stream.total_in() as usize, stream.total_out() as usize);
        let input = own.get(read..).unwrap_or_default();
        let status =
            stream.compress(input, out.get_mut(written..).unwrap_or_default(), flush).map_err(failed)?;
        let written = stream.total_out() as usize;
        // With room left in the output, everything is out (zlib.h, deflate).
        let flushed = !last && stream.total_in() as usize == own.len() && written < out.len();
        if status == Status::StreamEnd || flushed {
            out.truncate(written);
            return Ok(out);
        }
        out.resize(out.len() + (128 << 10), 0);
    }
}
