use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, fchmod, fsync, ftruncate, openat};
use rustix::io::{Errno, pwrite};

use super::map::Listed;
use super::xattr::Turn;
use super::{Place, Tree};
use crate::diff::ContentHasher;
use crate::{Result, SyncPolicy};

/// A regular file that is being written.
#[derive(Debug)]
pub(crate) struct OpenFile {
    fd: OwnedFd,
    /// Where the data written so far ends.
    end: u64,
    /// Where a snapshot will be taken.
    hasher: Option<Box<ContentHasher>>,
}

impl OpenFile {
    /// A file that was written by other means.
    pub(super) fn of(fd: OwnedFd, end: u64) -> Self {
        Self { fd, end, hasher: None }
    }
}

impl Tree {
    /// Makes a file in place of whatever has its name.
    pub(crate) fn begin_file(&mut self, at: Place<'_>) -> Result<OpenFile> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = self
            .make_anew(at, "creating", |parent, name| openat(parent, name, flags, Mode::RUSR | Mode::WUSR))?;
        Ok(OpenFile { fd, end: 0, hasher: self.digests.as_ref().map(|_| Box::default()) })
    }

    /// Writes at an offset; what is skipped is a hole.
    pub(crate) fn write(
        &mut self,
        file: &mut OpenFile,
        at: Place<'_>,
        mut offset: u64,
        mut bytes: &[u8],
    ) -> Result<()> {
        if let Some(hasher) = &mut file.hasher {
            hasher.update(offset, bytes);
        }
        while !bytes.is_empty() {
            match pwrite(&file.fd, bytes, offset) {
                Ok(0) => return Err(self.failed("writing", at, Errno::IO)),
                Ok(n) => {
                    offset += n as u64;
                    bytes = bytes.get(n..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.failed("writing", at, errno)),
            }
        }
        file.end = file.end.max(offset);
        Ok(())
    }

    /// Ends a file: its size and attributes, in the order in which none undoes another.
    pub(crate) fn end_file(
        &mut self,
        file: OpenFile,
        at: Place<'_>,
        size: u64,
        attributes: &Listed,
    ) -> Result<()> {
        let OpenFile { fd, end, hasher } = file;
        if end < size {
            ftruncate(&fd, size).map_err(|e| self.failed("extending", at, e))?;
        }
        if !attributes.xattrs.is_empty() {
            self.xattrs_fd(&fd, at, attributes, Turn::Early)?;
        }
        self.own_fd(&fd, at, attributes)?;
        // Always: what the umask and the bits of the creation left over is not known for certain, and a chown
        // has cleared suid and sgid.
        fchmod(&fd, Mode::from_raw_mode(attributes.mode))
            .map_err(|e| self.failed("setting the mode of", at, e))?;
        if !attributes.xattrs.is_empty() {
            self.xattrs_fd(&fd, at, attributes, Turn::Late)?;
        }
        self.time_fd(&fd, at, attributes.mtime, attributes.layer)?;
        if self.sync == SyncPolicy::PerFile {
            fsync(&fd).map_err(|e| self.failed("syncing", at, e))?;
        }
        if let (Some(hasher), Some(digests)) = (hasher, &mut self.digests) {
            digests.note(&fd, hasher.finish(size)).map_err(|e| self.failed("looking at", at, e))?;
        }
        Ok(())
    }

    /// Makes a node; on EEXIST, and only then, removes what is there and tries once more.
    pub(super) fn make_anew<T>(
        &mut self,
        at: Place<'_>,
        doing: &str,
        make: impl Fn(&OwnedFd, &[u8]) -> rustix::io::Result<T>,
    ) -> Result<T> {
        let parent = self.fd(at.dir)?;
        match make(&parent, at.name) {
            Err(Errno::EXIST) => {}
            other => {
                let made = other.map_err(|e| self.failed(doing, at, e))?;
                self.covered(at);
                self.map.brought(at.dir, at.name);
                return Ok(made);
            }
        }
        self.displace(at)?;
        let made = make(&parent, at.name).map_err(|e| self.failed(doing, at, e))?;
        self.map.brought(at.dir, at.name);
        Ok(made)
    }
}
