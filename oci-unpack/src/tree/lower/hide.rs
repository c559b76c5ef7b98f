//! Hiding what lower layers hold, by remembering it, and writing it down when the layer ends.

use super::super::map::{Attributes, DirId, ROOT};
use super::super::{Place, Tree, failed};
use crate::Result;

impl Tree {
    /// Something of the layer takes a name, or nothing shall: what lower layers have there is hidden.
    pub(crate) fn hide_below(&mut self, at: Place<'_>) -> Result<()> {
        let Some(lower) = &self.lower else { return Ok(()) };
        if self.map.is_clean(at.dir) || lower.is_hidden(at) {
            return Ok(());
        }
        // A whiteout that nothing backs would be listed by overlayfs.
        let is_below = self.map.child(at.dir, at.name).is_some_and(|dir| lower.is_below(dir))
            || self.find_below(at)?.is_some();
        if let Some(lower) = &mut self.lower
            && is_below
        {
            lower.note_hidden(at);
        }
        Ok(())
    }

    /// A node that is no directory was made where the layer's own folder had nothing.
    pub(crate) fn covered(&mut self, at: Place<'_>) {
        let Some(lower) = &mut self.lower else { return };
        let child = self.map.child(at.dir, at.name);
        if let Some(dir) = child {
            if lower.is_below(dir) {
                lower.note_hidden(at);
            }
            self.map.remove(at.dir, at.name);
            self.fds.clear();
        }
        // Names may have led through what is there no more.
        if child.is_some() || lower.followed.contains(&(at.dir, Box::from(at.name))) {
            self.aliases.clear();
            self.last = None;
        }
    }

    /// A directory was made in the layer's own folder that is not one of lower layers.
    pub(crate) fn covered_by_dir(&mut self, at: Place<'_>, dir: DirId) {
        self.now_here(dir);
        let Some(lower) = &mut self.lower else { return };
        if lower.is_hidden(at) {
            lower.opaque.insert(dir);
        }
        if lower.followed.contains(&(at.dir, Box::from(at.name))) {
            self.aliases.clear();
            self.last = None;
        }
    }

    /// [`hide_all`](Self::hide_all) where lower layers are in other folders.
    pub(crate) fn hide_all_below(&mut self, dir: DirId) -> Result<()> {
        let mut stack = vec![dir];
        while let Some(dir) = stack.pop() {
            if self.map.is_clean(dir) {
                continue;
            }
            let copied = self.lower.as_mut().and_then(|lower| lower.copied.remove(&dir));
            for name in copied.into_iter().flatten() {
                if !self.map.is_own(dir, &name) {
                    self.remove(Place { dir, name: &name })?;
                }
            }
            if dir == ROOT {
                // overlayfs does not look at such a mark on a layer's root: every name gets a whiteout.
                for name in self.names_below()? {
                    let at = Place { dir, name: &name };
                    if self.map.child(dir, &name).is_none() {
                        self.hide_below(at)?;
                    }
                }
            }
            for child in self.map.children(dir) {
                let name = self.map.name(child).to_vec();
                let at = Place { dir, name: &name };
                if self.map.is_own(dir, &name) {
                    stack.push(child);
                } else if self.map.is_touched(child) {
                    // Only something in it is of this layer: itself, it is what no entry names.
                    self.map.set_attributes(child, Attributes::Implicit);
                    stack.push(child);
                } else {
                    self.remove(at)?;
                }
            }
            self.cut_off(dir);
            self.map.set_clean(dir);
        }
        self.aliases.clear();
        self.last = None;
        Ok(())
    }

    /// Nothing of lower layers shows through a directory any more.
    fn cut_off(&mut self, dir: DirId) {
        let parent = self.map.parent(dir);
        let at = Place { dir: parent, name: self.map.name(dir) };
        let Some(lower) = &mut self.lower else { return };
        if dir != ROOT {
            lower.hidden.remove(&dir);
            // Below a directory that is cut off itself, nothing needs to be said.
            if lower.is_below(dir) && (parent == ROOT || !self.map.is_clean(parent)) {
                lower.opaque.insert(dir);
                // Should the directory be replaced after all, the lower one is hidden even so.
                lower.note_hidden(at);
            }
        }
        let layer = lower.layer;
        if let Some(held) = lower.held.get_mut(&dir) {
            held.retain(|held| Some(*held) == layer);
        }
    }

    pub(super) fn write_opaque(&mut self, dir: DirId) -> Result<()> {
        let Some(format) = self.format() else { return Ok(()) };
        self.copy_up_dir(dir)?;
        let fd = self.open_dir(dir)?;
        format.opaque(&fd).map_err(|e| failed("marking as opaque", &self.map.path(dir), e))
    }

    pub(super) fn write_whiteouts(&mut self, dir: DirId) -> Result<()> {
        let Some(lower) = &mut self.lower else { return Ok(()) };
        let format = lower.format;
        let mut names: Vec<_> = lower.hidden.remove(&dir).into_iter().flatten().collect();
        names.sort();
        self.copy_up_dir(dir)?;
        let fd = self.open_dir(dir)?;
        let mut made = false;
        for name in names {
            made |= format
                .whiteout(&fd, &name)
                .map_err(|e| self.failed("making a whiteout of", Place { dir, name: &name }, e))?;
        }
        if !made {
            return Ok(());
        }
        format
            .holds_whiteouts(&fd)
            .map_err(|e| failed("marking as holding whiteouts", &self.map.path(dir), e))
    }
}
