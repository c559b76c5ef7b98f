use std::collections::HashMap;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

use super::layer::{check, refuse_whiteout};
use super::{LayerWriter, Owners, PackEvent, PackOptions, PackedLayer, xattrs};
use crate::framing::{Entry, EntryKind, Timestamp};
use crate::{Error, Result};

/// Packs what a folder holds into a layer, whose blob goes to `sink`.
///
/// Every file, directory, link, device and fifo becomes an entry, with mode, owner, time, hard links and the
/// extended attributes that belong to it (`user.*`, `security.capability`, access control lists). What a layer
/// cannot hold is told to the observer of [`pack_observed`]. The folder is read through descriptors and no link in
/// it is followed. Works as an ordinary user on whatever that user can read.
///
/// ```
/// use oci_unpack::pack::{PackOptions, pack};
///
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("hello"), "hello\n")?;
/// let (blob, layer) = pack(dir.path(), Vec::new(), &PackOptions::default())?;
/// println!("{} has {} entries in {} bytes", layer.digest, layer.entries, blob.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`] naming what cannot be read. [`Error::Entry`] for a file whose size changes while it is read, and for
/// names that a layer cannot hold: `.wh.` at the start, more than 4095 bytes. What writing can meet.
pub fn pack<W: Write>(dir: impl AsRef<Path>, sink: W, options: &PackOptions) -> Result<(W, PackedLayer)> {
    pack_observed(dir, sink, options, &mut |_| {})
}

/// Like [`pack`], and tells what the layer does not hold.
///
/// # Errors
/// As [`pack`].
pub fn pack_observed<W: Write>(
    dir: impl AsRef<Path>,
    sink: W,
    options: &PackOptions,
    observer: &mut dyn FnMut(PackEvent),
) -> Result<(W, PackedLayer)> {
    let dir = dir.as_ref();
    let mut walk = Walk {
        shown: dir,
        layer: LayerWriter::new(sink, options)?,
        options,
        observer,
        path: Vec::new(),
        links: HashMap::new(),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, dir, flags, Mode::empty()).map_err(|e| walk.failed("opening", e))?;
    if options.root_entry {
        walk.path.extend_from_slice(b"./");
        let stat = rustix::fs::fstat(&root).map_err(|e| walk.failed("reading", e))?;
        let xattrs = walk.xattrs(root.as_fd())?;
        let entry = Entry { xattrs, ..walk.entry(EntryKind::Directory, &stat)? };
        walk.layer.write_checked(&entry, io::empty())?;
        walk.path.clear();
    }
    walk.directory(&root)?;
    walk.layer.finish()
}

struct Walk<'a, W: Write> {
    /// The folder, for messages.
    shown: &'a Path,
    layer: LayerWriter<W>,
    options: &'a PackOptions,
    observer: &'a mut dyn FnMut(PackEvent),
    /// The name of what is being packed, below the folder.
    path: Vec<u8>,
    /// The first names of files with more than one, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
}

