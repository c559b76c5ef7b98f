//! Removing, recursively and by descriptors: nothing is followed, and no depth or mode is in the way.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, chmod, fchmod, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::{Place, Tree};
use crate::Result;

/// Deeper folders are moved up before they are emptied, so that the number of open descriptors is bounded.
const DEPTH: usize = 32;

impl Tree {
    /// Removes whatever has this name, with all that is below it. Nothing there is fine.
    pub(crate) fn remove(&mut self, at: Place<'_>) -> Result<()> {
        self.hide_below(at)?;
        let was_dir = if self.is_here(at.dir) { self.remove_here(at)? } else { false };
        // It may have been a link that names lead through.
        self.aliases.clear();
        self.last = None;
        if self.map.remove(at.dir, at.name) || was_dir {
            self.fds.clear();
        }
        Ok(())
    }

    /// Whether it was a directory.
    fn remove_here(&mut self, at: Place<'_>) -> Result<bool> {
        let parent = self.fd(at.dir)?;
        match unlinkat(&parent, at.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(false),
            Err(Errno::ISDIR | Errno::PERM) => {
                remove_dir(parent.as_fd(), at.name).map_err(|e| self.failed("removing", at, e))?;
                Ok(true)
            }
            Err(errno) => Err(self.failed("removing", at, errno)),
        }
    }
}

/// Removes a directory and everything below it.
pub(crate) fn remove_dir(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = open_any_mode(&openat(parent, name, flags, Mode::empty())?)?;
    let mut moved = 0;
    loop {
        empty(&top, &top, 0, &mut moved)?;
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            // Folders that were moved up to the top.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            other => return other,
        }
    }
}

/// Removes what is in `dir`, which lies `depth` below `top`.
fn empty(top: &OwnedFd, dir: &OwnedFd, depth: usize, moved: &mut u64) -> rustix::io::Result<()> {
    let mut buffer = Vec::with_capacity(16 << 10);
    let listing = openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for_each_name(&listing, &mut buffer, |name| {
        match unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
        match unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS) => {}
            Err(errno) => return Err(errno),
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let child = open_any_mode(&openat(dir, name, flags, Mode::empty())?)?;
        if depth < DEPTH {
            empty(top, &child, depth + 1, moved)?;
            return match unlinkat(dir, name, AtFlags::REMOVEDIR) {
                Err(Errno::NOENT) => Ok(()),
                other => other,
            };
        }
        loop {
            *moved += 1;
            match renameat(dir, name, top, format!(".removed-{moved}")) {
                // A name of the tree itself: take the next.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                other => return other,
            }
        }
    })
}

/// Opens a directory for reading from an `O_PATH` descriptor, whatever its mode; its owner may give it 0700.
pub(crate) fn open_any_mode(fd: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let read = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat(fd, ".", read, Mode::empty()) {
        Err(Errno::ACCESS) => {
            // fchmod refuses O_PATH descriptors; the magic link names the same directory and is no name of a tree.
            chmod(format!("/proc/self/fd/{}", fd.as_raw_fd()), Mode::RWXU)?;
            openat(fd, ".", read, Mode::empty())
        }
        Ok(dir) => {
            // Readable does not mean that entries can be removed; whoever passes the check anyway loses nothing.
            let stat = rustix::fs::fstat(&dir)?;
            if stat.st_mode & 0o700 != 0o700 && stat.st_uid == rustix::process::geteuid().as_raw() {
                fchmod(&dir, Mode::from_raw_mode(stat.st_mode & 0o7777 | 0o700))?;
            }
            Ok(dir)
        }
        other => other,
    }
}

/// Calls for every name but `.` and `..`. Names may be removed meanwhile.
pub(crate) fn for_each_name(
    dir: &OwnedFd,
    buffer: &mut Vec<u8>,
    mut act: impl FnMut(&[u8]) -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    buffer.clear();
    let spare: &mut [MaybeUninit<u8>] = buffer.spare_capacity_mut();
    let mut listing = RawDir::new(dir, spare);
    while let Some(entry) = listing.next() {
        match entry?.file_name().to_bytes() {
            b"." | b".." => {}
            name => act(name)?,
        }
    }
    Ok(())
}
