//! Looking through the folders of lower layers, as overlayfs does: the uppermost that has the name decides.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::super::fds::Descriptors;
use super::super::map::{DirId, ROOT};
use super::super::node::chmod;
use super::super::remove::for_each_name;
use super::super::resolve::Look;
use super::super::{Place, Tree, failed};
use super::{LAYERS_OPEN, OPEN};
use crate::{Error, Result};

/// Something that a lower layer holds.
pub(super) struct Found {
    /// The directory it is in, there.
    pub(super) dir: Arc<OwnedFd>,
    pub(super) stat: Stat,
}

impl Tree {
    /// What lower layers show of a name that is not a known directory.
    pub(crate) fn look_below(&mut self, at: Place<'_>) -> Result<Option<Look>> {
        let Some(found) = self.find_below(at)? else { return Ok(None) };
        if FileType::from_raw_mode(found.stat.st_mode) != FileType::Symlink {
            return Ok(Some(Look::Other));
        }
        let target =
            readlinkat(&found.dir, at.name, Vec::new()).map_err(|e| self.failed("reading", at, e))?;
        if let Some(lower) = &mut self.lower {
            lower.followed.insert((at.dir, at.name.into()));
        }
        Ok(Some(Look::Link(target.into_bytes())))
    }

    /// Finds what is no directory: those are all in the map, unless something hides them.
    pub(super) fn find_below(&mut self, at: Place<'_>) -> Result<Option<Found>> {
        let Some(lower) = &self.lower else { return Ok(None) };
        if self.map.is_clean(at.dir) || lower.is_hidden(at) {
            return Ok(None);
        }
        let held = lower.held.get(&at.dir).cloned().unwrap_or_default();
        let (xattrs, layer) = (lower.format, lower.layer);
        for below in held.into_iter().rev().filter(|held| Some(*held) != layer) {
            let dir = self.open_below(below, at.dir)?;
            let stat = match statat(&dir, at.name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(self.failed("looking at", at, errno)),
            };
            let kind = FileType::from_raw_mode(stat.st_mode);
            if kind == FileType::Directory || xattrs.is_whiteout(&dir, at.name, &stat) {
                return Ok(None);
            }
            return Ok(Some(Found { dir, stat }));
        }
        Ok(None)
    }

    /// All names that lower layers show in the root.
    pub(super) fn names_below(&mut self) -> Result<Vec<Vec<u8>>> {
        let Some(lower) = &self.lower else { return Ok(Vec::new()) };
        let held = lower.held.get(&ROOT).cloned().unwrap_or_default();
        let (format, layer) = (lower.format, lower.layer);
        let mut seen = std::collections::BTreeMap::new();
        for below in held.into_iter().rev().filter(|held| Some(*held) != layer) {
            let dir = self.open_below(below, ROOT)?;
            let mut names = Vec::new();
            openat(&dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .and_then(|listing| {
                    for_each_name(&listing, &mut Vec::with_capacity(16 << 10), |name| {
                        names.push(name.to_vec());
                        Ok(())
                    })
                })
                .map_err(|e| failed("listing", b"", e))?;
            for name in names {
                let stat = statat(&dir, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|e| failed("looking at", &name, e))?;
                let shown = !format.is_whiteout(&dir, &name, &stat);
                // The uppermost decides.
                seen.entry(name).or_insert(shown);
            }
        }
        Ok(seen.into_iter().filter(|(_, shown)| *shown).map(|(name, _)| name).collect())
    }

    /// Opens a directory in a lower layer's folder.
    fn open_below(&mut self, layer: u32, dir: DirId) -> Result<Arc<OwnedFd>> {
        if self.means.uid != 0 {
            self.unlock(layer, dir)?;
        }
        self.open_locked(layer, dir)
    }

    /// Its attributes may have closed a directory already, and those above it, to an ordinary user.
    fn unlock(&mut self, layer: u32, dir: DirId) -> Result<()> {
        let mut unknown = Vec::new();
        let mut at = dir;
        while let Some(lower) = &mut self.lower
            && lower.unlocked.insert((layer, at))
        {
            unknown.push(at);
            at = self.map.parent(at);
        }
        for dir in unknown.into_iter().rev() {
            let node = self.open_node(layer, dir)?;
            let fail = |e| failed("opening", &self.map.path(dir), e);
            let mode = rustix::fs::fstat(&node).map_err(fail)?.st_mode & 0o7777;
            if mode & 0o500 != 0o500 {
                chmod(&node, mode | 0o500).map_err(fail)?;
                if let Some(lower) = &mut self.lower {
                    lower.relock.push((layer, dir, mode));
                }
            }
        }
        Ok(())
    }

    /// Gives directories that had to be opened for looking their modes back.
    pub(crate) fn relock(&mut self) -> Result<()> {
        let Some(lower) = &mut self.lower else { return Ok(()) };
        for (layer, dir, mode) in std::mem::take(&mut lower.relock).into_iter().rev() {
            let node = self.open_node(layer, dir)?;
            chmod(&node, mode).map_err(|e| failed("setting the mode of", &self.map.path(dir), e))?;
        }
        Ok(())
    }

    fn open_node(&mut self, layer: u32, dir: DirId) -> Result<OwnedFd> {
        let fail = |tree: &Self, e| failed("opening", &tree.map.path(dir), e);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if dir == ROOT {
            let Some(lower) = &self.lower else { return Err(fail(self, Errno::NOENT)) };
            return openat(&lower.folder, layer.to_string(), flags, Mode::empty()).map_err(|e| fail(self, e));
        }
        let parent = self.open_locked(layer, self.map.parent(dir))?;
        openat(&parent, self.map.name(dir), flags, Mode::empty()).map_err(|e| fail(self, e))
    }

    fn open_locked(&mut self, layer: u32, dir: DirId) -> Result<Arc<OwnedFd>> {
        let Some(lower) = &mut self.lower else { return Err(failed("opening", b"", Errno::NOENT)) };
        if !lower.open.contains_key(&layer) {
            if lower.open.len() >= LAYERS_OPEN {
                lower.open.clear();
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let root = openat(&lower.folder, layer.to_string(), flags, Mode::empty())
                .map_err(|e| Error::io(format!("opening the folder of layer {layer}"), e))?;
            lower.open.insert(layer, Descriptors::bounded(Arc::new(root), lower.no_openat2, OPEN));
        }
        match lower.open.get_mut(&layer) {
            Some(open) => open.open(&self.map, dir),
            None => Err(failed("opening", b"", Errno::NOENT)),
        }
    }
}

/// The name of something in an open directory, for calls that know no descriptors.
pub(super) fn name_in(dir: &OwnedFd, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}