impl<W: Write> Walk<'_, W> {
    /// Packs what a directory holds.
    fn directory(&mut self, dir: &OwnedFd) -> Result<()> {
        let names = names(dir).map_err(|e| self.failed("listing", e))?;
        let base = self.path.len();
        for name in names {
            self.path.extend_from_slice(name.as_bytes());
            refuse_whiteout(name.as_bytes(), &self.path)?;
            self.node(dir.as_fd(), &name)?;
            self.path.truncate(base);
        }
        Ok(())
    }

    fn node(&mut self, dir: BorrowedFd<'_>, name: &CString) -> Result<()> {
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| self.failed("reading", e))?;
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return self.subdirectory(dir, name),
            FileType::RegularFile => EntryKind::Regular,
            FileType::Symlink => EntryKind::Symlink,
            FileType::CharacterDevice => EntryKind::CharDevice { major, minor },
            FileType::BlockDevice => EntryKind::BlockDevice { major, minor },
            FileType::Fifo => EntryKind::Fifo,
            FileType::Socket => {
                let path = self.path_buf();
                (self.observer)(PackEvent::SocketSkipped { path });
                return Ok(());
            }
            FileType::Unknown => return Err(Error::entry(&self.path, "a kind of file that is not known")),
        };
        if stat.st_nlink > 1
            && let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino))
        {
            let link = first.clone();
            let entry = Entry { link, ..self.entry(EntryKind::HardLink, &stat)? };
            check(&entry)?;
            return self.layer.write_checked(&entry, io::empty());
        }
        if stat.st_nlink > 1 {
            self.links.insert((stat.st_dev, stat.st_ino), self.path.clone());
        }
        if kind == EntryKind::Regular {
            return self.file(dir, name);
        }
        let mut entry = self.entry(kind, &stat)?;
        if kind == EntryKind::Symlink {
            let target =
                rustix::fs::readlinkat(dir, name, Vec::new()).map_err(|e| self.failed("reading", e))?;
            entry.link = target.into_bytes();
        }
        check(&entry)?;
        self.layer.write_checked(&entry, io::empty())
    }

    fn subdirectory(&mut self, dir: BorrowedFd<'_>, name: &CString) -> Result<()> {
        // Another process may have put a link here since: NOFOLLOW makes that an error.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let sub =
            rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(|e| self.failed("opening", e))?;
        let stat = rustix::fs::fstat(&sub).map_err(|e| self.failed("reading", e))?;
        self.path.push(b'/');
        let xattrs = self.xattrs(sub.as_fd())?;
        let entry = Entry { xattrs, ..self.entry(EntryKind::Directory, &stat)? };
        check(&entry)?;
        self.layer.write_checked(&entry, io::empty())?;
        self.directory(&sub)
    }

    fn file(&mut self, dir: BorrowedFd<'_>, name: &CString) -> Result<()> {
        // NONBLOCK: should a fifo stand here by now, opening it must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(|e| self.failed("opening", e))?;
        let stat = rustix::fs::fstat(&file).map_err(|e| self.failed("reading", e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::entry(&self.path, "was replaced by something else while it was packed"));
        }
        let xattrs = self.xattrs(file.as_fd())?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let entry = Entry { size, xattrs, ..self.entry(EntryKind::Regular, &stat)? };
        check(&entry)?;
        self.layer.write_checked(&entry, File::from(file))
    }

    /// What all kinds of entries have.
    fn entry(&self, kind: EntryKind, stat: &Stat) -> Result<Entry> {
        let owner = self.options.owners.of(stat.st_uid, stat.st_gid);
        let (uid, gid) = owner.map_err(|reason| Error::entry(&self.path, reason))?;
        let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
        let mtime = self.options.mtime(Timestamp { seconds: stat.st_mtime, nanos });
        Ok(Entry { mode: stat.st_mode & 0o7777, uid, gid, mtime, ..Entry::new(self.path.clone(), kind) })
    }

    fn xattrs(&mut self, file: BorrowedFd<'_>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let owners_kept = self.options.owners == Owners::Keep;
        let (path, observer) = (&self.path, &mut self.observer);
        let keep = |name: &[u8]| {
            let keep = xattrs::belongs(name, self.options.trusted_xattrs, owners_kept);
            if !keep {
                let name = String::from_utf8_lossy(name).into_owned();
                observer(PackEvent::XattrSkipped { path: OsStr::from_bytes(path).into(), name });
            }
            keep
        };
        xattrs::read(file, keep).map_err(|e| self.failed("reading extended attributes of", e))
    }

    fn path_buf(&self) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(&self.path))
    }

    fn failed(&self, doing: &str, errno: rustix::io::Errno) -> Error {
        // Joining nothing would add a slash.
        let below = self.path_buf();
        let path = if self.path.is_empty() { self.shown.to_path_buf() } else { self.shown.join(below) };
        Error::io(format!("{doing} {}", path.display()), errno)
    }
}

/// The names in a directory, sorted by bytes.
fn names(dir: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
