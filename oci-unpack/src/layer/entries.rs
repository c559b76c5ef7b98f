//! Where the engine's entries come from, and what writes the content of files.

use std::io::BufRead;

use super::budget::Budget;
use super::holes;
use crate::Result;
use crate::framing::{ArchiveReader, Entry, Warning};
use crate::tree::{Listed, Place, Tree};

/// The entries of one layer.
pub(crate) trait Entries {
    /// The next entry, which the limits of all layers allow. `None` at the end of the archive.
    fn next_entry(&mut self) -> Result<Option<Entry>>;

    /// Takes out what was odd about the archive since the last call.
    fn warnings(&mut self) -> Vec<Warning>;

    /// Makes a regular file, the last entry that came, in place of whatever has its name. `path` is its name in the
    /// archive, normalised.
    fn file(&mut self, tree: &mut Tree, at: Place<'_>, path: &[u8], entry: Entry) -> Result<()>;
}

/// Entries straight from an archive.
#[derive(Debug)]
pub(crate) struct Stream<'a, R> {
    pub(crate) archive: ArchiveReader<R>,
    pub(crate) budget: &'a Budget,
}

impl<R: BufRead> Entries for Stream<'_, R> {
    fn next_entry(&mut self) -> Result<Option<Entry>> {
        let entry = self.archive.next_entry()?;
        if let Some(entry) = &entry {
            self.budget.take(entry)?;
        }
        Ok(entry)
    }

    fn warnings(&mut self) -> Vec<Warning> {
        self.archive.warnings().collect()
    }

    fn file(&mut self, tree: &mut Tree, at: Place<'_>, path: &[u8], entry: Entry) -> Result<()> {
        let size = entry.size;
        let attributes = attributes(tree, path, entry)?;
        let mut file = tree.begin_file(at)?;
        while let Some(chunk) = self.archive.data()? {
            if tree.holes {
                for (offset, bytes) in holes::between(chunk.offset, chunk.bytes) {
                    tree.write(&mut file, at, offset, bytes)?;
                }
            } else {
                tree.write(&mut file, at, chunk.offset, chunk.bytes)?;
            }
            tree.reporter.check_cancelled()?;
        }
        tree.end_file(file, at, size, &attributes)
    }
}

/// What an entry says of its node, as the tree keeps it.
pub(super) fn attributes(tree: &mut Tree, path: &[u8], entry: Entry) -> Result<Listed> {
    let mut listed = Listed {
        mode: entry.mode & 0o7777,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        xattrs: entry.xattrs,
        layer: tree.reporter.layer,
    };
    tree.record(path, entry.kind, &mut listed)?;
    Ok(listed)
}
