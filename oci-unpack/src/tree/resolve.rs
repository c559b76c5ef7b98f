//! Names to directories, as in a chroot: absolute links start at the root, `..` stops there.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags, fstat, mkdirat, openat, readlinkat};
use rustix::io::Errno;

use super::map::{Attributes, DirId, ROOT};
use super::{Place, Tree, take_over};
use crate::{Error, Result, Warning};

/// How many names through links are remembered.
const ALIASES: usize = 1000;

/// What is done where a directory is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is made, as an implicit one; what stands in its place and is no directory is replaced with a warning.
    Make,
    /// There is no such directory.
    Tell,
}

/// What the last step met.
enum Step {
    Directory(DirId),
    Link(Vec<u8>),
    Nothing,
}

impl Tree {
    /// The directory with a normalised name (no leading slash, no empty, `.` or `..` components; empty for the
    /// root). `None` only with [`Missing::Tell`].
    pub(crate) fn resolve(&mut self, path: &[u8], missing: Missing) -> Result<Option<DirId>> {
        if path.is_empty() {
            return Ok(Some(ROOT));
        }
        if let Some((last, dir)) = &self.last
            && last == path
        {
            return Ok(Some(*dir));
        }
        let found = match self.known(path).or_else(|| self.aliases.get(path).copied()) {
            Some(dir) => Some(dir),
            None => self.walk(path, missing)?,
        };
        if let Some(dir) = found {
            self.last = Some((path.to_vec(), dir));
        }
        Ok(found)
    }

    /// Without a system call, when every component is a known directory.
    fn known(&self, path: &[u8]) -> Option<DirId> {
        path.split(|b| *b == b'/').try_fold(ROOT, |dir, name| self.map.child(dir, name))
    }

    fn walk(&mut self, path: &[u8], missing: Missing) -> Result<Option<DirId>> {
        let mut dir = ROOT;
        let mut links = 0;
        // What is still to be walked, last first: links put their components on top.
        let mut rest: Vec<Vec<u8>> = path.split(|b| *b == b'/').rev().map(<[u8]>::to_vec).collect();
        while let Some(name) = rest.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    dir = self.map.parent(dir);
                    continue;
                }
                _ => {}
            }
            match self.step(Place { dir, name: &name }, missing)? {
                Step::Directory(next) => dir = next,
                Step::Nothing => return Ok(None),
                Step::Link(target) => {
                    links += 1;
                    if links > self.max_links {
                        return Err(Error::Limit {
                            limit: "symbolic links of one name",
                            maximum: self.max_links.into(),
                        });
                    }
                    if target.first() == Some(&b'/') {
                        dir = ROOT;
                    }
                    rest.extend(target.split(|b| *b == b'/').rev().map(<[u8]>::to_vec));
                }
            }
        }
        if links > 0 {
            if self.aliases.len() >= ALIASES {
                self.aliases.clear();
            }
            self.aliases.insert(path.into(), dir);
        }
        Ok(Some(dir))
    }

    fn step(&mut self, at: Place<'_>, missing: Missing) -> Result<Step> {
        if let Some(dir) = self.map.child(at.dir, at.name) {
            return Ok(Step::Directory(dir));
        }
        // Trying it is cheaper than looking, except where other folders have to be looked at, too.
        if missing == Missing::Make && self.lower.is_none() && self.make_dir(at)? {
            return Ok(Step::Directory(self.new_dir(at, Attributes::Implicit)));
        }
        match self.look(at)? {
            Some(Look::Directory(dir)) => Ok(Step::Directory(dir)),
            Some(Look::Link(target)) => Ok(Step::Link(target)),
            Some(Look::Other) if missing == Missing::Make => {
                let path = self.path_of(at);
                self.reporter.warn(&path, Warning::ParentReplaced)?;
                Ok(Step::Directory(self.replace_by_dir(at, Attributes::Implicit)?))
            }
            None if missing == Missing::Make => {
                if !self.make_dir(at)? {
                    return Err(self.failed("making the directory", at, Errno::EXIST));
                }
                Ok(Step::Directory(self.new_dir(at, Attributes::Implicit)))
            }
            Some(Look::Other) | None => Ok(Step::Nothing),
        }
    }

    /// Looks at a name without following it; takes over a directory that was not known.
    pub(super) fn look(&mut self, at: Place<'_>) -> Result<Option<Look>> {
        let here = if self.is_here(at.dir) { self.look_here(at)? } else { None };
        match here {
            Some(look) => Ok(Some(look)),
            None => self.look_below(at),
        }
    }

    fn look_here(&mut self, at: Place<'_>) -> Result<Option<Look>> {
        let parent = self.fd(at.dir)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match openat(&parent, at.name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.failed("looking at", at, errno)),
        };
        let stat = fstat(&fd).map_err(|e| self.failed("looking at", at, e))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let dir = self.open_found(at, &fd)?;
                let found = take_over(&dir, &stat)?;
                let id = self.map.add(at.dir, at.name, Attributes::Found(Box::new(found)));
                Ok(Some(Look::Directory(id)))
            }
            FileType::Symlink => {
                // Through the descriptor, so that it is the link that was looked at.
                let target = readlinkat(&fd, "", Vec::new()).map_err(|e| self.failed("reading", at, e))?;
                Ok(Some(Look::Link(target.into_bytes())))
            }
            _ => Ok(Some(Look::Other)),
        }
    }

    /// Opens a directory that was there before us for work on it, whatever its mode.
    fn open_found(&self, at: Place<'_>, fd: &OwnedFd) -> Result<OwnedFd> {
        super::remove::open_any_mode(fd).map_err(|e| self.failed("opening", at, e))
    }

    /// Makes a directory. `Ok(false)`: the name is taken.
    pub(super) fn make_dir(&mut self, at: Place<'_>) -> Result<bool> {
        let parent = self.fd(at.dir)?;
        match self.make_dir_in(&parent, at.name) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(self.failed("making the directory", at, errno)),
        }
    }

    /// Makes a directory that the umask does not close to us.
    pub(super) fn make_dir_in(&self, parent: &OwnedFd, name: &[u8]) -> rustix::io::Result<()> {
        mkdirat(parent, name, Mode::RWXU)?;
        if self.means.fix_dirs {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = openat(parent, name, flags, Mode::empty())?;
            super::node::chmod(&fd, 0o700)?;
        }
        Ok(())
    }

    /// Removes what is there and makes a directory.
    pub(super) fn replace_by_dir(&mut self, at: Place<'_>, attributes: Attributes) -> Result<DirId> {
        self.remove(at)?;
        if !self.make_dir(at)? {
            return Err(self.failed("making the directory", at, Errno::EXIST));
        }
        Ok(self.new_dir(at, attributes))
    }

    pub(super) fn new_dir(&mut self, at: Place<'_>, attributes: Attributes) -> DirId {
        self.implied += u64::from(matches!(attributes, Attributes::Implicit));
        let id = self.map.add(at.dir, at.name, attributes);
        self.map.touch(id);
        self.covered_by_dir(at, id);
        id
    }
}

/// What a name is that is not a known directory.
pub(crate) enum Look {
    /// A directory that was there before us, and is known now.
    Directory(DirId),
    Link(Vec<u8>),
    Other,
}
