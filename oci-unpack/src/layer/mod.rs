//! The engine: the entries of one layer become changes of a tree.

mod budget;
mod entries;
mod holes;
mod late;
mod marker;
mod name;

pub(crate) use budget::Budget;
use entries::attributes;
pub(crate) use entries::{Entries, Stream};
use late::LateLinks;
use marker::{Marker, PSEUDO_LINKS};
use name::{Above, Name, Path};
use rustix::fs::FileType;

use crate::framing::{Entry, EntryKind};
use crate::report::LayerReport;
use crate::tree::{Linked, Missing, Place, ROOT, Tree};
use crate::{Error, Event, Result, Warning};

/// Progress is told after so many entries or bytes.
const ENTRIES_PER_EVENT: u64 = 1000;
const BYTES_PER_EVENT: u64 = 4 << 20;

/// What was done so far, over all layers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Done {
    entries: u64,
    bytes: u64,
}

/// Applies the entries of one archive. The bytes after its end mark are left to the caller.
pub(crate) fn apply(
    tree: &mut Tree,
    budget: &Budget,
    done: &mut Done,
    entries: &mut impl Entries,
) -> Result<LayerReport> {
    tree.begin_layer()?;
    let before = *done;
    let mut work = Work { tree, entries, late: LateLinks::default(), pseudo_links: false, told: before };
    while let Some(entry) = work.entries.next_entry()? {
        work.tree.reporter.check_cancelled()?;
        work.tell_warnings()?;
        done.entries += 1;
        done.bytes = done.bytes.saturating_add(entry.size);
        work.entry(entry)?;
        budget.implied(work.tree.implied)?;
        work.tell_progress(*done);
    }
    work.tell_warnings()?;
    let Work { tree, late, pseudo_links, .. } = work;
    late.make(tree)?;
    if pseudo_links {
        tree.remove(Place { dir: ROOT, name: PSEUDO_LINKS })?;
    }
    tree.end_layer()?;
    let (entries, bytes) = (done.entries - before.entries, done.bytes - before.bytes);
    Ok(LayerReport { entries, bytes, archive_bytes: 0 })
}

struct Work<'a, E> {
    tree: &'a mut Tree,
    entries: &'a mut E,
    late: LateLinks,
    /// Whether there are pseudo-links to be removed.
    pseudo_links: bool,
    /// At the last progress event.
    told: Done,
}

impl<E: Entries> Work<'_, E> {
    fn entry(&mut self, entry: Entry) -> Result<()> {
        let path = match Name::parse(&entry.path, Above::Refuse)? {
            Name::Below(path) => path,
            Name::Root if entry.kind == EntryKind::Directory => {
                let attributes = attributes(self.tree, &[], entry)?;
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
        let (kind, link) = (entry.kind, std::mem::take(&mut entry.link));
        if kind == EntryKind::Regular {
            return self.entries.file(self.tree, at, path.as_bytes(), entry);
        }
        let attributes = attributes(self.tree, path.as_bytes(), entry)?;
        match kind {
            EntryKind::Directory => self.tree.directory(at, attributes),
            EntryKind::Symlink => self.tree.symlink(at, &link, &attributes),
            EntryKind::CharDevice { major, minor } => {
                self.tree.device(at, FileType::CharacterDevice, (major, minor), &attributes)
            }
            EntryKind::BlockDevice { major, minor } => {
                self.tree.device(at, FileType::BlockDevice, (major, minor), &attributes)
            }
            EntryKind::Fifo => self.tree.fifo(at, &attributes),
            EntryKind::HardLink | EntryKind::Regular => Ok(()),
        }
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

    fn tell_warnings(&mut self) -> Result<()> {
        for warning in self.entries.warnings() {
            self.tree.reporter.warn(b"", Warning::Format { reason: warning.to_string() })?;
        }
        Ok(())
    }

    fn tell_progress(&mut self, done: Done) {
        let Done { entries, bytes } = done;
        if entries - self.told.entries >= ENTRIES_PER_EVENT || bytes - self.told.bytes >= BYTES_PER_EVENT {
            self.told = done;
            self.tree.reporter.tell(&Event::Progress { layer: self.tree.reporter.layer, entries, bytes });
        }
    }
}

/// Whether an entry is a file that comes to be, so that its content can be written before its place is known.
pub(crate) fn is_content(entry: &Entry) -> bool {
    let Ok(Name::Below(path)) = Name::parse(&entry.path, Above::Refuse) else { return false };
    entry.kind == EntryKind::Regular && matches!(Marker::of(&path), Ok(Marker::No | Marker::PseudoLink))
}
