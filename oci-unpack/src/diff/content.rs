//! Is it the same content? By comparing two files, or by a digest that was recorded.

use std::os::fd::AsFd;

use oci_digest::{Algorithm, Digest, Hasher};
use rustix::io::{Errno, pread};

use crate::pack::next_data;

/// The digest of a file's content: SHA-256 over its blocks of 4096 bytes. A block goes in as the byte `D` and its
/// bytes, a run of blocks of zeros as the byte `Z` and their number (64 bits, little endian), so that a hole
/// costs nothing, however large. The last block may be shorter; the size is compared beside the digest.
pub(crate) type ContentDigest = [u8; 32];

const BLOCK: usize = 4096;
const ZEROS: [u8; BLOCK] = [0; BLOCK];
const BUFFER: usize = 256 << 10;

/// Computes a [`ContentDigest`] of data that comes in order, with or without its holes.
#[derive(Debug)]
pub(crate) struct ContentHasher {
    hasher: Hasher,
    /// The beginning of a block whose end has not come yet.
    partial: Vec<u8>,
    /// Blocks of zeros that are not told yet.
    zeros: u64,
    /// Where the data so far ends.
    end: u64,
}

impl Default for ContentHasher {
    fn default() -> Self {
        Self { hasher: Hasher::new(Algorithm::Sha256), partial: Vec::new(), zeros: 0, end: 0 }
    }
}

impl ContentHasher {
    /// Data at an offset not before the end of what came; what is skipped is zeros.
    pub(crate) fn update(&mut self, offset: u64, mut data: &[u8]) {
        self.hole_to(offset);
        self.end += data.len() as u64;
        if !self.partial.is_empty() {
            let (front, rest) = data.split_at(data.len().min(BLOCK - self.partial.len()));
            self.partial.extend_from_slice(front);
            data = rest;
            if self.partial.len() < BLOCK {
                return;
            }
            let partial = std::mem::take(&mut self.partial);
            self.block(&partial);
            self.partial = partial;
            self.partial.clear();
        }
        let blocks = data.chunks_exact(BLOCK);
        self.partial.extend_from_slice(blocks.remainder());
        blocks.for_each(|block| self.block(block));
    }

    /// The digest of a file of this size.
    pub(crate) fn finish(mut self, size: u64) -> ContentDigest {
        self.hole_to(size);
        if !self.partial.is_empty() {
            let partial = std::mem::take(&mut self.partial);
            self.block(&partial);
        }
        self.tell_zeros();
        bytes_of(&self.hasher.finish())
    }

    fn hole_to(&mut self, offset: u64) {
        let Some(mut hole) = offset.checked_sub(self.end).filter(|hole| *hole > 0) else { return };
        // To the end of the block at work, then whole blocks, then the beginning of one.
        if !self.partial.is_empty() {
            let fill = hole.min((BLOCK - self.partial.len()) as u64);
            hole -= fill;
            self.update(self.end, ZEROS.get(..fill as usize).unwrap_or_default());
        }
        let blocks = hole / BLOCK as u64;
        self.zeros += blocks;
        self.end += blocks * BLOCK as u64;
        let rest = (hole % BLOCK as u64) as usize;
        self.partial.extend_from_slice(ZEROS.get(..rest).unwrap_or_default());
        self.end += rest as u64;
    }

    fn block(&mut self, block: &[u8]) {
        if block.len() == BLOCK && *block == ZEROS {
            self.zeros += 1;
            return;
        }
        self.tell_zeros();
        self.hasher.update(b"D");
        self.hasher.update(block);
    }

    fn tell_zeros(&mut self) {
        if self.zeros > 0 {
            self.hasher.update(b"Z");
            self.hasher.update(&self.zeros.to_le_bytes());
            self.zeros = 0;
        }
    }
}

/// The bytes of a SHA-256.
pub(crate) fn bytes_of(digest: &Digest) -> ContentDigest {
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(digest.digest().as_bytes().chunks_exact(2)) {
        *byte = digits
            .iter()
            .fold(0, |value, digit| (value << 4) | (*digit as char).to_digit(16).unwrap_or_default() as u8);
    }
    bytes
}

/// Reads a file of this size to its end. `None` when it is not as long any more.
pub(crate) fn digest(file: impl AsFd, size: u64) -> rustix::io::Result<Option<ContentDigest>> {
    let mut hasher = ContentHasher::default();
    let mut buffer = vec![0; usize::try_from(size).map_or(BUFFER, |size| size.min(BUFFER))];
    let mut at = 0;
    while let Some(data) = next_data(&file, at, size)? {
        at = data.start;
        while at < data.end {
            let n = read_at(&file, at, data.end, &mut buffer)?;
            if n == 0 {
                return Ok(None);
            }
            hasher.update(at, buffer.get(..n).unwrap_or_default());
            at += n as u64;
        }
    }
    Ok(Some(hasher.finish(size)))
}

