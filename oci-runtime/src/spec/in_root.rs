//! Reading files of an image without leaving its root: links are resolved as they would be inside, and nothing but a
//! plain file is ever opened.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::{Error, Result};

/// User databases are read whole; one of 16 MiB has a hundred thousand users.
const CAP: u64 = 16 << 20;
/// How often a lookup is repeated that a rename in the tree has disturbed.
const ATTEMPTS: u32 = 32;

/// The contents of the plain file `path` in `rootfs`, or `None` when there is none.
///
/// # Errors
/// [`Error::Io`] when it is something else than a plain file, is larger than 16 MiB, or cannot be read.
pub(super) fn read(rootfs: &Path, path: &str) -> Result<Option<Vec<u8>>> {
    let failed =
        |error: io::Error| Error::io(format!("read {path} in image root {}", rootfs.display()), error);
    let root = match open_root(rootfs) {
        Ok(root) => root,
        Err(error) => return Err(Error::io(format!("open image root {}", rootfs.display()), error)),
    };
    // First a descriptor that opens nothing: opening a device or a FIFO of the image could hang or do harm.
    let Some((_, found)) = look(&root, path, OFlags::PATH).map_err(failed)? else { return Ok(None) };
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file")));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Some((file, again)) = look(&root, path, flags).map_err(failed)? else { return Ok(None) };
    if (again.st_dev, again.st_ino) != (found.st_dev, found.st_ino) {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "changed while it was opened")));
    }
    let mut bytes = Vec::new();
    File::from(file).take(CAP + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > CAP {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB")));
    }
    Ok(Some(bytes))
}

/// What is at `path`, links followed inside the root; `None` when there is nothing.
pub(super) fn stat(rootfs: &Path, path: &Path) -> Result<Option<Stat>> {
    open_root(rootfs)
        .and_then(|root| look(&root, path, OFlags::PATH))
        .map(|found| found.map(|(_, stat)| stat))
        .map_err(|error| {
            Error::io(format!("look up {} in image root {}", path.display(), rootfs.display()), error)
        })
}

fn open_root(rootfs: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(rootfs, flags, Mode::empty())?)
}

fn look(
    root: impl AsFd,
    path: impl rustix::path::Arg + Copy,
    flags: OFlags,
) -> io::Result<Option<(OwnedFd, Stat)>> {
    // Linux 5.6. Absolute links and `..` stop at the root; links of /proc are not followed at all.
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let mut attempt = 0;
    let file = loop {
        attempt += 1;
        match rustix::fs::openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Ok(file) => break file,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(Errno::AGAIN | Errno::INTR) if attempt < ATTEMPTS => {}
            Err(error) => return Err(error.into()),
        }
    };
    let stat = rustix::fs::fstat(&file)?;
    Ok(Some((file, stat)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn never_leaves_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        std::fs::write(&outside, "secret").unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(root.join("etc/inside"), "inside").unwrap();
        symlink(&outside, root.join("etc/absolute")).unwrap();
        symlink("../../../../../../../../etc/passwd", root.join("etc/relative")).unwrap();
        symlink("/etc/inside", root.join("etc/own")).unwrap();
        symlink("loop", root.join("etc/loop")).unwrap();
        assert_eq!(read(&root, "etc/absolute").unwrap(), None);
        assert_eq!(read(&root, "etc/relative").unwrap(), None);
        assert_eq!(read(&root, "etc/missing").unwrap(), None);
        assert_eq!(read(&root, "etc/inside/below").unwrap(), None);
        assert_eq!(read(&root, "etc/own").unwrap(), Some(b"inside".to_vec()));
        assert!(read(&root, "etc/loop").is_err());
        assert!(read(&root.join("missing"), "etc/own").is_err());
    }

    #[test]
    fn opens_plain_files_of_bounded_size_only() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(read(folder.path(), "fifo").unwrap_err().to_string().contains("fifo"));
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(read(folder.path(), "folder").is_err());
        let large = File::create(folder.path().join("large")).unwrap();
        large.set_len(CAP).unwrap();
        assert_eq!(read(folder.path(), "large").unwrap().unwrap().len() as u64, CAP);
        large.set_len(CAP + 1).unwrap();
        assert!(read(folder.path(), "large").is_err());
    }
}
