//! Any bytes as an archive: no panic, entries that keep their promises, and the same however the bytes are cut.

use oci_unpack::Result;
use oci_unpack::framing::{Decoder, Entry, EntryKind, Event, FramingLimits, Warning};

use super::layer::{archive, dir, extension, file, hard, records, symlink};

/// What came out of an archive: entries and joined data, and the error's message.
#[derive(Debug, Default, PartialEq)]
pub struct Seen {
    pub entries: Vec<Entry>,
    /// Data per entry, pieces that follow each other joined.
    pub data: Vec<Vec<(u64, Vec<u8>)>>,
    pub warnings: Vec<Warning>,
    pub end: bool,
    pub position: u64,
    pub error: Option<String>,
}

/// The first four bytes choose where the rest is cut, and whether the checksums of headers are made right.
pub fn run(data: &[u8]) {
    let Some((choices, archive)) = data.split_first_chunk::<4>() else { return };
    let mut archive = archive.to_vec();
    if choices[3] % 2 == 1 {
        repair(&mut archive);
    }
    let cuts: Vec<usize> = choices[..3].iter().map(|c| usize::from(*c) * 5 + 1).collect();
    let whole = decode(&archive, &[]);
    whole.check();
    assert_eq!(decode(&archive, &cuts), whole, "cut by {cuts:?}");
}

pub fn seeds() -> Vec<Vec<u8>> {
    let whole = archive(&[
        dir("d/").mode(0o700),
        file("d/f", "content").time("1.5").xattr("user.a", "1"),
        symlink("l", "t".repeat(120)),
        hard("h", "d/f"),
        extension(b'g', records(&[("mtime", "7")])),
        extension(b'L', "long\0"),
        file("f", vec![b'd'; 600]),
    ]);
    let mut seeds = vec![[&[1, 30, 200, 0][..], &whole].concat(), [&[7, 7, 7, 1][..], &whole].concat()];
    seeds.extend(super::sparse::archives().iter().map(|archive| [&[100, 2, 3, 1][..], archive].concat()));
    seeds
}

/// Decodes an archive that comes in pieces of these lengths, over and over; whole, if there are none.
pub fn decode(archive: &[u8], cuts: &[usize]) -> Seen {
    let mut seen = Seen::default();
    let mut decoder = Decoder::new(&FramingLimits::default());
    seen.error = feed(&mut decoder, archive, cuts, &mut seen).err().map(|e| e.to_string());
    seen.warnings = decoder.warnings().collect();
    seen
}

fn feed(decoder: &mut Decoder, archive: &[u8], cuts: &[usize], seen: &mut Seen) -> Result<()> {
    let mut rest = archive;
    let mut cuts = cuts.iter().copied().cycle();
    while !rest.is_empty() {
        let len = cuts.next().unwrap_or(rest.len()).clamp(1, rest.len());
        let (mut piece, after) = rest.split_at(len);
        rest = after;
        loop {
            let (used, event) = decoder.decode(piece)?;
            assert!(used <= piece.len());
            match event {
                Event::NeedInput => {
                    assert_eq!(used, piece.len(), "all input is taken");
                    break;
                }
                Event::Entry(entry) => {
                    seen.entries.push(entry);
                    seen.data.push(Vec::new());
                }
                Event::Data { offset } => {
                    assert!(used > 0);
                    let data = seen.data.last_mut().unwrap();
                    match data.last_mut() {
                        Some((start, bytes)) if *start + bytes.len() as u64 == offset => {
                            bytes.extend(&piece[..used])
                        }
                        _ => data.push((offset, piece[..used].to_vec())),
                    }
                }
                Event::End => {
                    seen.end = true;
                    seen.position = decoder.position();
                    return Ok(());
                }
                _ => {}
            }
            piece = &piece[used..];
        }
    }
    decoder.end_of_input()
}

impl Seen {
    /// What holds for every entry, whatever the bytes were.
    pub fn check(&self) {
        for (number, (entry, data)) in self.entries.iter().zip(&self.data).enumerate() {
            let limits = FramingLimits::default();
            assert!(!entry.path.is_empty() && !entry.path.contains(&0), "{entry:?}");
            assert!(entry.path.len() <= limits.path_bytes && entry.link.len() <= limits.path_bytes);
            assert!(entry.mode <= 0o7777 && entry.mtime.nanos < 1_000_000_000, "{entry:?}");
            assert!(entry.uid != u32::MAX && entry.gid != u32::MAX, "{entry:?}");
            assert!(entry.kind == EntryKind::Regular || entry.size == 0, "{entry:?}");
            assert!(entry.xattrs.is_sorted_by(|a, b| a.0 < b.0), "{entry:?}");
            assert!(entry.xattrs.iter().all(|(_, value)| value.len() <= limits.xattr_bytes));
            for segments in entry.segments.iter() {
                assert!(segments.len() <= limits.sparse_segments);
                assert!(segments.iter().all(|s| s.len > 0));
                assert!(segments.is_sorted_by(|a, b| a.offset + a.len <= b.offset), "{entry:?}");
                assert!(segments.last().is_none_or(|s| s.offset + s.len <= entry.size), "{entry:?}");
            }
            let stored: u64 = data.iter().map(|(_, bytes)| bytes.len() as u64).sum();
            let complete = number + 1 < self.entries.len() || self.error.is_none();
            assert!(stored <= entry.stored_size() && (stored == entry.stored_size() || !complete));
            assert!(data.iter().all(|(offset, bytes)| offset + bytes.len() as u64 <= entry.size));
        }
    }
}

/// Makes every block that could be a header one with a right checksum, so that more is looked at than that.
fn repair(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512) {
        // Data and end marks stay.
        if block[156].is_ascii_alphanumeric() && block[0] != 0 && block[257..262] == *b"ustar" {
            checksum(block);
        }
    }
}

/// Makes a block a header with a right checksum.
pub fn checksum(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
