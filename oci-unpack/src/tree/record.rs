//! Recording in an attribute what an ordinary user may not give to a node.

use std::os::fd::OwnedFd;

use rustix::fs::{XattrFlags, fsetxattr};
use rustix::io::Errno;

use super::map::Listed;
use super::{Place, Tree};
use crate::framing::{EntryKind, Timestamp};
use crate::recorded::Form;
use crate::{Result, Warning};

impl Tree {
    /// Where owners are recorded: makes the record an attribute of the entry like any other.
    pub(crate) fn record(&mut self, path: &[u8], kind: EntryKind, listed: &mut Listed) -> Result<()> {
        let Some(form) = self.means.record else { return Ok(()) };
        // The image must not be able to say who owns what on behalf of us.
        while let Some(claimed) = listed.xattrs.iter().position(|(name, _)| form.claims(name)) {
            let (name, _) = listed.xattrs.remove(claimed);
            let name = String::from_utf8_lossy(&name).into_owned();
            self.reporter.warn(path, Warning::XattrExcluded { name })?;
        }
        // xattr(7): user.* exists on regular files and directories only.
        let bare = match form {
            Form::RootlessContainers => matches!(kind, EntryKind::Symlink | EntryKind::Fifo),
            Form::OverrideStat => kind == EntryKind::Symlink,
        };
        if bare {
            if (listed.uid, listed.gid) != (0, 0) {
                let warning = Warning::OwnerDropped { uid: listed.uid, gid: listed.gid };
                self.reporter.warn(path, warning)?;
            }
            return Ok(());
        }
        if let Some(value) = form.value(kind, listed.uid, listed.gid, listed.mode) {
            listed.xattrs.push((form.name().to_vec(), value));
        }
        if form == Form::OverrideStat {
            // What is recorded need not be so: nobody shall gain by a suid bit of ours, or be locked out.
            let least = if kind == EntryKind::Directory { 0o700 } else { 0o600 };
            listed.mode = listed.mode & 0o777 | least;
        }
        Ok(())
    }

    /// A root that was there before us and that no entry names. fuse-overlayfs takes the records of a tree for what
    /// they are when its root has one.
    pub(super) fn record_root(&mut self, fd: &OwnedFd, at: Place<'_>, mode: u32) -> Result<()> {
        let Some(form @ Form::OverrideStat) = self.means.record else { return Ok(()) };
        let Some(value) = form.value(EntryKind::Directory, 0, 0, mode) else { return Ok(()) };
        let layer = self.reporter.layer;
        let listed = Listed { mode, uid: 0, gid: 0, mtime: Timestamp::default(), xattrs: Vec::new(), layer };
        match fsetxattr(fd, form.name(), &value, XattrFlags::CREATE) {
            Err(Errno::EXIST) => Ok(()),
            result => self.owned(result, at, &listed),
        }
    }
}
