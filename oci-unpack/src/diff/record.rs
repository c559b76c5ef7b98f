//! A tree as it was: its names and nodes, in memory.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::OwnedFd;
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
    /// Reads a tree. Contents are hashed if `digests` are wanted and the content's is not among them.
    pub(super) fn of(folder: &Path, root: &Folder, digests: Option<&Digests>) -> Result<Self> {
        let mut scan = Scan { folder, digests, path: Vec::new(), record: Self::default() };
        scan.directory(&[], root)?;
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

/// The digests of contents that were hashed while they were written, by device and inode: whoever gets the inode of a
/// removed file is written, too, and noted in its place.
#[derive(Debug, Default)]
pub(crate) struct Digests(HashMap<(u64, u64), ContentDigest>);

impl Digests {
    pub(crate) fn note(&mut self, file: &OwnedFd, digest: ContentDigest) -> rustix::io::Result<()> {
        let stat = rustix::fs::fstat(file)?;
        self.0.insert((stat.st_dev, stat.st_ino), digest);
        Ok(())
    }
}

struct Scan<'a> {
    folder: &'a Path,
    digests: Option<&'a Digests>,
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

    fn node(&mut self, name: &CStr, dir: &Folder) -> Result<()> {
        let Some(node) = dir.look(name).map_err(|e| self.failed("reading", e))? else { return Ok(()) };
        match node.kind {
            EntryKind::Directory => {
                let sub = Folder::open_at(dir, name).map_err(|e| self.failed("opening", e))?;
                self.directory(name.to_bytes(), &sub)?;
            }
            EntryKind::Regular => self.file(dir, name, node)?,
            _ => {
                self.push(name.to_bytes(), node, None);
            }
        }
        Ok(())
    }

    fn file(&mut self, dir: &Folder, name: &CStr, node: Node) -> Result<()> {
        let known = self.digests.and_then(|digests| digests.0.get(&node.identity.inode()).copied());
        if known.is_some() && !dir.has_xattrs(name) {
            self.push(name.to_bytes(), node, known);
            return Ok(());
        }
        let (file, node) = dir.file(name).map_err(|e| self.failed("opening", e))?;
        let digest = match (known, self.digests) {
            (None, Some(_)) => content::digest(&file, node.size).map_err(|e| self.failed("reading", e))?,
            (known, _) => known,
        };
        self.push(name.to_bytes(), node, digest);
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
