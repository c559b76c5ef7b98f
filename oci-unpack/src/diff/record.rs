//! A tree as it was: its names and nodes, in memory.

use std::os::fd::AsFd;
use std::path::Path;

use super::content::{self, ContentDigest};
use crate::Result;
use crate::framing::EntryKind;
use crate::pack::node::{Folder, Node};
use crate::pack::walk::failed;

/// The nodes of a tree, each directory before what it holds and the names of one directory in the order of their
/// bytes. The first is the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Record {
    pub(super) nodes: Vec<Recorded>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) name: Box<[u8]>,
    /// The index behind the last node below this one.
    pub(crate) end: usize,
    pub(crate) node: Node,
    /// Of regular files, if it was asked for.
    pub(crate) digest: Option<ContentDigest>,
}

impl Record {
    /// Reads a tree, and its contents if `digests`.
    pub(super) fn of(folder: &Path, digests: bool) -> Result<Self> {
        let root = Folder::open(folder).map_err(|e| failed("opening", folder, b"", e))?;
        let mut scan = Scan { folder, digests, path: Vec::new(), record: Self::default() };
        scan.directory(&[], &root)?;
        Ok(scan.record)
    }

    pub(super) fn get(&self, index: usize) -> Option<&Recorded> {
        self.nodes.get(index)
    }

    /// The indices of what a directory holds.
    pub(super) fn children(&self, of: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.get(of).map_or(0, |dir| dir.end);
        let mut next = of + 1;
        std::iter::from_fn(move || {
            let child = self.get(next).filter(|_| next < end)?;
            Some(std::mem::replace(&mut next, child.end))
        })
    }
}

struct Scan<'a> {
    folder: &'a Path,
    digests: bool,
    path: Vec<u8>,
    record: Record,
}

impl Scan<'_> {
    fn directory(&mut self, name: &[u8], dir: &Folder) -> Result<()> {
        let node = dir.node().map_err(|e| self.failed("reading", e))?;
        let index = self.push(name, node, None);
        let base = self.path.len();
        for name in dir.names().map_err(|e| self.failed("listing", e))? {
            if base > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            self.node(&name, dir)?;
            self.path.truncate(base);
        }
        let end = self.record.nodes.len();
        if let Some(dir) = self.record.nodes.get_mut(index) {
            dir.end = end;
        }
        Ok(())
    }

    fn node(&mut self, name: &std::ffi::CStr, dir: &Folder) -> Result<()> {
        let Some(node) = dir.look(name).map_err(|e| self.failed("reading", e))? else { return Ok(()) };
        match node.kind {
            EntryKind::Directory => {
                let sub = Folder::open_at(dir, name).map_err(|e| self.failed("opening", e))?;
                self.directory(name.to_bytes(), &sub)?;
            }
            EntryKind::Regular => {
                let (file, node) = dir.file(name).map_err(|e| self.failed("opening", e))?;
                let digest = match self.digests {
                    true => {
                        content::digest(file.as_fd(), node.size).map_err(|e| self.failed("reading", e))?
                    }
                    false => None,
                };
                self.push(name.to_bytes(), node, digest);
            }
            _ => {
                self.push(name.to_bytes(), node, None);
            }
        }
        Ok(())
    }

    fn push(&mut self, name: &[u8], node: Node, digest: Option<ContentDigest>) -> usize {
        let index = self.record.nodes.len();
        self.record.nodes.push(Recorded { name: name.into(), end: index + 1, node, digest });
        index
    }

    fn failed(&self, doing: &str, error: impl Into<std::io::Error>) -> crate::Error {
        failed(doing, self.folder, &self.path, error)
    }
}
