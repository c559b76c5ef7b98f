//! The engine: the entries of one layer become changes of a tree.

mod holes;
mod late;
mod marker;
mod name;

use std::io::BufRead;

use late::LateLinks;
use marker::{Marker, PSEUDO_LINKS};
use name::{Above, Name, Path};
use rustix::fs::FileType;

use crate::framing::{ArchiveReader, Entry, EntryKind};
use crate::report::LayerReport;
use crate::tree::{Linked, Listed, Missing, Place, ROOT, Tree};
use crate::{Error, Event, Limits, Result, Warning};

/// Progress is told after so many entries or bytes.
const ENTRIES_PER_EVENT: u64 = 1000;
const BYTES_PER_EVENT: u64 = 4 << 20;

/// What all layers together may still use.
#[derive(Debug)]
pub(crate) struct Budget {
    max_entries: u64,
    max_bytes: u64,
    entries: u64,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { max_entries: limits.entries, max_bytes: limits.bytes, entries: 0, bytes: 0 }
    }

    /// Counts before anything is done: a header's promise is checked and not what comes of it.
    fn take(&mut self, entry: &Entry) -> Result<()> {
        self.entries += 1;
        if self.entries > self.max_entries {
            return Err(Error::Limit { limit: "entries", maximum: self.max_entries });
        }
        self.bytes = self.bytes.saturating_add(entry.size);
        if self.bytes > self.max_bytes {
            return Err(Error::Limit { limit: "bytes written", maximum: self.max_bytes });
        }
        Ok(())
    }

    /// A name of 4096 bytes makes two thousand directories, which count as if entries had named them.
    fn implied(&self, directories: u64) -> Result<()> {
        if self.entries.saturating_add(directories) > self.max_entries {
            return Err(Error::Limit { limit: "entries", maximum: self.max_entries });
        }
        Ok(())
    }
}

/// Applies the entries of one archive. The bytes after its end mark are left to the caller.
pub(crate) fn apply<R: BufRead>(
    tree: &mut Tree,
    budget: &mut Budget,
    archive: &mut ArchiveReader<R>,
) -> Result<LayerReport> {
    tree.begin_layer()?;
    let (entries, bytes) = (budget.entries, budget.bytes);
    let mut work =
        Work { tree, archive, late: LateLinks::default(), pseudo_links: false, told: (entries, bytes) };
    while let Some(entry) = work.archive.next_entry()? {
        work.tree.reporter.check_cancelled()?;
        work.tell_warnings()?;
        budget.take(&entry)?;
        work.entry(entry)?;
        budget.implied(work.tree.implied)?;
        work.tell_progress(budget);
    }
    work.tell_warnings()?;
    let Work { tree, late, pseudo_links, .. } = work;
    late.make(tree)?;
    if pseudo_links {
        tree.remove(Place { dir: ROOT, name: PSEUDO_LINKS })?;
    }
    tree.end_layer()?;
    Ok(LayerReport { entries: budget.entries - entries, bytes: budget.bytes - bytes, archive_bytes: 0 })
}

struct Work<'a, R> {
    tree: &'a mut Tree,
    archive: &'a mut ArchiveReader<R>,
    late: LateLinks,
    /// Whether there are pseudo-links to be removed.
    pseudo_links: bool,
    /// Entries and bytes at the last progress event.
    told: (u64, u64),
}

