//! The layout's folder: every file of it is reached from one descriptor, component by component, and no symbolic
//! link below it is followed, so that a hostile layout cannot make us read or write elsewhere.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::layout::BLOBS;
use crate::{Error, Result};

/// Our own folder inside the layout: the lock, temporary and partial files. Other tools leave it alone.
pub(crate) const WORK: &str = ".oci-layout";

#[derive(Debug)]
pub(crate) struct Root {
    fd: OwnedFd,
    path: PathBuf,
    /// Where the blobs are, when that is not in this folder.
    shared: Option<Box<Self>>,
}

impl Root {
    /// Opens the layout's folder; the path itself may be or hold symbolic links, it is the caller's.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        // Absolute, so that paths handed out stay true when the process changes its directory.
        let path = std::path::absolute(path).map_err(Error::io("resolve", path))?;
        match fs::open(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path, shared: None }),
            Err(Errno::NOTDIR) => Err(Error::NotALayout { path, reason: "not a folder".to_owned() }),
            Err(Errno::NOENT) => Err(Error::NotALayout { path, reason: "no such folder".to_owned() }),
            Err(errno) => Err(Error::io("open", &path)(errno)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the blobs from another folder, which has the algorithms' folders in it.
    pub(crate) fn share(&mut self, blobs: &Path) -> Result<()> {
        self.shared = Some(Box::new(Self::open(blobs)?));
        Ok(())
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// The folder in whose work folder blobs are staged: a file gets a name in its own file system only.
    pub(crate) fn staging(&self) -> &Self {
        self.shared.as_deref().unwrap_or(self)
    }

    /// Where the algorithms' folders are.
    pub(crate) fn blobs_path(&self) -> PathBuf {
        self.shared.as_ref().map_or_else(|| self.path.join(BLOBS), |shared| shared.path.clone())
    }

    /// The folder that the names of blobs are looked up in, and the rest of the names.
    fn start<'n>(&self, names: &'n [&'n str]) -> (&Self, &'n [&'n str]) {
        match (&self.shared, names) {
            (Some(shared), [BLOBS, rest @ ..]) => (shared, rest),
            _ => (self, names),
        }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// A folder below the root, `None` when it is not there.
    pub(crate) fn folder(&self, names: &[&str]) -> Result<Option<OwnedFd>> {
        let (start, names) = self.start(names);
        let mut path = start.path.clone();
        let mut folder: Option<OwnedFd> = None;
        if names.is_empty() {
            return start.fd.try_clone().map(Some).map_err(Error::io("open", &path));
        }
        for name in names {
            path.push(name);
            let parent = folder.as_ref().map_or(start.fd.as_fd(), AsFd::as_fd);
            folder = Some(match open_folder(parent, name) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(not_a_folder(errno, &path)),
            });
        }
        Ok(folder)
    }

    /// A folder below the root, created when it is not there.
    pub(crate) fn make_folder(&self, names: &[&str]) -> Result<OwnedFd> {
        let (start, names) = self.start(names);
        let mut path = start.path.clone();
        let mut folder: Option<OwnedFd> = None;
        for name in names {
            path.push(name);
            let parent = folder.as_ref().map_or(start.fd.as_fd(), AsFd::as_fd);
            let opened = match open_folder(parent, name) {
                Err(Errno::NOENT) => match fs::mkdirat(parent, *name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => open_folder(parent, name),
                    Err(errno) => return Err(Error::io("create", &path)(errno)),
                },
                other => other,
            };
            folder = Some(opened.map_err(|errno| not_a_folder(errno, &path))?);
        }
        folder.map_or_else(|| start.fd.try_clone().map_err(Error::io("open", &start.path)), Ok)
    }

    /// Opens a plain file in a folder of this layout for reading, with its size. `None` when it is not there.
    pub(crate) fn file(
        &self,
        folder: BorrowedFd<'_>,
        name: &str,
        path: &Path,
    ) -> Result<Option<(File, u64)>> {
        // O_NONBLOCK: opening a FIFO that somebody left there must not hang.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match fs::openat(folder, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => {
                return Err(Error::Refused { path: path.to_owned(), reason: "it is a symbolic link" });
            }
            Err(Errno::NXIO) => {
                return Err(Error::Refused { path: path.to_owned(), reason: "it is not a plain file" });
            }
            Err(errno) => return Err(Error::io("open", path)(errno)),
        };
        let stat = fs::fstat(&fd).map_err(Error::io("inspect", path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::Refused { path: path.to_owned(), reason: "it is not a plain file" });
        }
        Ok(Some((File::from(fd), u64::try_from(stat.st_size).unwrap_or(0))))
    }

    /// Reads a plain file of the root whole, refusing above `limit` bytes before anything is read.
    pub(crate) fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let path = self.path.join(name);
        let Some((file, size)) = self.file(self.as_fd(), name, &path)? else { return Ok(None) };
        let too_large = || Error::Limit { path: path.clone(), limit: "bytes", maximum: limit };
        if size > limit {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        // The file may grow while it is read, so the limit holds for the reading, too.
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
        if bytes.len() as u64 > limit {
            return Err(too_large());
        }
        Ok(Some(bytes))
    }

    /// Writes a file of the root under a temporary name and, when `last_look` agrees, renames it into place.
    pub(crate) fn replace(
        &self,
        name: &str,
        bytes: &[u8],
        sync: bool,
        last_look: impl FnOnce() -> Result<bool>,
    ) -> Result<bool> {
        let path = self.path.join(name);
        let work = self.make_folder(&[WORK])?;
        let (mut file, temporary) = create_temporary(work.as_fd(), 0o666, &self.path.join(WORK))?;
        let replaced = (|| {
            file.write_all(bytes).map_err(Error::io("write", &path))?;
            if sync {
                file.sync_all().map_err(Error::io("sync", &path))?;
            }
            if !last_look()? {
                return Ok(false);
            }
            fs::renameat(&work, &*temporary, &self.fd, name).map_err(Error::io("replace", &path))?;
            Ok(true)
        })();
        if !matches!(replaced, Ok(true)) {
            let _ = fs::unlinkat(&work, &*temporary, AtFlags::empty());
        } else if sync {
            fs::fsync(&self.fd).map_err(Error::io("sync", &self.path))?;
        }
        replaced
    }
}

