//! Files of which only the parts that are not zeros are written: GNU's sparse format 1.0, as PAX records and a map
//! in front of the data (GNU tar manual, Storing Sparse Files).
//!
//! The map is made of the content and not of how the file lies on the disk, so that a layer stays a function of the tree.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::framing::{BLOCK, Segment};

/// A hole is at least so long, and begins at a multiple of it.
const PAGE: u64 = 4096;
/// Maps stay small, and within what readers take.
const MOST: usize = 1000;

/// The parts of a file of this size that are not zeros. `None` where writing the file whole is as well: it has no
/// holes, or was cut off meanwhile.
pub(super) fn segments(file: &File, size: u64) -> io::Result<Option<Vec<Segment>>> {
    let mut found: Vec<Segment> = Vec::new();
    let mut shortest = PAGE;
    let mut page = [0; PAGE as usize];
    let mut at = 0;
    while let Some(data) = next_data(file, at, size)? {
        at = data.start / PAGE * PAGE;
        while at < data.end {
            let want = page.len().min(usize::try_from(size - at).unwrap_or(usize::MAX));
            let Some(part) = page.get_mut(..want) else { break };
            match file.read_exact_at(part, at) {
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                other => other?,
            }
            if part.iter().any(|byte| *byte != 0) {
                push(&mut found, Segment { offset: at, len: want as u64 }, shortest);
            }
            at += want as u64;
        }
        while found.len() > MOST {
            shortest *= 2;
            for segment in std::mem::take(&mut found) {
                push(&mut found, segment, shortest);
            }
        }
    }
    let stored: u64 = found.iter().map(|segment| segment.len).sum();
    // The map takes a block, too.
    Ok((size - stored > BLOCK as u64).then_some(found))
}

/// Appends, or joins with the last one where the hole between is too short.
fn push(segments: &mut Vec<Segment>, next: Segment, shortest: u64) {
    match segments.last_mut() {
        Some(last) if next.offset - (last.offset + last.len) < shortest => {
            last.len = next.offset + next.len - last.offset;
        }
        _ => segments.push(next),
    }
}

/// What stands in front of the data: the number of parts, offset and length of each, in lines of decimal digits, and
/// zeros to the end of the block. A file that ends in a hole has an empty part at its end.
pub(super) fn map(segments: &[Segment], size: u64) -> Vec<u8> {
    let end = segments.last().map_or(0, |last| last.offset + last.len);
    let tail = (end < size).then_some(Segment { offset: size, len: 0 });
    let parts: Vec<_> = segments.iter().copied().chain(tail).collect();
    let mut text = format!("{}\n", parts.len());
    for part in parts {
        text += &format!("{}\n{}\n", part.offset, part.len);
    }
    let mut map = text.into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    map
}

/// Reads the parts of a file one after the other.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) file: File,
    /// The next ones, last first.
    pub(super) left: Vec<Segment>,
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(part) = self.left.last_mut() else { return Ok(0) };
        let want = usize::try_from(part.len).map_or(buffer.len(), |len| len.min(buffer.len()));
        let n = self.file.read_at(buffer.get_mut(..want).unwrap_or_default(), part.offset)?;
        part.offset += n as u64;
        part.len -= n as u64;
        if part.len == 0 {
            self.left.pop();
        }
        Ok(n)
    }
}

/// The next stretch of a file that is no hole; all of the rest on file systems that do not know.
pub(crate) fn next_data(
    file: impl AsFd,
    at: u64,
    size: u64,
) -> rustix::io::Result<Option<std::ops::Range<u64>>> {
    if at >= size {
        return Ok(None);
    }
    let start = match seek(&file, SeekFrom::Data(at)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some(at..size)),
        Err(errno) => return Err(errno),
    };
    let end = seek(&file, SeekFrom::Hole(start)).unwrap_or(size);
    Ok((start < size).then(|| start..end.min(size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(segments: Option<Vec<Segment>>) -> Option<Vec<(u64, u64)>> {
        segments.map(|segments| segments.iter().map(|part| (part.offset, part.len)).collect())
    }

    #[test]
    fn by_content() {
        let size = 100_000;
        for (data, expected) in [
            (vec![], Some(vec![])),
            (vec![(0, 1)], Some(vec![(0, 4096)])),
            (vec![(5000, 1), (99_999, 1)], Some(vec![(4096, 4096), (98_304, 1696)])),
            // Two pages of data with half a page of zeros between.
            (vec![(1, 1), (8000, 1)], Some(vec![(0, 8192)])),
        ] {
            let (sparse, whole) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
            sparse.set_len(size).unwrap();
            whole.write_all_at(&vec![0; size as usize], 0).unwrap();
            for (at, len) in data {
                for file in [&sparse, &whole] {
                    file.write_all_at(&vec![7; len], at).unwrap();
                }
            }
            assert_eq!(parts(segments(&sparse, size).unwrap()), expected);
            assert_eq!(parts(segments(&whole, size).unwrap()), expected);
            assert_eq!(segments(&whole, size + 1).unwrap(), None, "cut off");
        }
        let full = tempfile::tempfile().unwrap();
        full.write_all_at(&[1; 8192], 0).unwrap();
        assert_eq!(segments(&full, 8192).unwrap(), None);
    }

    #[test]
    fn maps_stay_small() {
        let file = tempfile::tempfile().unwrap();
        for at in 0..3000 {
            file.write_all_at(b"x", at * 8192).unwrap();
        }
        let size = 1 << 30;
        file.set_len(size).unwrap();
        assert_eq!(parts(segments(&file, size).unwrap()), Some(vec![(0, 2999 * 8192 + 4096)]));
    }

    #[test]
    fn ends_of_maps() {
        let part = Segment { offset: 0, len: 4096 };
        let text = |map: Vec<u8>| {
            assert_eq!(map.len(), BLOCK);
            String::from_utf8(map).unwrap().trim_end_matches('\0').to_owned()
        };
        assert_eq!(text(map(&[part], 4096)), "1\n0\n4096\n");
        assert_eq!(text(map(&[part], 5000)), "2\n0\n4096\n5000\n0\n");
        assert_eq!(text(map(&[], 5000)), "1\n5000\n0\n");
    }
}
