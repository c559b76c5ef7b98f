//! Sparse files: four ways to write where the data goes, one checked list of segments.

use super::fault::Fault;
use super::header::until_nul;
use super::number;
use super::{BLOCK, Segment};

/// Segments as they are read, before they are checked as a whole.
#[derive(Debug, Default)]
pub(super) struct SparseMap {
    segments: Vec<Segment>,
    seen: usize,
    end: u64,
    stored: u64,
}

impl SparseMap {
    /// Takes the next segment. Empty ones mark the size at the end of a map and are dropped.
    fn push(&mut self, offset: u64, len: u64, max: usize) -> Result<(), Fault> {
        self.seen += 1;
        if self.seen > max {
            return Err(Fault::limit("sparse segments", max));
        }
        let end = offset.checked_add(len).ok_or("a sparse segment is out of range")?;
        if offset < self.end {
            return Err("sparse segments overlap or are not sorted".into());
        }
        self.end = end;
        self.stored += len;
        if len > 0 {
            self.segments.push(Segment { offset, len });
        }
        Ok(())
    }

    /// Old GNU: (offset, length) pairs of 12 bytes each; a pair without a length ends the list.
    pub(super) fn push_gnu(&mut self, pairs: &[u8], max: usize) -> Result<(), Fault> {
        for pair in pairs.chunks_exact(24) {
            let (offset, len) = pair.split_at(12);
            if until_nul(len).is_empty() && until_nul(offset).is_empty() {
                break;
            }
            let offset = number::size("sparse offset", number::field("sparse offset", offset)?)?;
            let len = number::size("sparse length", number::field("sparse length", len)?)?;
            self.push(offset, len, max)?;
        }
        Ok(())
    }

    /// PAX 0.0 and 0.1: offsets and lengths by turns.
    pub(super) fn from_numbers(numbers: &[u64], max: usize) -> Result<Self, Fault> {
        let mut map = Self::default();
        let pairs = numbers.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return Err("the sparse map has an offset without a length".into());
        }
        for pair in pairs {
            map.push(pair[0], pair[1], max)?;
        }
        Ok(map)
    }

    /// The segments, if they lie inside `size` and sum up to the bytes that are stored.
    pub(super) fn finish(self, size: u64, stored: u64) -> Result<Vec<Segment>, Fault> {
        if self.end > size {
            return Err("a sparse segment lies outside the file".into());
        }
        if self.stored != stored {
            return Err(format!(
                "the sparse map is for {} bytes of data, the archive stores {stored}",
                self.stored
            )
            .into());
        }
        Ok(self.segments)
    }
}

/// An extension block of an old GNU sparse map: 21 pairs, and whether one more block follows.
pub(super) fn gnu_extension(block: &[u8; BLOCK]) -> (&[u8], bool) {
    (&block[..504], block[504] != 0)
}

/// The reader of a PAX 1.0 map, which stands in front of the data: decimal lines (the count, then offsets and
/// lengths by turns), padded to whole blocks.
#[derive(Debug, Default)]
pub(super) struct MapLines {
    map: SparseMap,
    /// Pairs still to come; `None` before the first line.
    left: Option<u64>,
    offset: Option<u64>,
    /// Digits of a line that the last block cut.
    line: Vec<u8>,
    /// Bytes of blocks taken.
    pub(super) bytes: u64,
}

impl MapLines {
    /// Takes a block of the map. `true` when the map is complete and the data follows.
    pub(super) fn push(&mut self, block: &[u8; BLOCK], max: usize) -> Result<bool, Fault> {
        self.bytes += BLOCK as u64;
        let mut rest = &block[..];
        while let Some(newline) = rest.iter().position(|&b| b == b'\n') {
            self.line.extend_from_slice(&rest[..newline]);
            rest = &rest[newline + 1..];
            let number = number::digits(&self.line).ok_or("a line of the sparse map is not a number")?;
            self.line.clear();
            if self.number(number, max)? {
                return Ok(true);
            }
        }
        self.line.extend_from_slice(rest);
        if self.line.len() > 20 {
            return Err("a line of the sparse map is not a number".into());
        }
        Ok(false)
    }

    fn number(&mut self, number: u64, max: usize) -> Result<bool, Fault> {
        match (self.left, self.offset.take()) {
            (None, _) => {
                if number > max as u64 {
                    return Err(Fault::limit("sparse segments", max));
                }
                self.left = Some(number);
                Ok(number == 0)
            }
            (Some(_), None) => {
                self.offset = Some(number);
                Ok(false)
            }
            (Some(left), Some(offset)) => {
                self.map.push(offset, number, max)?;
                self.left = Some(left - 1);
                Ok(left == 1)
            }
        }
    }

    pub(super) fn into_map(self) -> SparseMap {
        self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(numbers: &[u64], size: u64, stored: u64) -> Result<Vec<Segment>, Fault> {
        SparseMap::from_numbers(numbers, 4)?.finish(size, stored)
    }

    #[test]
    fn maps_that_add_up() {
        let at = |offset, len| Segment { offset, len };
        assert_eq!(checked(&[0, 5, 10, 5, 20, 0], 20, 10).unwrap(), [at(0, 5), at(10, 5)]);
        assert_eq!(checked(&[], 1 << 40, 0).unwrap(), []);
    }

    #[test]
    fn maps_that_do_not() {
        for (numbers, size, stored) in [
            (&[0, 5, 4, 5][..], 20, 10),              // overlap
            (&[10, 5, 0, 5], 20, 10),                 // not sorted
            (&[0, 5, 10, 11], 20, 16),                // outside
            (&[0, 5], 20, 6),                         // sum
            (&[0], 20, 0),                            // half a pair
            (&[u64::MAX, 2], u64::MAX, 2),            // wraps
            (&[0, 1, 1, 1, 2, 1, 3, 1, 4, 1], 20, 5), // too many
        ] {
            assert!(checked(numbers, size, stored).is_err(), "{numbers:?}");
        }
    }

    #[test]
    fn lines_across_blocks() {
        let mut text = b"130\n".to_vec();
        for i in 0..130u64 {
            text.extend_from_slice(format!("{}\n5\n", i * 10).as_bytes());
        }
        text.resize(text.len().next_multiple_of(BLOCK), 0);
        let mut lines = MapLines::default();
        let mut done = false;
        for block in text.as_chunks::<BLOCK>().0 {
            assert!(!done);
            done = lines.push(block, 1000).unwrap();
        }
        assert!(done);
        assert_eq!(lines.into_map().finish(1300, 650).unwrap().len(), 130);
    }

    #[test]
    fn lines_that_are_no_map() {
        for text in ["x\n", "1\n-5\n", "99999\n", "111111111111111111111111"] {
            let mut block = [0; BLOCK];
            block[..text.len()].copy_from_slice(text.as_bytes());
            assert!(MapLines::default().push(&block, 1000).is_err(), "{text}");
        }
    }
}
