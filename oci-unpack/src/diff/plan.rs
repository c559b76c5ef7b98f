use std::collections::{BTreeMap, HashMap};
use std::ffi::{CString, OsStr};
use std::fmt;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::change::{Change, ChangeKind};
use crate::pack::node::Folder;
use crate::pack::recorded::Records;
use crate::pack::walk::Packer;
use crate::pack::{LayerWriter, PackEvent, PackOptions, PackedLayer, refuse_whiteout};
use crate::{Error, Result};

/// What changed, and how to write it as a layer. The tree must not change between the two.
pub struct Diff {
    folder: PathBuf,
    steps: BTreeMap<Key, Step>,
    changes: Vec<Change>,
    sockets: Vec<PackEvent>,
    options: PackOptions,
    /// Whether overlayfs' own attributes are nothing worth telling.
    pub(super) of_overlay: bool,
}

impl Diff {
    pub(super) fn new(folder: &Path, plan: Plan, sockets: Vec<PackEvent>, options: &PackOptions) -> Self {
        let mut steps = plan.steps;
        let changes =
            steps.iter().filter_map(|(key, step)| step.change.map(|kind| key.change(kind))).collect();
        let parents: Vec<_> = steps.keys().flat_map(Key::parents).collect();
        for parent in parents {
            steps.entry(parent).or_insert(Step { action: Action::Write, change: None });
        }
        if !steps.is_empty() && options.root_entry {
            steps.entry(Key::of(b"")).or_insert(Step { action: Action::Write, change: None });
        }
        Self { folder: folder.into(), steps, changes, sockets, options: options.clone(), of_overlay: false }
    }

    /// The changes, by name, each directory before what it holds.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether nothing changed. The layer would be empty.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Writes the layer's blob to `sink`.
    ///
    /// # Errors
    /// As [`pack`](crate::pack::pack), and for what is not there any more.
    pub fn write<W: Write>(&self, sink: W) -> Result<(W, PackedLayer)> {
        self.write_observed(sink, &mut |_| {})
    }

    /// Like [`write`](Self::write), and tells what changed and is not in the layer: sockets, attributes of the host.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_observed<W: Write>(
        &self,
        sink: W,
        observer: &mut dyn FnMut(PackEvent),
    ) -> Result<(W, PackedLayer)> {
        self.sockets.iter().cloned().for_each(&mut *observer);
        let mut observer = |event: PackEvent| match &event {
            PackEvent::XattrSkipped { name, .. }
                if self.of_overlay && super::upper::is_own(name.as_bytes()) => {}
            _ => observer(event),
        };
        let mut packer = Packer {
            shown: &self.folder,
            layer: LayerWriter::new(sink, &self.options)?,
            options: &self.options,
            observer: &mut observer,
            path: Vec::new(),
            links: HashMap::new(),
            records: Records::of(&self.options),
        };
        // The directories above what is being written.
        let mut open = vec![Folder::open(&self.folder).map_err(|e| packer.failed("opening", e))?];
        for (key, step) in &self.steps {
            packer.path = key.path();
            let depth = key.depth();
            open.truncate(depth.max(1));
            let Some(parent) = open.last() else { continue };
            match (depth, step.action) {
                (0, _) => packer.folder(parent)?,
                (_, Action::Hide) => {
                    packer.layer.add_whiteout(OsStr::from_bytes(&packer.path))?;
                }
                (_, Action::Write | Action::WriteOpaque) => {
                    let name = CString::new(key.name())
                        .map_err(|_| Error::entry(&packer.path, "a name cannot hold a NUL byte"))?;
                    open.extend(packer.node(parent, &name)?);
                    if step.action == Action::WriteOpaque {
                        packer.layer.add_opaque(OsStr::from_bytes(&packer.path))?;
                    }
                }
            }
        }
        packer.layer.finish()
    }
}

impl fmt::Debug for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diff")
            .field("folder", &self.folder)
            .field("changes", &self.changes)
            .finish_non_exhaustive()
    }
}

/// What is to be written, while it is found out.
#[derive(Debug, Default)]
pub(super) struct Plan {
    steps: BTreeMap<Key, Step>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    action: Action,
    /// `None` for what is written only because of others.
    change: Option<ChangeKind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Write,
    /// A directory of which nothing lower is to be seen.
    WriteOpaque,
    Hide,
}

impl Plan {
    /// A node is written as it is now.
    pub(super) fn write(&mut self, path: &[u8], change: Option<ChangeKind>) -> Result<()> {
        self.step(path, Action::Write, change)
    }

    /// A directory is written, with a marker that hides what lower layers have in it.
    pub(super) fn write_opaque(&mut self, path: &[u8], change: ChangeKind) -> Result<()> {
        self.step(path, Action::WriteOpaque, Some(change))
    }

    /// A node is not there any more.
    pub(super) fn hide(&mut self, path: &[u8]) -> Result<()> {
        self.step(path, Action::Hide, Some(ChangeKind::Deleted))
    }

    fn step(&mut self, path: &[u8], action: Action, change: Option<ChangeKind>) -> Result<()> {
        let key = Key::of(path);
        refuse_whiteout(key.name(), path)?;
        self.steps.insert(key, Step { action, change });
        Ok(())
    }
}

/// A name from the root that sorts as a tree is walked: with NUL in place of the slashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key(Vec<u8>);

impl Key {
    fn of(path: &[u8]) -> Self {
        Self(path.iter().map(|b| if *b == b'/' { 0 } else { *b }).collect())
    }

    fn path(&self) -> Vec<u8> {
        self.0.iter().map(|b| if *b == 0 { b'/' } else { *b }).collect()
    }

    /// The last component.
    fn name(&self) -> &[u8] {
        self.0.rsplit(|b| *b == 0).next().unwrap_or_default()
    }

    /// Components; 0 for the root.
    fn depth(&self) -> usize {
        if self.0.is_empty() { 0 } else { self.0.iter().filter(|b| **b == 0).count() + 1 }
    }

    /// The directories above it, without the root.
    fn parents(&self) -> impl Iterator<Item = Self> + '_ {
        let ends = self.0.iter().enumerate().filter(|(_, b)| **b == 0).map(|(end, _)| end);
        ends.map(|end| Self(self.0.get(..end).unwrap_or_default().to_vec()))
    }

    fn change(&self, kind: ChangeKind) -> Change {
        let path = if self.0.is_empty() { b".".to_vec() } else { self.path() };
        Change { kind, path: OsStr::from_bytes(&path).into() }
    }
}
