use std::ffi::{CStr, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;

use super::change::ChangeKind;
use super::content;
use super::links::{Links, Member};
use super::plan::{Diff, Plan};
use super::record::{Record, Recorded};
use super::snapshot::Snapshot;
use crate::framing::EntryKind;
use crate::pack::node::{Folder, Node};
use crate::pack::walk::failed;
use crate::pack::{PackEvent, PackOptions};
use crate::{Error, Result};

/// What another tree holds differently: what has to be applied to `old` to make it equal `new`.
///
/// Both are read and no link in them is followed. Files of the same size and attributes are compared byte by byte,
/// unless they are one file.
///
/// # Errors
/// [`Error::Io`] naming what cannot be read; [`Error::Entry`] for what changed and cannot be in a layer.
pub fn trees(old: &Path, new: &Path, options: &PackOptions) -> Result<Diff> {
    let folder = Folder::open(old).map_err(|e| failed("opening", old, b"", e))?;
    let record = Record::of(old, &folder, None)?;
    Compare::new(&record, Before::Tree(old), new, options).run(Some(&folder))
}

/// What changed in a tree since the snapshot was taken, of it or of one that it is a copy of.
///
/// Files that device, inode, size and times prove unchanged are not opened; the contents of others are hashed.
///
/// # Errors
/// [`Error::Io`] naming what cannot be read; [`Error::Entry`] for what changed and cannot be in a layer.
pub fn since(snapshot: &Snapshot, tree: &Path, options: &PackOptions) -> Result<Diff> {
    Compare::new(&snapshot.record, Before::Snapshot(snapshot), tree, options).run(None)
}

/// Where contents were.
enum Before<'a> {
    Snapshot(&'a Snapshot),
    /// The folder's name, for messages.
    Tree(&'a Path),
}

struct Compare<'a> {
    record: &'a Record,
    before: Before<'a>,
    folder: &'a Path,
    options: &'a PackOptions,
    /// The name of what is compared, without a slash at the end.
    path: Vec<u8>,
    plan: Plan,
    links: Links,
    sockets: Vec<PackEvent>,
}

impl<'a> Compare<'a> {
    fn new(record: &'a Record, before: Before<'a>, folder: &'a Path, options: &'a PackOptions) -> Self {
        Self {
            record,
            before,
            folder,
            options,
            path: Vec::new(),
            plan: Plan::default(),
            links: Links::default(),
            sockets: Vec::new(),
        }
    }

    fn run(mut self, old: Option<&Folder>) -> Result<Diff> {
        let root = Folder::open(self.folder).map_err(|e| self.failed("opening", e))?;
        let now = root.node().map_err(|e| self.failed("reading", e))?;
        let then = self.record.get(0).filter(|then| then.node.says_the_same(&now, self.options));
        if then.is_none() {
            self.plan.write(&self.path, Some(ChangeKind::Modified))?;
        }
        self.directory(Some(0), old, &root)?;
        self.links.settle(&mut self.plan)?;
        Ok(Diff::new(self.folder, self.plan, self.sockets, self.options))
    }

    /// Compares what two directories hold; without an old one, everything is new.
    fn directory(&mut self, old: Option<usize>, old_dir: Option<&Folder>, new: &Folder) -> Result<()> {
        let names = new.names().map_err(|e| self.failed("listing", e))?;
        let record = self.record;
        let mut gone = old.into_iter().flat_map(|old| record.children(old)).peekable();
        let name_of = |index: usize| record.get(index).map_or(&[][..], |recorded| &recorded.name);
        let base = self.path.len();
        for name in names {
            while let Some(index) = gone.next_if(|index| *name_of(*index) < *name.to_bytes()) {
                self.at(base, name_of(index), |this| this.plan.hide(&this.path))?;
            }
            let old = gone.next_if(|index| *name_of(*index) == *name.to_bytes());
            self.at(base, name.to_bytes(), |this| this.node(old, old_dir, new, &name))?;
        }
        for index in gone {
            self.at(base, name_of(index), |this| this.plan.hide(&this.path))?;
        }
        Ok(())
    }

    /// Does something about a name in the directory at work.
    fn at(&mut self, base: usize, name: &[u8], act: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if base > 0 {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        act(self)?;
        self.path.truncate(base);
        Ok(())
    }

    fn node(
        &mut self,
        old: Option<usize>,
        old_dir: Option<&Folder>,
        new: &Folder,
        name: &CStr,
    ) -> Result<()> {
        let then = old.and_then(|index| self.record.get(index));
        let Some(now) = new.look(name).map_err(|e| self.failed("reading", e))? else {
            let path = OsStr::from_bytes(&self.path).into();
            self.sockets.push(PackEvent::SocketSkipped { path });
            return if then.is_some() { self.plan.hide(&self.path) } else { Ok(()) };
        };
        if now.kind == EntryKind::Directory {
            return self.subdirectory(old, old_dir, new, name, &now);
        }
        let kind = if then.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        let then = then.filter(|then| then.node.kind == now.kind);
        let linked = now.linked || then.is_some_and(|then| then.node.linked);
        let known = match then {
            Some(then) if linked => self.links.known(now.identity.inode(), then.node.identity.inode()),
            _ => None,
        };
        let same = match (then, known) {
            (None, _) => false,
            (Some(_), Some(known)) => known,
            (Some(then), None) => self.proven(then, &now) || self.same(then, old_dir, new, name, &now)?,
        };
        if linked {
            let before = then.map(|then| then.node.identity.inode());
            self.links.note(now.identity.inode(), Member { path: self.path.clone(), before, same, kind });
        } else if !same {
            self.plan.write(&self.path, Some(kind))?;
        }
        Ok(())
    }

    fn subdirectory(
        &mut self,
        old: Option<usize>,
        old_dir: Option<&Folder>,
        new: &Folder,
        name: &CStr,
        now: &Node,
    ) -> Result<()> {
        let sub = Folder::open_at(new, name).map_err(|e| self.failed("opening", e))?;
        let then = old.and_then(|index| self.record.get(index));
        let Some(then) = then.filter(|then| then.node.kind == EntryKind::Directory) else {
            let kind = if then.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
            self.plan.write(&self.path, Some(kind))?;
            return self.directory(None, None, &sub);
        };
        if !self.proven(then, now) {
            let now = sub.node().map_err(|e| self.failed("reading", e))?;
            if !then.node.says_the_same(&now, self.options) {
                self.plan.write(&self.path, Some(ChangeKind::Modified))?;
            }
        }
        let old_sub = match old_dir {
            Some(dir) => Some(Folder::open_at(dir, name).map_err(|e| self.failed_before("opening", e))?),
            None => None,
        };
        self.directory(old, old_sub.as_ref(), &sub)
    }

    /// Whether nothing has to be read to know that it is the same.
    fn proven(&self, then: &Recorded, now: &Node) -> bool {
        match self.before {
            Before::Snapshot(snapshot) => snapshot.proves(then, now),
            // One node in both trees.
            Before::Tree(_) => then.node.identity.inode() == now.identity.inode(),
        }
    }

    /// Reads what is needed to know whether a node that is no directory is the same.
    fn same(
        &self,
        then: &Recorded,
        old_dir: Option<&Folder>,
        new: &Folder,
        name: &CStr,
        now: &Node,
    ) -> Result<bool> {
        if now.kind != EntryKind::Regular {
            return Ok(then.node.says_the_same(now, self.options));
        }
        if then.node.size != now.size {
            return Ok(false);
        }
        let (file, now) = new.file(name).map_err(|e| match e {
            Errno::STALE => Error::entry(&self.path, "was replaced by something else while it was compared"),
            errno => self.failed("opening", errno),
        })?;
        if !then.node.says_the_same(&now, self.options) {
            return Ok(false);
        }
        match (then.digest, old_dir) {
            (Some(digest), _) => {
                let found = content::digest(file.as_fd(), now.size).map_err(|e| self.failed("reading", e))?;
                Ok(found == Some(digest))
            }
            (None, Some(dir)) => {
                let (old, _) = dir.file(name).map_err(|e| self.failed_before("opening", e))?;
                content::same(&old, &file, now.size).map_err(|e| self.failed("comparing", e))
            }
            (None, None) => Ok(false),
        }
    }

    fn failed(&self, doing: &str, error: impl Into<std::io::Error>) -> Error {
        failed(doing, self.folder, &self.path, error)
    }

    fn failed_before(&self, doing: &str, errno: Errno) -> Error {
        match self.before {
            Before::Tree(folder) => failed(doing, folder, &self.path, errno),
            Before::Snapshot(_) => self.failed(doing, errno),
        }
    }
}