/// Opens the folder of a file that may not be there yet; the file's name in it.
pub(crate) fn open_parent(path: &Path) -> Result<(OwnedFd, std::ffi::OsString)> {
    let Some(name) = path.file_name() else {
        return Err(Error::io("create", path)(std::io::Error::from(std::io::ErrorKind::InvalidInput)));
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = fs::open(parent, flags, Mode::empty()).map_err(Error::io("open", parent))?;
    Ok((folder, name.to_owned()))
}

/// Creates a file of a name that nobody has.
pub(crate) fn create_temporary(folder: BorrowedFd<'_>, mode: u32, path: &Path) -> Result<(File, String)> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let name = temporary_name();
        match fs::openat(folder, &*name, flags, Mode::from_raw_mode(mode)) {
            Ok(fd) => return Ok((File::from(fd), name)),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::io("create a file in", path)(errno)),
        }
    }
}

/// A name that is unlikely to be taken; who creates it uses O_EXCL.
pub(crate) fn temporary_name() -> String {
    // Every RandomState has keys of its own.
    format!("tmp-{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// Whether a name is one that [`temporary_name`] gives.
pub(crate) fn is_temporary_name(name: &str) -> bool {
    let digits = name.strip_prefix("tmp-").unwrap_or_default();
    digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn open_folder(parent: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(parent, name, flags, Mode::empty())
}

fn not_a_folder(errno: Errno, path: &Path) -> Error {
    match errno {
        // With O_DIRECTORY|O_NOFOLLOW a symbolic link gives ENOTDIR.
        Errno::NOTDIR | Errno::LOOP => {
            Error::Refused { path: path.to_owned(), reason: "it is a symbolic link or not a folder" }
        }
        errno => Error::io("open", path)(errno),
    }
}
