//! The folder beside the destination in which a tree is made, and which becomes the destination at the end.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, mkdirat, open, openat, renameat, statat};
use rustix::io::Errno;

use crate::tree::{for_each_name, remove_dir};
use crate::{Error, Result};

/// Removed when dropped, unless committed.
#[derive(Debug)]
pub(crate) struct Staging {
    /// As it was given, for messages.
    destination: PathBuf,
    parent: OwnedFd,
    name: Vec<u8>,
    temporary: Vec<u8>,
    committed: bool,
}

impl Staging {
    /// Looks at the destination, which must be absent or an empty directory, and makes an empty folder beside it.
    pub(crate) fn create(destination: &Path) -> Result<(Self, OwnedFd)> {
        let refuse = |reason: &str| Error::Destination { path: destination.into(), reason: reason.into() };
        let io = |doing: &str, e: Errno| Error::io(format!("{doing} {}", destination.display()), e);
        // A link to an empty directory is a name for it: what it names is replaced, not the link.
        let real = match std::fs::canonicalize(destination) {
            Ok(real) => real,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => destination.to_path_buf(),
            Err(e) => return Err(Error::io(format!("looking at {}", destination.display()), e)),
        };
        let Some(name) = real.file_name() else { return Err(refuse("it has no name of its own")) };
        let directory = match real.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = open(directory, flags, Mode::empty()).map_err(|e| io("opening the folder of", e))?;
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let around = rustix::fs::fstat(&parent).map_err(|e| io("looking at the folder of", e))?;
                check_replaceable(&parent, name.as_bytes(), &stat, &around).map_err(|e| match e {
                    Unfit::Because(reason) => refuse(reason),
                    Unfit::Unknown(errno) => io("looking at", errno),
                })?;
            }
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(io("looking at", errno)),
        }
        let temporary = make(&parent, name.as_bytes()).map_err(|e| io("making a folder beside", e))?;
        let name = name.as_bytes().to_vec();
        let staging = Self { destination: destination.into(), parent, name, temporary, committed: false };
        let flags = flags | OFlags::NOFOLLOW;
        let root = openat(&staging.parent, staging.temporary.as_slice(), flags, Mode::empty())
            .or_else(|e| staging.open_under_umask(e, flags))
            .map_err(|e| io("opening the folder beside", e))?;
        Ok((staging, root))
    }

    /// Gives the folder its final name.
    pub(crate) fn commit(mut self) -> Result<()> {
        renameat(&self.parent, self.temporary.as_slice(), &self.parent, self.name.as_slice()).map_err(
            |e| match e {
                Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR => Error::Destination {
                    path: self.destination.clone(),
                    reason: "somebody put something there meanwhile".into(),
                },
                errno => Error::io(format!("renaming to {}", self.destination.display()), errno),
            },
        )?;
        self.committed = true;
        Ok(())
    }

    /// A umask that takes even our own bits.
    fn open_under_umask(&self, errno: Errno, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        if errno != Errno::ACCESS {
            return Err(errno);
        }
        let path = flags.difference(OFlags::RDONLY) | OFlags::PATH;
        let fd = openat(&self.parent, self.temporary.as_slice(), path, Mode::empty())?;
        crate::tree::open_any_mode(&fd)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.committed {
            // An error is being returned already, or a panic is under way; there is nobody to tell.
            let _ = remove_dir(self.parent.as_fd(), &self.temporary);
        }
    }
}

enum Unfit {
    Because(&'static str),
    Unknown(Errno),
}

fn check_replaceable(parent: &OwnedFd, name: &[u8], stat: &Stat, around: &Stat) -> Result<(), Unfit> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(Unfit::Because("it exists and is not a directory"));
    }
    if stat.st_dev != around.st_dev {
        return Err(Unfit::Because("it is a mount point, which a finished tree cannot replace"));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(parent, name, flags, Mode::empty()).map_err(Unfit::Unknown)?;
    let mut empty = true;
    for_each_name(&directory, &mut Vec::with_capacity(4096), |_| {
        empty = false;
        Ok(())
    })
    .map_err(Unfit::Unknown)?;
    if empty { Ok(()) } else { Err(Unfit::Because("it is not empty")) }
}

fn make(parent: &OwnedFd, name: &[u8]) -> rustix::io::Result<Vec<u8>> {
    loop {
        // Names longer than 255 bytes do not exist, and the suffix needs room.
        let mut temporary = name.get(..name.len().min(220)).unwrap_or_default().to_vec();
        temporary.extend_from_slice(format!(".tmp-{:016x}", random()).as_bytes());
        match mkdirat(parent, temporary.as_slice(), Mode::RWXU) {
            Ok(()) => return Ok(temporary),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// The standard library seeds every hash state anew from the system's randomness.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
