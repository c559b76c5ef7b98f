//! Copying what a lower layer holds into the layer at work, so that it can get another name there: with content,
//! holes, owner, mode, attributes and time, as overlayfs does it.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{
    FileType, Mode, OFlags, SeekFrom, Stat, chmod, copy_file_range, lgetxattr, llistxattr, mknodat, openat,
    readlinkat, seek, symlinkat,
};
use rustix::io::{Errno, pread, pwrite};

use super::super::file::OpenFile;
use super::super::map::Listed;
use super::super::{Place, Tree};
use super::look::{Found, name_in};
use crate::Result;
use crate::framing::Timestamp;

impl Tree {
    /// Copies a node of a lower layer. `false`: there is none that shows.
    pub(crate) fn copy_up(&mut self, at: Place<'_>) -> Result<bool> {
        let Some(found) = self.find_below(at)? else { return Ok(false) };
        let closed = open_up(&found, at.name).map_err(|e| self.failed("opening", at, e))?;
        let copied = self.copy_node(at, &found);
        if let Some(closed) = closed {
            let mode = Mode::from_raw_mode(found.stat.st_mode & 0o7777);
            chmod(magic(&closed), mode).map_err(|e| self.failed("closing", at, e))?;
        }
        copied?;
        if let Some(lower) = &mut self.lower {
            lower.copied.entry(at.dir).or_default().insert(at.name.into());
        }
        Ok(true)
    }

    fn copy_node(&mut self, at: Place<'_>, found: &Found) -> Result<()> {
        let kind = FileType::from_raw_mode(found.stat.st_mode);
        let attributes = self.attributes_of(at, found)?;
        let parent = self.fd(at.dir)?;
        let fail = |tree: &Self, e| tree.failed("copying up", at, e);
        if kind == FileType::RegularFile {
            let file = copy_content(found, &parent, at.name).map_err(|e| fail(self, e))?;
            let size = u64::try_from(found.stat.st_size).unwrap_or(0);
            self.told_before(|tree| tree.end_file(file, at, size, &attributes))?;
        } else if kind == FileType::Symlink {
            readlinkat(&found.dir, at.name, Vec::new())
                .and_then(|target| symlinkat(target, &parent, at.name))
                .map_err(|e| fail(self, e))?;
            self.told_before(|tree| tree.dress_link(&parent, at, &attributes))?;
        } else {
            mknodat(&parent, at.name, kind, Mode::empty(), found.stat.st_rdev).map_err(|e| fail(self, e))?;
            self.told_before(|tree| tree.special(at, kind, &attributes))?;
        }
        Ok(())
    }

    /// Does something whose warnings were told already, when the lower layer was at work.
    pub(in super::super) fn told_before<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        let quiet = std::mem::replace(&mut self.reporter.quiet, true);
        let result = act(self);
        self.reporter.quiet = quiet;
        result
    }

    fn attributes_of(&self, at: Place<'_>, found: &Found) -> Result<Listed> {
        let Stat { st_mode, st_uid, st_gid, .. } = found.stat;
        let mtime = Timestamp { seconds: found.stat.st_mtime, nanos: found.stat.st_mtime_nsec as u32 };
        let xattrs = xattrs(&name_in(&found.dir, at.name))
            .map_err(|e| self.failed("reading the attributes of", at, e))?;
        let layer = self.reporter.layer;
        Ok(Listed { mode: st_mode & 0o7777, uid: st_uid, gid: st_gid, mtime, xattrs, layer })
    }
}

fn copy_content(found: &Found, parent: &OwnedFd, name: &[u8]) -> rustix::io::Result<OpenFile> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let source = openat(&found.dir, name, flags, Mode::empty())?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?;
    let size = u64::try_from(found.stat.st_size).unwrap_or(0);
    let mut at = 0;
    while at < size {
        // A file system that knows no holes says that all is data.
        let start = match seek(&source, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL) => at,
            Err(errno) => return Err(errno),
        };
        let end = match seek(&source, SeekFrom::Hole(start)) {
            Ok(end) => end,
            Err(Errno::INVAL) => size,
            Err(errno) => return Err(errno),
        };
        copy_range(&source, &target, start, end)?;
        at = end;
    }
    Ok(OpenFile::of(target, at))
}

fn copy_range(source: &OwnedFd, target: &OwnedFd, mut at: u64, end: u64) -> rustix::io::Result<()> {
    let mut buffer = Vec::new();
    while at < end {
        let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(1 << 30);
        if buffer.is_empty() {
            let (mut from, mut to) = (at, at);
            match copy_file_range(source, Some(&mut from), target, Some(&mut to), len) {
                Ok(n) if n > 0 => {
                    at += n as u64;
                    continue;
                }
                Err(Errno::INTR) => continue,
                // Not between these files, or not on this kernel: by hand.
                _ => buffer.resize(256 << 10, 0),
            }
        }
        let room = buffer.len().min(len);
        let n = match pread(source, buffer.get_mut(..room).unwrap_or_default(), at) {
            Ok(0) => return Err(Errno::IO),
            Ok(n) => n,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        };
        let mut rest = buffer.get(..n).unwrap_or_default();
        while !rest.is_empty() {
            match pwrite(target, rest, at) {
                Ok(written) => {
                    at += written as u64;
                    rest = rest.get(written..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(())
}

/// Lets its owner read a file that gives even them no permission, until the descriptor's mode is set back.
fn open_up(found: &Found, name: &[u8]) -> rustix::io::Result<Option<OwnedFd>> {
    let mode = found.stat.st_mode;
    if FileType::from_raw_mode(mode) != FileType::RegularFile || mode & 0o400 != 0 {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&found.dir, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {}
        other => return other.map(|_| None),
    }
    let node = openat(&found.dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    chmod(magic(&node), Mode::from_raw_mode(mode & 0o7777 | 0o400))?;
    Ok(Some(node))
}

fn magic(node: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", node.as_raw_fd())
}

fn xattrs(path: &[u8]) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut list = vec![0; 64 << 10];
    let len = match llistxattr(path, &mut list[..]) {
        Ok(len) => len,
        Err(Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(errno),
    };
    list.truncate(len);
    let mut found = Vec::new();
    for name in list.split(|b| *b == 0).filter(|name| !name.is_empty() && *name != b"security.selinux") {
        let mut value = vec![0; 64 << 10];
        match lgetxattr(path, name, &mut value[..]) {
            Ok(len) => value.truncate(len),
            // Listed, but not for us.
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS) => continue,
            Err(errno) => return Err(errno),
        }
        found.push((name.to_vec(), value));
    }
    Ok(found)
}
