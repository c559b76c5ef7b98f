//! One folder per layer, for overlayfs: the layer at work has a folder of its own, and what the layers before it left
//! lies in theirs beneath, which are only read.
//!
//! The tree's map of directories is that of all layers together, so that names are resolved as in a single tree,
//! links of lower layers among them, and the attributes of every directory are known without reading them. A
//! directory is made in the layer's folder when something is put there ([`Tree::copy_up_dir`]), and gets its
//! attributes when the layer ends. What is hidden is remembered, and becomes whiteouts and opaque directories at the
//! end of the layer too, when it is known what the layer itself has in their places.

mod copy_up;
mod format;
mod hide;
mod look;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use format::Format;
pub(super) use format::is_reserved;
use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, fchmod, fsync, linkat, openat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use super::fds::Descriptors;
use super::map::{DirId, ROOT};
use super::{Place, Tree, failed, remove_dir};
use crate::{Error, OverlayFormat, Result, SyncPolicy, UnpackOptions};

/// Directories of finished layers that stay open, of how many layers.
const OPEN: usize = 8;
const LAYERS_OPEN: usize = 16;

/// What is known of the layers' folders.
pub(super) struct Lower {
    /// Holds `0`, the lowest layer's, and the others by their numbers.
    folder: Arc<OwnedFd>,
    format: Format,
    no_openat2: bool,
    /// The layer at work; `None` before the first.
    layer: Option<u32>,
    /// The layers whose folders hold a directory and show through, ascending.
    held: HashMap<DirId, Vec<u32>>,
    /// The directories of the layer's own folder.
    made: Vec<DirId>,
    /// Names that the layer hides: lower layers hold them.
    hidden: HashMap<DirId, HashSet<Box<[u8]>>>,
    /// Names of lower layers that were copied into the layer and are no more its own for it.
    copied: HashMap<DirId, HashSet<Box<[u8]>>>,
    /// Directories in which the layer hides everything.
    opaque: HashSet<DirId>,
    /// Links of lower layers that names led through.
    followed: HashSet<(DirId, Box<[u8]>)>,
    open: HashMap<u32, Descriptors>,
    /// Directories of lower layers whose modes were seen to let an ordinary user look into them, and those that
    /// did not before.
    unlocked: HashSet<(u32, DirId)>,
    relock: Vec<(u32, DirId, u32)>,
}

impl Tree {
    /// Takes a fresh folder for the layers' folders.
    pub(crate) fn layered(folder: OwnedFd, options: &UnpackOptions) -> Result<Self> {
        let mut tree = Self::new(folder, true, options)?;
        // A snapshot is one of a single tree.
        tree.digests = None;
        tree.drop_marks = true;
        tree.lower = Some(Lower {
            folder: Arc::clone(&tree.root),
            format: Format::choose(&tree.root, options)?,
            no_openat2: options.no_openat2,
            layer: None,
            held: HashMap::new(),
            made: Vec::new(),
            hidden: HashMap::new(),
            copied: HashMap::new(),
            opaque: HashSet::new(),
            followed: HashSet::new(),
            open: HashMap::new(),
            unlocked: HashSet::new(),
            relock: Vec::new(),
        });
        Ok(tree)
    }

    /// A folder for files that are written before their places are known.
    pub(crate) fn aside(folder: OwnedFd, options: &UnpackOptions) -> Result<Self> {
        let mut tree = Self::new(folder, true, options)?;
        tree.digests = None;
        tree.drop_marks = true;
        tree.reporter.kept = Some(Vec::new());
        tree.map.begin_layer();
        Ok(tree)
    }

    /// Makes a folder beside those of the layers, as long as there is work.
    pub(crate) fn make_aside(&self, name: &str) -> Result<OwnedFd> {
        let folder = self.lower.as_ref().map_or(&self.root, |lower| &lower.folder);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.make_dir_in(folder, name.as_bytes())
            .and_then(|()| openat(folder, name, flags, Mode::empty()))
            .map_err(|e| Error::io(format!("making the folder {name} for files"), e))
    }

    /// Removes it again.
    pub(crate) fn remove_aside(&self, name: &str) -> Result<()> {
        let folder = self.lower.as_ref().map_or(&self.root, |lower| &lower.folder);
        remove_dir(folder.as_fd(), name.as_bytes())
            .map_err(|e| Error::io(format!("removing the folder {name} of files"), e))
    }

    /// Gives a file that was written aside its place, in place of whatever has its name.
    pub(crate) fn place(&mut self, at: Place<'_>, aside: &OwnedFd, name: &str) -> Result<()> {
        self.make_anew(at, "placing", |parent, leaf| {
            match renameat_with(aside, name, parent, leaf, RenameFlags::NOREPLACE) {
                // Not every file system can refuse to replace; all refuse to link over something.
                Err(Errno::INVAL) => linkat(aside, name, parent, leaf, AtFlags::empty())
                    .and_then(|()| unlinkat(aside, name, AtFlags::empty())),
                other => other,
            }
        })
    }