impl<R: BufRead> Work<'_, R> {
    fn entry(&mut self, entry: Entry) -> Result<()> {
        let path = match Name::parse(&entry.path, Above::Refuse)? {
            Name::Below(path) => path,
            Name::Root if entry.kind == EntryKind::Directory => {
                let attributes = self.attributes(&[], entry)?;
                self.tree.root(attributes);
                return Ok(());
            }
            Name::Root => return Err(Error::entry(&entry.path, "the root can only be a directory")),
        };
        match Marker::of(&path)? {
            Marker::No => self.node(&path, entry),
            Marker::Metadata => Ok(()),
            Marker::PseudoLink => self.pseudo_link(&path, entry),
            Marker::Whiteout(name) => match self.tree.resolve(path.parent(), Missing::Tell)? {
                Some(dir) => self.tree.hide(Place { dir, name }),
                None => Ok(()),
            },
            Marker::Opaque => match self.tree.resolve(path.parent(), Missing::Tell)? {
                Some(dir) => self.tree.hide_all(dir),
                None => Ok(()),
            },
        }
    }

    /// Is there for the links of its layer alone, and gone at the end of it.
    fn pseudo_link(&mut self, path: &Path, entry: Entry) -> Result<()> {
        if entry.kind != EntryKind::Regular {
            return Ok(());
        }
        if !self.pseudo_links {
            self.pseudo_links = true;
            // No image has such a name, but a folder that layers are applied to may.
            self.tree.remove(Place { dir: ROOT, name: PSEUDO_LINKS })?;
        }
        self.node(path, entry)
    }

    fn node(&mut self, path: &Path, mut entry: Entry) -> Result<()> {
        let Some(dir) = self.tree.resolve(path.parent(), Missing::Make)? else {
            return Err(Error::entry(path.as_bytes(), "no such directory"));
        };
        let at = Place { dir, name: path.leaf() };
        if entry.kind == EntryKind::HardLink {
            return self.hard_link(at, &entry);
        }
        self.late.forget(at);
        let (kind, size, link) = (entry.kind, entry.size, std::mem::take(&mut entry.link));
        let attributes = self.attributes(path.as_bytes(), entry)?;
        match kind {
            EntryKind::Regular => self.file(at, size, &attributes),
            EntryKind::Directory => self.tree.directory(at, attributes),
            EntryKind::Symlink => self.tree.symlink(at, &link, &attributes),
            EntryKind::CharDevice { major, minor } => {
                self.tree.device(at, FileType::CharacterDevice, (major, minor), &attributes)
            }
            EntryKind::BlockDevice { major, minor } => {
                self.tree.device(at, FileType::BlockDevice, (major, minor), &attributes)
            }
            EntryKind::Fifo => self.tree.fifo(at, &attributes),
            EntryKind::HardLink => Ok(()),
        }
    }

    fn file(&mut self, at: Place<'_>, size: u64, attributes: &Listed) -> Result<()> {
        let mut file = self.tree.begin_file(at)?;
        while let Some(chunk) = self.archive.data()? {
            if self.tree.holes {
                for (offset, bytes) in holes::between(chunk.offset, chunk.bytes) {
                    self.tree.write(&mut file, at, offset, bytes)?;
                }
            } else {
                self.tree.write(&mut file, at, chunk.offset, chunk.bytes)?;
            }
            self.tree.reporter.check_cancelled()?;
        }
        self.tree.end_file(file, at, size, attributes)
    }

    fn hard_link(&mut self, at: Place<'_>, entry: &Entry) -> Result<()> {
        let target = match Name::parse(&entry.link, Above::Clamp) {
            Ok(Name::Below(target)) => target,
            Ok(Name::Root) => return Err(Error::entry(&entry.path, "a hard link to the root")),
            Err(Error::Entry { reason, .. }) => {
                return Err(Error::entry(&entry.path, format!("the target of the hard link: {reason}")));
            }
            Err(other) => return Err(other),
        };
        if let Some(dir) = self.tree.resolve(target.parent(), Missing::Tell)? {
            let to = Place { dir, name: target.leaf() };
            if (dir, to.name) == (at.dir, at.name) && !self.late.holds(to) {
                // To itself: says nothing, except when there is nothing.
                return match self.tree.link(at, to)? {
                    Linked::Done => Ok(()),
                    Linked::NoTarget => Err(Error::entry(&entry.path, "a hard link to itself")),
                };
            }
            if !self.late.holds(to) && self.tree.link(at, to)? == Linked::Done {
                self.late.forget(at);
                return Ok(());
            }
        }
        self.tree.make_way(at)?;
        self.late.keep(at, target);
        Ok(())
    }

    fn attributes(&mut self, path: &[u8], entry: Entry) -> Result<Listed> {
        let mut listed = Listed {
            mode: entry.mode & 0o7777,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            xattrs: entry.xattrs,
            layer: self.tree.reporter.layer,
        };
        self.tree.record(path, entry.kind, &mut listed)?;
        Ok(listed)
    }

    fn tell_warnings(&mut self) -> Result<()> {
        for warning in self.archive.warnings() {
            self.tree.reporter.warn(b"", Warning::Format { reason: warning.to_string() })?;
        }
        Ok(())
    }

    fn tell_progress(&mut self, budget: &Budget) {
        let (entries, bytes) = (budget.entries, budget.bytes);
        if entries - self.told.0 >= ENTRIES_PER_EVENT || bytes - self.told.1 >= BYTES_PER_EVENT {
            self.told = (entries, bytes);
            self.tree.reporter.tell(&Event::Progress { layer: self.tree.reporter.layer, entries, bytes });
        }
    }
}
