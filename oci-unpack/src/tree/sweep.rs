//! Hiding what lower layers hold: the whiteouts of a single tree.

use rustix::fs::{Mode, OFlags, openat};

use super::map::{Attributes, DirId};
use super::{Place, Tree};
use crate::Result;

impl Tree {
    /// Hides one name of the lower layers.
    pub(crate) fn hide(&mut self, at: Place<'_>) -> Result<()> {
        if self.map.is_clean(at.dir) {
            return Ok(());
        }
        match (self.map.child(at.dir, at.name), self.map.is_own(at.dir, at.name)) {
            (None, true) => Ok(()),
            (Some(dir), true) => self.hide_all(dir),
            (Some(dir), false) if self.map.is_touched(dir) => {
                self.map.set_attributes(dir, Attributes::Implicit);
                self.hide_all(dir)
            }
            (_, false) => self.remove(at),
        }
    }

    /// Hides everything that lower layers hold in a directory. Each directory is read at most once per layer:
    /// afterwards it is clean.
    pub(crate) fn hide_all(&mut self, dir: DirId) -> Result<()> {
        if self.lower.is_some() {
            return self.hide_all_below(dir);
        }
        let mut stack = vec![dir];
        while let Some(dir) = stack.pop() {
            if self.map.is_clean(dir) {
                continue;
            }
            for name in self.names(dir)? {
                let at = Place { dir, name: &name };
                let own = self.map.is_own(dir, &name);
                match self.map.child(dir, &name) {
                    Some(child) if own => stack.push(child),
                    Some(child) if self.map.is_touched(child) => {
                        // Only something in it is of this layer: itself, it is what no entry names.
                        self.map.set_attributes(child, Attributes::Implicit);
                        stack.push(child);
                    }
                    _ if own => {}
                    _ => self.remove(at)?,
                }
            }
            self.map.set_clean(dir);
        }
        Ok(())
    }

    fn names(&mut self, dir: DirId) -> Result<Vec<Vec<u8>>> {
        let fd = self.fd(dir)?;
        let mut names = Vec::new();
        openat(&fd, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .and_then(|listing| {
                super::remove::for_each_name(&listing, &mut Vec::with_capacity(32 << 10), |name| {
                    names.push(name.to_vec());
                    Ok(())
                })
            })
            .map_err(|e| super::failed("listing", &self.map.path(dir), e))?;
        Ok(names)
    }
}
