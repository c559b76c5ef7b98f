//! One block of a layer, compressed so that it follows the one before and does not wait for it.

use std::io;

use flate2::{Compress, Crc, FlushCompress, Status};

/// How far back deflate can point (RFC 1951).
const WINDOW: usize = 32 << 10;

/// What the blocks of one layer have in common.
#[derive(Debug, Clone, Copy)]
pub(super) enum Method {
    /// Pieces of one deflate stream. Each ends at a whole byte (a sync flush), and points back into the block before.
    Gzip { level: u32 },
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
    /// Whether the stream ends with it.
    pub(super) last: bool,
}

/// A block's bytes in the blob.
pub(super) struct Compressed {
    pub(super) bytes: Vec<u8>,
    /// Of the block's own bytes; for gzip only.
    pub(super) crc: Crc,
    /// The block's memory, to be used again.
    pub(super) spare: Vec<u8>,
}

/// Compresses one block after the other, with the memory of the first.
pub(super) enum Compressor {
    Gzip(Compress),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    pub(super) fn new(method: Method) -> io::Result<Self> {
        Ok(match method {
            Method::Gzip { level } => Self::Gzip(Compress::new(flate2::Compression::new(level), false)),
            Method::Zstd { level } => {
                let mut compressor = zstd::bulk::Compressor::new(level)?;
                compressor.include_checksum(true)?;
                Self::Zstd(compressor)
            }
        })
    }

    pub(super) fn compress(&mut self, block: Block) -> io::Result<Compressed> {
        let (before, own) = block.bytes.split_at(block.before.min(block.bytes.len()));
        let mut crc = Crc::new();
        let bytes = match self {
            Self::Gzip(deflate) => {
                crc.update(own);
                deflate.reset();
                if !before.is_empty() {
                    deflate.set_dictionary(before).map_err(io::Error::other)?;
                }
                let flush = if block.last { FlushCompress::Finish } else { FlushCompress::Sync };
                run(deflate, own, flush)?
            }
            Self::Zstd(compressor) => compressor.compress(own)?,
        };
        Ok(Compressed { bytes, crc, spare: block.bytes })
    }
}

fn run(deflate: &mut Compress, mut input: &[u8], flush: FlushCompress) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(input.len() / 2 + 1024);
    loop {
        let before = deflate.total_in();
        let status = deflate.compress_vec(input, &mut out, flush).map_err(io::Error::other)?;
        let read = usize::try_from(deflate.total_in() - before).unwrap_or(usize::MAX);
        input = input.get(read..).unwrap_or_default();
        // With room left in the output, everything is out (zlib.h, deflate).
        let flushed = input.is_empty() && out.len() < out.capacity();
        match (flush, status) {
            (FlushCompress::Finish, Status::StreamEnd) => return Ok(out),
            (FlushCompress::Finish, _) => {}
            _ if flushed => return Ok(out),
            _ => {}
        }
        out.reserve(64 << 10);
    }
}
