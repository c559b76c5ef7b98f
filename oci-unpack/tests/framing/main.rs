//! The tar parser, told by archives built byte by byte and by other programs' archives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod builder;
mod differential;
mod extensions;
mod headers;
mod mutated;
mod readers;
mod sparse;

use oci_unpack::Result;
use oci_unpack::framing::{ArchiveReader, Entry, FramingLimits, Warning};

/// An archive's entries with their content (holes filled with zeros), and the warnings.
struct Read {
    entries: Vec<(Entry, Vec<u8>)>,
    warnings: Vec<Warning>,
}

fn read(archive: &[u8]) -> Result<Read> {
    let mut reader = ArchiveReader::new(archive, &FramingLimits::default());
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        while let Some(chunk) = reader.data()? {
            assert!(!chunk.bytes.is_empty());
            content.resize(usize::try_from(chunk.offset).unwrap(), 0);
            content.extend_from_slice(chunk.bytes);
        }
        if entry.size < 1 << 20 {
            content.resize(usize::try_from(entry.size).unwrap(), 0);
        }
        entries.push((entry, content));
    }
    let warnings = reader.warnings().collect();
    assert_eq!(reader.finish().unwrap(), b"", "read to the end");
    Ok(Read { entries, warnings })
}

/// The names of the entries, or the error's message.
fn names(archive: &[u8]) -> Result<Vec<String>, String> {
    let read = read(archive).map_err(|e| e.to_string())?;
    Ok(read.entries.iter().map(|(entry, _)| String::from_utf8_lossy(&entry.path).into_owned()).collect())
}

/// The only entry of an archive that has a second one, `next`, behind it: so nothing of that was swallowed.
fn first(archive: &[u8]) -> Entry {
    let mut entries = read(archive).unwrap().entries;
    assert_eq!(entries.len(), 2);
    assert_eq!(entries.pop().unwrap().0.path, b"next");
    entries.remove(0).0
}

/// Asserts that the archive is refused with a message that has all these parts.
fn refused(what: &str, archive: &[u8], parts: &[&str]) {
    match read(archive) {
        Ok(read) => panic!("{what}: accepted as {:?}", read.entries),
        Err(e) => {
            let message = e.to_string();
            for part in parts {
                assert!(message.contains(part), "{what}: {message:?} lacks {part:?}");
            }
        }
    }
}
