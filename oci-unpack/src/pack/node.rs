//! Reading a node of a tree: what there is, and what a layer says of it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, chmod, fchmod, fstat, llistxattr_query, openat,
    readlinkat, statat,
};
use rustix::io::Errno;

use super::{PackOptions, xattrs};
use crate::framing::{Entry, EntryKind, Timestamp};
use crate::{Error, Result};

/// Everything about a node but its name and its content, as it is on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Never [`EntryKind::HardLink`].
    pub(crate) kind: EntryKind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Timestamp,
    /// The size of a regular file, else 0.
    pub(crate) size: u64,
    /// The target of a symbolic link, else empty.
    pub(crate) link: Vec<u8>,
    /// Sorted by name. Those of links, devices and pipes are not read.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) identity: Identity,
    /// Whether a node that is no directory has more than one name, here or elsewhere.
    pub(crate) linked: bool,
}

/// What tells that a node is still the same one and was not written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) ctime: Timestamp,
}

impl Identity {
    /// What all names of a node have in common.
    pub(crate) fn inode(self) -> (u64, u64) {
        (self.dev, self.ino)
    }
}

impl Node {
    /// What `stat` tells: without target and attributes. `None` for sockets.
    ///
    /// # Errors
    /// In words, for a kind that is not known.
    pub(crate) fn of_stat(stat: &Stat) -> Result<Option<Self>, &'static str> {
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => EntryKind::Directory,
            FileType::RegularFile => EntryKind::Regular,
            FileType::Symlink => EntryKind::Symlink,
            FileType::CharacterDevice => EntryKind::CharDevice { major, minor },
            FileType::BlockDevice => EntryKind::BlockDevice { major, minor },
            FileType::Fifo => EntryKind::Fifo,
            FileType::Socket => return Ok(None),
            FileType::Unknown => return Err("a kind of file that is not known"),
        };
        let size = if kind == EntryKind::Regular { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 };
        Ok(Some(Self {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            size,
            link: Vec::new(),
            xattrs: Vec::new(),
            identity: Identity {
                dev: stat.st_dev,
                ino: stat.st_ino,
                ctime: time(stat.st_ctime, stat.st_ctime_nsec),
            },
            linked: kind != EntryKind::Directory && stat.st_nlink > 1,
        }))
    }

    /// The entry that a layer has for it, and the names of the attributes that it has not.
    ///
    /// # Errors
    /// [`Error::Entry`] for an owner that is not mapped.
    pub(crate) fn entry(&self, path: &[u8], options: &PackOptions) -> Result<(Entry, Vec<Vec<u8>>)> {
        let owner = options.owners.of(self.uid, self.gid);
        let (uid, gid) = owner.map_err(|reason| Error::entry(path, reason))?;
        let owners_kept = options.owners.keeps_ids();
        let (kept, skipped): (Vec<_>, Vec<_>) = self
            .xattrs
            .iter()
            .cloned()
            .partition(|(name, _)| xattrs::belongs(name, options.trusted_xattrs, owners_kept));
        let entry = Entry {
            mode: self.mode,
            uid,
            gid,
            mtime: options.mtime(self.mtime),
            size: self.size,
            link: self.link.clone(),
            xattrs: kept,
            ..Entry::new(path.to_vec(), self.kind)
        };
        Ok((entry, skipped.into_iter().map(|(name, _)| name).collect()))
    }

    /// Whether a layer would say the same of another node, content apart.
    pub(crate) fn says_the_same(&self, other: &Self, options: &PackOptions) -> bool {
        let owner = |node: &Self| options.owners.of(node.uid, node.gid);
        let kept = |node: &Self| -> Vec<(Vec<u8>, Vec<u8>)> {
            let owners_kept = options.owners.keeps_ids();
            let belongs = |name: &[u8]| xattrs::belongs(name, options.trusted_xattrs, owners_kept);
            node.xattrs.iter().filter(|(name, _)| belongs(name)).cloned().collect()
        };
        (self.kind, self.mode, self.size, &self.link) == (other.kind, other.mode, other.size, &other.link)
            && same_time(self.mtime, other.mtime, options.nanoseconds)
            && ((self.uid, self.gid) == (other.uid, other.gid) || owner(self) == owner(other))
            && (self.xattrs == other.xattrs || kept(self) == kept(other))
    }
}

/// Copies of a tree often have whole seconds only; so has a layer, unless fractions are asked for.
fn same_time(a: Timestamp, b: Timestamp, nanoseconds: bool) -> bool {
    a == b || !nanoseconds && a.seconds == b.seconds && (a.nanos == 0 || b.nanos == 0)
}

fn time(seconds: i64, nanos: impl TryInto<u32>) -> Timestamp {
    Timestamp { seconds, nanos: nanos.try_into().unwrap_or(0) }
}

