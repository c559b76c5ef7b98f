//! One header block: which bytes of the 512 mean what.

use super::BLOCK;
use super::fault::Fault;
use super::number;

pub(super) type Block = [u8; BLOCK];

/// A header block whose checksum is right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a>(&'a Block);

impl<'a> Header<'a> {
    /// Checks the sum. Some old writers summed signed bytes, which is accepted, too.
    pub(super) fn new(block: &'a Block) -> Result<Self, Fault> {
        let header = Self(block);
        let stored = number::field("header checksum", header.part(148, 8))?;
        // The field itself counts as blanks.
        let field: u32 = header.part(148, 8).iter().map(|&b| u32::from(b)).sum();
        let all: u32 = block.iter().map(|&b| u32::from(b)).sum();
        let unsigned = all - field + 8 * u32::from(b' ');
        if stored == i128::from(unsigned) {
            return Ok(header);
        }
        let high = |bytes: &[u8]| bytes.iter().filter(|&&b| b >= 0x80).count();
        let high = high(block) - high(header.part(148, 8));
        if stored == i128::from(unsigned) - 256 * high as i128 {
            return Ok(header);
        }
        Err("wrong header checksum".into())
    }

    pub(super) fn type_flag(&self) -> u8 {
        self.0[156]
    }

    /// The name, with the prefix in front where the format has one.
    ///
    /// Only `ustar\0` has a prefix: with GNU's magic the same bytes hold times, in old archives anything.
    pub(super) fn path(&self) -> Vec<u8> {
        let name = until_nul(self.part(0, 100));
        let prefix = if self.part(257, 6) == b"ustar\0" {
            // star keeps two times behind a shorter prefix and says so at the end of the block.
            let len = if self.part(508, 4) == b"tar\0" { 131 } else { 155 };
            until_nul(self.part(345, len))
        } else {
            b""
        };
        if prefix.is_empty() {
            return name.to_vec();
        }
        let mut path = Vec::with_capacity(prefix.len() + 1 + name.len());
        path.extend_from_slice(prefix);
        path.push(b'/');
        path.extend_from_slice(name);
        path
    }

    pub(super) fn link(&self) -> &'a [u8] {
        until_nul(self.part(157, 100))
    }

    pub(super) fn mode(&self) -> Result<u32, Fault> {
        Ok(number::word("mode", number::field("mode", self.part(100, 8))?)? & 0o7777)
    }

    pub(super) fn uid(&self) -> Result<u32, Fault> {
        number::owner("uid", number::field("uid", self.part(108, 8))?)
    }

    pub(super) fn gid(&self) -> Result<u32, Fault> {
        number::owner("gid", number::field("gid", self.part(116, 8))?)
    }

    pub(super) fn size(&self) -> Result<u64, Fault> {
        number::size("size", number::field("size", self.part(124, 12))?)
    }

    pub(super) fn mtime(&self) -> Result<i64, Fault> {
        let seconds = number::field("mtime", self.part(136, 12))?;
        i64::try_from(seconds).map_err(|_| "mtime is out of range".into())
    }

    pub(super) fn device_major(&self) -> Result<u32, Fault> {
        number::word("device number", number::field("device number", self.part(329, 8))?)
    }

    pub(super) fn device_minor(&self) -> Result<u32, Fault> {
        number::word("device number", number::field("device number", self.part(337, 8))?)
    }

    /// Old GNU sparse: four (offset, length) pairs, whether blocks with more follow, and the size with holes.
    pub(super) fn gnu_sparse(&self) -> Result<(&'a [u8], bool, u64), Fault> {
        let size = number::size("sparse size", number::field("sparse size", self.part(483, 12))?)?;
        Ok((self.part(386, 96), self.0[482] != 0, size))
    }

    fn part(&self, offset: usize, len: usize) -> &'a [u8] {
        // Only called with constants inside the block.
        &self.0[offset..offset + len]
    }
}

/// Whether the block is half of an end mark.
pub(super) fn is_zero(block: &Block) -> bool {
    *block == [0; BLOCK]
}

/// The bytes before the first NUL.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&b| b == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sums_are_accepted() {
        let mut block = [0u8; BLOCK];
        block[0] = 0xe9;
        let unsigned = 0xe9 + 8 * 32;
        for (sum, fine) in [(unsigned, true), (unsigned - 256, true), (unsigned + 1, false)] {
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            assert_eq!(Header::new(&block).is_ok(), fine, "{sum}");
        }
    }
}