    /// The format of the layers' folders; `None` for a single tree.
    pub(crate) fn overlay_format(&self) -> Option<OverlayFormat> {
        let format = self.format()?;
        Some(if format.trusted { OverlayFormat::Trusted } else { OverlayFormat::User })
    }

    fn format(&self) -> Option<Format> {
        self.lower.as_ref().map(|lower| lower.format)
    }

    /// Makes the folder of the next layer, which becomes the root.
    pub(super) fn begin_folder(&mut self) -> Result<()> {
        let Some(lower) = &mut self.lower else { return Ok(()) };
        let layer = lower.layer.map_or(0, |layer| layer + 1);
        let (name, folder) = (layer.to_string(), Arc::clone(&lower.folder));
        lower.layer = Some(layer);
        lower.made = vec![ROOT];
        lower.held.entry(ROOT).or_default().push(layer);
        lower.hidden.clear();
        lower.copied.clear();
        lower.opaque.clear();
        lower.followed.clear();
        lower.open.clear();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = self
            .make_dir_in(&folder, name.as_bytes())
            .and_then(|()| openat(&folder, name.as_str(), flags, Mode::empty()))
            .map_err(|e| Error::io(format!("making the folder of layer {layer}"), e))?;
        self.root = Arc::new(root);
        self.fds = Descriptors::new(Arc::clone(&self.root), self.fds.no_openat2());
        self.aliases.clear();
        self.last = None;
        Ok(())
    }

    /// Writes what the layer hides, and gives its directories their attributes.
    pub(super) fn end_folder(&mut self) -> Result<()> {
        let Some(lower) = &mut self.lower else { return Ok(()) };
        let opaque = self.map.deepest_first(lower.opaque.iter().copied().collect());
        let hidden = self.map.deepest_first(lower.hidden.keys().copied().collect());
        for dir in opaque {
            self.write_opaque(dir)?;
        }
        for dir in hidden {
            self.write_whiteouts(dir)?;
        }
        let Some(lower) = &mut self.lower else { return Ok(()) };
        let made = std::mem::take(&mut lower.made);
        self.dress_all(made)
    }

    /// Makes the folder of all layers what it shall be at the end.
    pub(super) fn finish_folders(&mut self) -> Result<()> {
        self.relock()?;
        let Some(lower) = &self.lower else { return Ok(()) };
        let fail = |e| failed("finishing the folder of the layers", b"", e);
        fchmod(&lower.folder, Mode::from_raw_mode(0o755)).map_err(fail)?;
        if self.sync == SyncPolicy::PerFile { fsync(&lower.folder).map_err(fail) } else { Ok(()) }
    }

    /// Whether the layer's own folder has the directory; always so in a single tree.
    pub(super) fn is_here(&self, dir: DirId) -> bool {
        self.lower
            .as_ref()
            .is_none_or(|lower| lower.held.get(&dir).and_then(|held| held.last()).copied() == lower.layer)
    }

    /// Makes a directory of lower layers, and those above it, in the layer's own folder.
    pub(super) fn copy_up_dir(&mut self, dir: DirId) -> Result<()> {
        let mut missing = Vec::new();
        let mut at = dir;
        while !self.is_here(at) {
            missing.push(at);
            at = self.map.parent(at);
        }
        for dir in missing.into_iter().rev() {
            let name = self.map.name(dir).to_vec();
            let at = Place { dir: self.map.parent(dir), name: &name };
            if !self.make_dir(at)? {
                return Err(failed("copying up the directory", &self.path_of(at), rustix::io::Errno::EXIST));
            }
            self.now_here(dir);
        }
        Ok(())
    }

    /// Remembers that the layer's own folder has the directory.
    pub(super) fn now_here(&mut self, dir: DirId) {
        if let Some(lower) = &mut self.lower
            && let Some(layer) = lower.layer
        {
            lower.held.entry(dir).or_default().push(layer);
            lower.made.push(dir);
        }
    }
}

impl Lower {
    fn is_hidden(&self, at: Place<'_>) -> bool {
        self.hidden.get(&at.dir).is_some_and(|names| names.contains(at.name))
    }

    /// Whether folders of lower layers have the directory and show through.
    fn is_below(&self, dir: DirId) -> bool {
        self.held.get(&dir).and_then(|held| held.first()).is_some_and(|first| Some(*first) != self.layer)
    }

    fn note_hidden(&mut self, at: Place<'_>) {
        self.hidden.entry(at.dir).or_default().insert(at.name.into());
    }
}

impl fmt::Debug for Lower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lower")
            .field("folder", &self.folder)
            .field("format", &self.format)
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}
