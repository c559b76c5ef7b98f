use rustix::fs::{AtFlags, FileType, linkat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::{Place, Tree};
use crate::{Error, Result, Warning};

/// What became of a hard link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linked {
    /// It is there.
    Done,
    /// Its target is not, or not yet.
    NoTarget,
}

impl Tree {
    /// Gives a node another name, in place of whatever has it. Neither last component is followed.
    pub(crate) fn link(&mut self, at: Place<'_>, target: Place<'_>) -> Result<Linked> {
        if self.map.child(target.dir, target.name).is_some() {
            return Err(Error::entry(&self.path_of(at), "a hard link to a directory"));
        }
        let (from, to) = (self.fd(target.dir)?, self.fd(at.dir)?);
        match linkat(&from, target.name, &to, at.name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOENT) if self.skipped.contains(&(target.dir, target.name.into())) => {
                return self.skip_device(at, Warning::DeviceSkipped).map(|()| Linked::Done);
            }
            Err(Errno::NOENT) if self.copy_up(target)? => return self.link(at, target),
            Err(Errno::NOENT) => return Ok(Linked::NoTarget),
            Err(Errno::EXIST) => return self.link_over(at, target),
            Err(Errno::PERM) => {
                let stat = statat(&from, target.name, AtFlags::SYMLINK_NOFOLLOW);
                if stat.is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Directory) {
                    return Err(Error::entry(&self.path_of(at), "a hard link to a directory"));
                }
                return Err(self.failed("linking", at, Errno::PERM));
            }
            Err(errno) => return Err(self.failed("linking", at, errno)),
        }
        self.covered(at);
        self.map.brought(at.dir, at.name);
        Ok(Linked::Done)
    }

    /// Removes what has the name of a link that will come late, as the link itself would: entries between the two find
    /// the tree as if it were there already.
    pub(crate) fn make_way(&mut self, at: Place<'_>) -> Result<()> {
        let parent = self.fd(at.dir)?;
        match statat(&parent, at.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => self.displace(at)?,
            Err(Errno::NOENT) if self.lower.is_some() => self.remove(at)?,
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(self.failed("looking at", at, errno)),
        }
        self.map.brought(at.dir, at.name);
        Ok(())
    }

    /// Whether this is a known directory.
    pub(crate) fn is_directory(&self, at: Place<'_>) -> bool {
        self.map.child(at.dir, at.name).is_some()
    }

    /// The name is taken. Nothing is removed before the new link exists: what is there may hold the target.
    fn link_over(&mut self, at: Place<'_>, target: Place<'_>) -> Result<Linked> {
        let (from, to) = (self.fd(target.dir)?, self.fd(at.dir)?);
        let look = |fd, name| statat(fd, name, AtFlags::SYMLINK_NOFOLLOW);
        let there = match look(&from, target.name) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Linked::NoTarget),
            Err(errno) => return Err(self.failed("looking at", target, errno)),
        };
        let here = look(&to, at.name).map_err(|e| self.failed("looking at", at, e))?;
        if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino) {
            // A link to itself, or to another name of its inode: what it asks for is so already.
            self.map.brought(at.dir, at.name);
            return Ok(Linked::Done);
        }
        let mut number = 0u32;
        let aside = loop {
            let aside = format!(".linked-{number}");
            match linkat(&from, target.name, &to, aside.as_str(), AtFlags::empty()) {
                Ok(()) => break aside,
                Err(Errno::EXIST) if number < u32::MAX => number += 1,
                Err(errno) => return Err(self.failed("linking", at, errno)),
            }
        };
        self.displace(at)?;
        renameat(&to, aside.as_str(), &to, at.name).map_err(|e| {
            // The tree is given up anyway; a name that no layer brought shall not stay behind in it.
            let _ = unlinkat(&to, aside.as_str(), AtFlags::empty());
            self.failed("linking", at, e)
        })?;
        self.map.brought(at.dir, at.name);
        Ok(Linked::Done)
    }
}