/// Whether two files of this size have the same content.
pub(crate) fn same(a: impl AsFd, b: impl AsFd, size: u64) -> rustix::io::Result<bool> {
    let len = usize::try_from(size).map_or(BUFFER, |size| size.min(BUFFER));
    let (mut left, mut right) = (vec![0; len], vec![0; len]);
    let mut at = 0;
    loop {
        // Where both have holes there is nothing to read.
        let next = match (next_data(&a, at, size)?, next_data(&b, at, size)?) {
            (None, None) => return Ok(true),
            (Some(one), None) | (None, Some(one)) => one.start,
            (Some(one), Some(other)) => one.start.min(other.start),
        };
        at = next;
        let n = read_at(&a, at, size, &mut left)?;
        let mut have = 0;
        while have < n {
            let got = read_at(&b, at + have as u64, size, right.get_mut(have..n).unwrap_or_default())?;
            if got == 0 {
                return Ok(false);
            }
            have += got;
        }
        if n == 0 || left.get(..n) != right.get(..n) {
            return Ok(false);
        }
        at += n as u64;
    }
}

fn read_at(file: impl AsFd, at: u64, end: u64, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    let want = usize::try_from(end.saturating_sub(at)).map_or(buffer.len(), |left| left.min(buffer.len()));
    loop {
        match pread(&file, buffer.get_mut(..want).unwrap_or_default(), at) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(pieces: &[(u64, &[u8])], size: u64) -> ContentDigest {
        let mut hasher = ContentHasher::default();
        for (offset, data) in pieces {
            hasher.update(*offset, data);
        }
        hasher.finish(size)
    }

    #[test]
    fn neither_pieces_nor_holes_matter() {
        let mut whole: Vec<u8> = (0..50_000u32).map(|n| ((n * n) >> 7) as u8).collect();
        whole[4000..21_000].fill(0);
        whole[40_000..].fill(0);
        let size = whole.len() as u64;
        let expected = hash(&[(0, &whole)], size);
        for step in [1, 7, 512, 4095, 4096, 4097, 30_000] {
            let pieces: Vec<_> =
                whole.chunks(step).enumerate().map(|(i, data)| ((i * step) as u64, data)).collect();
            assert_eq!(hash(&pieces, size), expected, "{step}");
        }
        for holes in [vec![(0, 4000), (21_000, 40_000)], vec![(0, 8000), (8192, 30_000), (30_000, 45_000)]] {
            let pieces: Vec<_> = holes.into_iter().map(|(a, b)| (a as u64, &whole[a..b])).collect();
            assert_eq!(hash(&pieces, size), expected);
        }
        whole[45_000] = 1;
        assert_ne!(hash(&[(0, &whole)], size), expected);
    }

    #[test]
    fn huge_holes_cost_nothing() {
        assert_ne!(hash(&[], 1 << 60), hash(&[], (1 << 60) + 8192));
        assert_eq!(hash(&[(1 << 59, &[0])], 1 << 60), hash(&[], 1 << 60));
        assert_ne!(hash(&[(1 << 59, &[1])], 1 << 60), hash(&[], 1 << 60));
    }

    #[test]
    fn files_with_holes() {
        use std::os::unix::fs::FileExt;
        let files = [(); 3].map(|()| tempfile::tempfile().unwrap());
        let size = 3_000_000;
        for file in &files {
            file.set_len(size).unwrap();
            file.write_all_at(b"data", 1_500_000).unwrap();
        }
        files[1].write_all_at(&[0; 100_000], 5).unwrap();
        files[2].write_all_at(b"x", size - 1).unwrap();
        assert!(same(&files[0], &files[1], size).unwrap());
        assert!(!same(&files[0], &files[2], size).unwrap());
        assert!(!same(&files[2], &files[1], size).unwrap());
        let digests = files.each_ref().map(|file| digest(file, size).unwrap().unwrap());
        assert_eq!(digests[0], digests[1]);
        assert_ne!(digests[0], digests[2]);
        assert_eq!(digests[0], hash(&[(1_500_000, b"data")], size));
        assert_eq!(digest(&files[0], size + 1).unwrap(), Some(hash(&[(1_500_000, b"data")], size + 1)));
    }
}