/// A directory that is open for reading. One that its owner may not read is made readable for as long.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    /// The mode to give back.
    had: Option<u32>,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Folder {
    /// Opens a folder by its path, as the caller gave it: links are followed.
    pub(crate) fn open(path: &Path) -> rustix::io::Result<Self> {
        let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
        Self::open_with(CWD, &path, DIRECTORY)
    }

    /// Opens an open directory once more, for reading.
    pub(crate) fn again(dir: &OwnedFd) -> rustix::io::Result<Self> {
        Self::open_with(dir.as_fd(), c".", DIRECTORY)
    }

    /// Opens a directory in another. Another process may have put a link there since: that is an error.
    pub(crate) fn open_at(dir: impl AsFd, name: &CStr) -> rustix::io::Result<Self> {
        Self::open_with(dir.as_fd(), name, DIRECTORY | OFlags::NOFOLLOW)
    }

    fn open_with(dir: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> rustix::io::Result<Self> {
        match openat(dir, name, flags, Mode::empty()) {
            // Readable, but can its names be looked up?
            Ok(fd) => match statat(&fd, "..", AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::ACCESS) => Self::unlocked(dir, name, flags),
                _ => Ok(Self { fd, had: None }),
            },
            Err(Errno::ACCESS) => Self::unlocked(dir, name, flags),
            Err(errno) => Err(errno),
        }
    }

    fn unlocked(dir: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> rustix::io::Result<Self> {
        let (fd, had) = unlock(dir, name, flags)?;
        Ok(Self { fd, had: Some(had) })
    }

    /// The directory itself, with its attributes.
    pub(crate) fn node(&self) -> rustix::io::Result<Node> {
        let mut stat = fstat(&self.fd)?;
        if let Some(had) = self.had {
            stat.st_mode = stat.st_mode & !0o7777 | had;
        }
        let node = Node::of_stat(&stat).ok().flatten().ok_or(Errno::NOTDIR)?;
        Ok(Node { xattrs: xattrs::read(&self.fd)?, ..node })
    }

    /// The names in it, sorted by bytes.
    pub(crate) fn names(&self) -> rustix::io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// What `stat` tells of a name in it, and the target of a link; no attributes. `None` for a socket.
    pub(crate) fn look(&self, name: &CStr) -> std::io::Result<Option<Node>> {
        let stat = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let Some(mut node) = Node::of_stat(&stat).map_err(std::io::Error::other)? else { return Ok(None) };
        if node.kind == EntryKind::Symlink {
            node.link = readlinkat(&self.fd, name, Vec::new())?.into_bytes();
        }
        Ok(Some(node))
    }

    /// Whether a name in it may have attributes, as far as can be told without opening it.
    pub(crate) fn has_xattrs(&self, name: &CStr) -> bool {
        // There is no listxattrat before 6.13. The magic link names this very directory, the last component is not
        // followed.
        let mut path = format!("/proc/self/fd/{}/", self.fd.as_raw_fd()).into_bytes();
        path.extend_from_slice(name.to_bytes());
        !matches!(llistxattr_query(path.as_slice()), Ok(0) | Err(Errno::NOTSUP))
    }

    /// Opens a regular file in it, and tells what is open, with its attributes.
    pub(crate) fn file(&self, name: &CStr) -> rustix::io::Result<(OwnedFd, Node)> {
        // NONBLOCK: should a fifo stand here by now, opening it must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let (file, had) = match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(file) => (file, None),
            Err(Errno::ACCESS) => unlock(self.fd.as_fd(), name, flags).map(|(fd, had)| (fd, Some(had)))?,
            Err(errno) => return Err(errno),
        };
        let xattrs = xattrs::read(&file);
        if let Some(had) = had {
            // What is open stays readable.
            fchmod(&file, Mode::from_raw_mode(had))?;
        }
        let node = Node::of_stat(&fstat(&file)?).ok().flatten();
        match node.filter(|node| node.kind == EntryKind::Regular) {
            Some(node) => Ok((file, Node { xattrs: xattrs?, ..node })),
            // Replaced by something else meanwhile.
            None => Err(Errno::STALE),
        }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(had) = self.had {
            // It could be changed a moment ago; there is nobody to tell.
            let _ = fchmod(&self.fd, Mode::from_raw_mode(had));
        }
    }
}

/// Images have files of mode 0000 and directories of mode 0311: without privileges not even their owner may read
/// those, but he may give himself the right. Returns the mode to give back.
fn unlock(dir: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> rustix::io::Result<(OwnedFd, u32)> {
    let path_flags = (flags & OFlags::NOFOLLOW) | OFlags::PATH | OFlags::CLOEXEC;
    let path = openat(dir, name, path_flags, Mode::empty())?;
    let stat = fstat(&path)?;
    let ours = stat.st_uid == rustix::process::geteuid().as_raw();
    let kind = FileType::from_raw_mode(stat.st_mode);
    if !ours || !matches!(kind, FileType::RegularFile | FileType::Directory) {
        return Err(Errno::ACCESS);
    }
    // fchmod refuses O_PATH descriptors; the magic link names the very node.
    let link = format!("/proc/self/fd/{}", path.as_raw_fd());
    let had = stat.st_mode & 0o7777;
    chmod(&link, Mode::from_raw_mode(had | 0o700))?;
    match openat(CWD, &link, flags.difference(OFlags::NOFOLLOW), Mode::empty()) {
        Ok(fd) => Ok((fd, had)),
        Err(errno) => {
            chmod(&link, Mode::from_raw_mode(had))?;
            Err(errno)
        }
    }
}
