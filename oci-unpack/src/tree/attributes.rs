//! Owners and times, as the image says and the file system keeps them.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Timespec, Timestamps, chownat, fchown, fstat, futimens, statat, utimensat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::map::Listed;
use super::{Place, Tree};
use crate::framing::Timestamp;
use crate::{Result, Warning};

/// Times that every file system keeps; others are looked at after they were set.
const KEPT_EVERYWHERE: std::ops::Range<i64> = 0..(1 << 31);

impl Tree {
    /// Sets the owner of an open node. `Ok(true)` when a system call changed it, which clears suid, sgid and
    /// capabilities.
    pub(super) fn own_fd(&mut self, fd: &OwnedFd, at: Place<'_>, attributes: &Listed) -> Result<()> {
        if !self.must_chown(attributes) {
            return Ok(());
        }
        let result = self.own(attributes, |uid, gid| fchown(fd, uid, gid));
        self.owned(result, at, attributes)
    }

    /// The same by name, not followed, for nodes that cannot be opened.
    pub(super) fn own_at(&mut self, parent: &OwnedFd, at: Place<'_>, attributes: &Listed) -> Result<()> {
        if !self.must_chown(attributes) {
            return Ok(());
        }
        let result =
            self.own(attributes, |uid, gid| chownat(parent, at.name, uid, gid, AtFlags::SYMLINK_NOFOLLOW));
        self.owned(result, at, attributes)
    }

    fn must_chown(&self, attributes: &Listed) -> bool {
        let means = &self.means;
        means.owners && (means.always_chown || attributes.uid != means.uid || attributes.gid != means.gid)
    }

    /// Sets both ids, or where a user namespace maps only one of them, that one.
    fn own(
        &self,
        attributes: &Listed,
        set: impl Fn(Option<Uid>, Option<Gid>) -> rustix::io::Result<()>,
    ) -> rustix::io::Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)));
        let result = set(uid, gid);
        if result == Err(Errno::INVAL) && self.means.lenient_owners {
            // That something was lost is told; which half it was need not be.
            let _ = set(uid, None);
            let _ = set(None, gid);
        }
        result
    }

    /// What became of the owner, or of the record of it.
    pub(super) fn owned(
        &mut self,
        result: rustix::io::Result<()>,
        at: Place<'_>,
        attributes: &Listed,
    ) -> Result<()> {
        match result {
            Ok(()) => Ok(()),
            // EINVAL: the id has no mapping in this user namespace.
            Err(Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP) if self.means.lenient_owners => {
                let path = self.path_of(at);
                let warning = Warning::OwnerDropped { uid: attributes.uid, gid: attributes.gid };
                self.reporter.warn_about(attributes.layer, &path, warning)
            }
            Err(errno) => Err(self.failed("setting the owner of", at, errno)),
        }
    }

    pub(super) fn time_fd(
        &mut self,
        fd: &OwnedFd,
        at: Place<'_>,
        time: Timestamp,
        layer: usize,
    ) -> Result<()> {
        futimens(fd.as_fd(), &timestamps(time)).map_err(|e| self.failed("setting the time of", at, e))?;
        if KEPT_EVERYWHERE.contains(&time.seconds) {
            return Ok(());
        }
        let stat = fstat(fd).map_err(|e| self.failed("looking at", at, e))?;
        self.check_time(stat.st_mtime, at, time, layer)
    }

    pub(super) fn time_at(
        &mut self,
        parent: &OwnedFd,
        at: Place<'_>,
        time: Timestamp,
        layer: usize,
    ) -> Result<()> {
        utimensat(parent, at.name, &timestamps(time), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| self.failed("setting the time of", at, e))?;
        if KEPT_EVERYWHERE.contains(&time.seconds) {
            return Ok(());
        }
        let stat = statat(parent, at.name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| self.failed("looking at", at, e))?;
        self.check_time(stat.st_mtime, at, time, layer)
    }

    /// The kernel clamps to what the file system keeps (since 5.4).
    fn check_time(&mut self, kept: i64, at: Place<'_>, time: Timestamp, layer: usize) -> Result<()> {
        if kept == time.seconds {
            return Ok(());
        }
        let path = self.path_of(at);
        self.reporter.warn_about(layer, &path, Warning::TimeClamped { seconds: time.seconds })
    }
}

/// Both times the same: when a file was read last is not in the image, and must not depend on the clock.
fn timestamps(time: Timestamp) -> Timestamps {
    let time = Timespec { tv_sec: time.seconds, tv_nsec: time.nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}
