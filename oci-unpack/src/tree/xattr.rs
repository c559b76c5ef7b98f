//! Extended attributes: which are set, when, and what happens when the kernel refuses.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, lsetxattr};
use rustix::io::Errno;

use super::lower::is_reserved;
use super::map::Listed;
use super::{Place, Tree};
use crate::{Result, Warning};

pub(super) const DEFAULT_ACL: &str = "system.posix_acl_default";
pub(super) const ACCESS_ACL: &str = "system.posix_acl_access";

/// When an attribute is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    /// `user.*`, before owner and mode: afterwards a caller without privileges may be locked out.
    Early,
    /// Everything else, after the mode: an ACL would be changed by a later chmod, a capability removed by a later
    /// chown or write.
    Late,
}

fn turn(name: &[u8]) -> Turn {
    if name.starts_with(b"user.") { Turn::Early } else { Turn::Late }
}

impl Tree {
    /// Sets those of an open node whose turn it is.
    pub(super) fn xattrs_fd(
        &mut self,
        fd: &OwnedFd,
        at: Place<'_>,
        attributes: &Listed,
        now: Turn,
    ) -> Result<()> {
        // The ACLs come before security.capability, since some file systems change the mode with them.
        let mut chosen: Vec<_> = attributes.xattrs.iter().filter(|(name, _)| turn(name) == now).collect();
        chosen.sort_by_key(|(name, _)| !name.starts_with(b"system."));
        for (name, value) in chosen {
            if self.excluded(at, name, attributes.layer)? {
                continue;
            }
            let result = fsetxattr(fd, name.as_slice(), value, XattrFlags::empty());
            if self.means.record.is_some_and(|form| form.name() == name) {
                self.owned(result, at, attributes)?;
            } else {
                self.xattr_set(result, at, name, attributes.layer)?;
            }
        }
        Ok(())
    }

    /// Sets those of a node that cannot be opened: a link, a device, a pipe.
    pub(super) fn xattrs_at(&mut self, parent: &OwnedFd, at: Place<'_>, attributes: &Listed) -> Result<()> {
        if attributes.xattrs.is_empty() {
            return Ok(());
        }
        // There is no lsetxattrat before 6.13. The magic link names the parent's descriptor, the last component is
        // not followed.
        let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
        path.extend_from_slice(at.name);
        for (name, value) in &attributes.xattrs {
            if self.excluded(at, name, attributes.layer)? {
                continue;
            }
            // xattr(7): user.* exists on regular files and directories only.
            let result = if turn(name) == Turn::Early {
                Err(Errno::PERM)
            } else {
                lsetxattr(path.as_slice(), name.as_slice(), value, XattrFlags::empty())
            };
            self.xattr_set(result, at, name, attributes.layer)?;
        }
        Ok(())
    }

    /// Removes what a directory that was there before us has and its newest entry does not list.
    pub(super) fn xattrs_clear(&mut self, fd: &OwnedFd, at: Place<'_>, attributes: &Listed) -> Result<()> {
        for name in names(fd) {
            // The label is the host's and not the image's.
            if name == b"security.selinux" || attributes.xattrs.iter().any(|(listed, _)| *listed == name) {
                continue;
            }
            match fremovexattr(fd, name.as_slice()) {
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(errno) => self.xattr_set(Err(errno), at, &name, attributes.layer)?,
            }
        }
        Ok(())
    }

    fn excluded(&mut self, at: Place<'_>, name: &[u8], layer: usize) -> Result<bool> {
        // A label belongs to the host's policy. trusted.* is where overlayfs keeps its own format.
        let excluded = name == b"security.selinux"
            || (name.starts_with(b"trusted.") && !self.keep_trusted)
            || (self.drop_marks && is_reserved(name));
        if excluded {
            let path = self.path_of(at);
            self.reporter.warn_about(layer, &path, Warning::XattrExcluded { name: text(name) })?;
        }
        Ok(excluded)
    }

    fn xattr_set(
        &mut self,
        result: rustix::io::Result<()>,
        at: Place<'_>,
        name: &[u8],
        layer: usize,
    ) -> Result<()> {
        match result {
            Ok(()) => Ok(()),
            Err(
                errno @ (Errno::PERM
                | Errno::ACCESS
                | Errno::OPNOTSUPP
                | Errno::INVAL
                | Errno::RANGE
                | Errno::NOENT),
            ) => {
                let path = self.path_of(at);
                let warning = Warning::XattrRefused { name: text(name), reason: errno.to_string() };
                self.reporter.warn_about(layer, &path, warning)
            }
            Err(errno) => Err(self.failed(&format!("setting {} of", text(name)), at, errno)),
        }
    }
}

/// The value of an attribute; `None` when there is none or it cannot be read.
pub(super) fn value(fd: &OwnedFd, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 64 << 10];
    let len = fgetxattr(fd, name, &mut value[..]).ok()?;
    value.truncate(len);
    Some(value)
}

/// The names that a node has; none where the file system has no attributes.
fn names(fd: &OwnedFd) -> Vec<Vec<u8>> {
    let mut list = vec![0; 64 << 10];
    let len = flistxattr(fd, &mut list[..]).unwrap_or(0);
    list.truncate(len);
    list.split(|b| *b == 0).filter(|n| !n.is_empty()).map(<[u8]>::to_vec).collect()
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
