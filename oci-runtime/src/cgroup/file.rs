//! Control files, reached by descriptors only: a folder is opened once, files in it by `openat` without following
//! links, so that nobody who can rename cgroups can redirect a write.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags};

use crate::{Error, Result};

/// Control files are short; statistics of machines with many devices fit too.
const READ_CAP: u64 = 1 << 20;

pub(super) fn failed(action: impl Into<String>, path: &Path, source: impl Into<io::Error>) -> Error {
    Error::io(format!("{} {}", action.into(), path.display()), source)
}

/// Reads a file of `/proc` or a control file by its absolute path.
pub(super) fn read_path(path: &Path, cap: u64) -> Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(io::Error::from)
        .and_then(|file| read_all(file, cap))
        .map_err(|error| failed("read", path, error))
}

/// A cgroup's folder, open.
#[derive(Debug)]
pub(super) struct Folder<'a> {
    fd: OwnedFd,
    path: &'a Path,
}

impl<'a> Folder<'a> {
    /// Opens `path`; only its last component must not be a link (the ones before belong to the administrator).
    pub(super) fn open(path: &'a Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { fd: rustix::fs::open(path, flags, Mode::empty())?, path })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    pub(super) fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&self.fd, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    pub(super) fn open_for_writing(&self, name: &str) -> io::Result<OwnedFd> {
        check_name(name)?;
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.fd, name, flags, Mode::empty())?)
    }

    /// Writes `value` in one `write`, because each write to a control file is a command of its own.
    pub(super) fn write_raw(&self, name: &str, value: &str) -> io::Result<()> {
        let file = self.open_for_writing(name)?;
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, value.as_bytes()))?;
        if written == value.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    pub(super) fn write(&self, name: &str, value: &str) -> Result<()> {
        self.write_raw(name, value)
            .map_err(|error| failed(format!("write {value:?} to"), &self.path.join(name), error))
    }

    pub(super) fn read_raw(&self, name: &str) -> io::Result<String> {
        check_name(name)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        read_all(rustix::fs::openat(&self.fd, name, flags, Mode::empty())?, READ_CAP)
    }

    pub(super) fn read(&self, name: &str) -> Result<String> {
        self.read_raw(name).map_err(|error| failed("read", &self.path.join(name), error))
    }
}

/// Statistics are read tolerantly: a file that is missing or strange gives `None`.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The value of `key` in a "flat keyed" file: one `key value` a line.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| number(line.strip_prefix(key)?.strip_prefix(' ')?))
}

fn check_name(name: &str) -> io::Result<()> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(_)), None) => Ok(()),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn read_all(file: OwnedFd, cap: u64) -> io::Result<String> {
    // Room for a page: the kernel makes the text anew for every read, and small reads would be many.
    let mut bytes = Vec::with_capacity(4096);
    File::from(file).take(cap).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_file_and_the_value() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pids.max"), "max\n").unwrap();
        let open = Folder::open(folder.path()).unwrap();
        open.write("pids.max", "64").unwrap();
        // A plain file keeps its tail: the write neither truncates nor appends, as with a control file.
        assert_eq!(open.read("pids.max").unwrap(), "64x\n");
        let error = open.write("memory.max", "1").unwrap_err().to_string();
        assert!(error.contains("memory.max") && error.contains("\"1\""), "{error}");
        for outside in ["../x", "a/b", "", ".", "/etc/passwd"] {
            assert!(open.read_raw(outside).is_err(), "{outside}");
            assert!(open.write_raw(outside, "1").is_err(), "{outside}");
        }
    }

    #[test]
    fn keyed_files() {
        let text = "usage_usec 12\nuser_usec 7\nusage 3\n";
        assert_eq!(keyed(text, "usage_usec"), Some(12));
        assert_eq!(keyed(text, "usage"), Some(3));
        assert_eq!(keyed(text, "system_usec"), None);
        assert_eq!(number("max\n"), None);
    }
}
