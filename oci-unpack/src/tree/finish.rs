//! The final pass: directories get the attributes of the newest entries that name them, deepest first.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, XattrFlags, fchmod, fsetxattr, fsync, openat, syncfs};

use super::map::{Attributes, DirId, Listed, ROOT};
use super::xattr::{DEFAULT_ACL, Turn};
use super::{Place, Tree, failed};
use crate::framing::{EntryKind, Timestamp};
use crate::report::Reporter;
use crate::{Result, SyncPolicy};

impl Tree {
    /// Applies what is still owed, and syncs if asked to. The tree takes no more layers.
    pub(crate) fn finish(mut self) -> Result<Reporter> {
        if self.lower.is_some() {
            self.finish_folders()?;
        } else {
            let all = self.map.all();
            self.dress_all(all)?;
        }
        if self.sync == SyncPolicy::Tree {
            let read = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            openat(&self.root, ".", read, Mode::empty())
                .and_then(|root| syncfs(&root))
                .map_err(|e| failed("syncing the file system of", b"", e))?;
        }
        Ok(self.reporter)
    }

    /// Gives directories what they shall have at the end.
    pub(super) fn dress_all(&mut self, dirs: Vec<DirId>) -> Result<()> {
        for dir in self.map.deepest_first(dirs) {
            let fd = self.open_dir(dir)?;
            let name = self.map.name(dir).to_vec();
            let at = Place { dir: self.map.parent(dir), name: &name };
            let found = self.map.was_found(dir);
            let attributes = self.map.attributes(dir).clone();
            if matches!(&attributes, Attributes::Listed(listed) if listed.layer != self.reporter.layer)
                && self.lower.is_some()
            {
                self.told_before(|tree| tree.dress(&fd, at, &attributes, found))?;
            } else {
                self.dress(&fd, at, &attributes, found)?;
            }
            if self.sync == SyncPolicy::PerFile {
                fsync(&fd).map_err(|e| failed("syncing", &self.map.path(dir), e))?;
            }
        }
        Ok(())
    }

    fn dress(&mut self, fd: &OwnedFd, at: Place<'_>, attributes: &Attributes, found: bool) -> Result<()> {
        match attributes {
            Attributes::Listed(listed) => self.dress_listed(fd, at, listed, found),
            Attributes::Implicit => {
                let layer = self.reporter.layer;
                let mtime = Timestamp::default();
                let mut listed = Listed { mode: 0o755, uid: 0, gid: 0, mtime, xattrs: Vec::new(), layer };
                self.record(&[], EntryKind::Directory, &mut listed)?;
                self.dress_listed(fd, at, &listed, found)
            }
            Attributes::Found(had) => {
                if at.name.is_empty() {
                    self.record_root(fd, at, had.mode)?;
                }
                let mode = Mode::from_raw_mode(had.mode);
                fchmod(fd, mode).map_err(|e| self.failed("setting the mode of", at, e))?;
                if let Some(acl) = &had.default_acl {
                    fsetxattr(fd, DEFAULT_ACL, acl, XattrFlags::empty())
                        .map_err(|e| self.failed("giving back the default ACL of", at, e))?;
                }
                self.time_fd(fd, at, had.mtime, self.reporter.layer)
            }
        }
    }

    fn dress_listed(&mut self, fd: &OwnedFd, at: Place<'_>, listed: &Listed, found: bool) -> Result<()> {
        if found {
            self.xattrs_clear(fd, at, listed)?;
        }
        if !listed.xattrs.is_empty() {
            self.xattrs_fd(fd, at, listed, Turn::Early)?;
        }
        self.own_fd(fd, at, listed)?;
        fchmod(fd, Mode::from_raw_mode(listed.mode))
            .map_err(|e| self.failed("setting the mode of", at, e))?;
        if !listed.xattrs.is_empty() {
            self.xattrs_fd(fd, at, listed, Turn::Late)?;
        }
        self.time_fd(fd, at, listed.mtime, listed.layer)
    }

    pub(super) fn open_dir(&mut self, dir: DirId) -> Result<Arc<OwnedFd>> {
        let read = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (parent, name) = match dir {
            ROOT => (Arc::clone(&self.root), b".".to_vec()),
            dir => (self.fd(self.map.parent(dir))?, self.map.name(dir).to_vec()),
        };
        openat(&parent, name.as_slice(), read, Mode::empty())
            .map(Arc::new)
            .map_err(|e| failed("opening the directory", &self.map.path(dir), e))
    }
}
