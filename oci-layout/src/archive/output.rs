use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, Mode, OFlags};

use crate::root::{create_temporary, open_parent};
use crate::{Error, Result};

/// A tar archive on its way out: members one after the other, with nothing of the machine or the moment in them.
pub(super) struct Output {
    to: Box<dyn Write + Send>,
    path: PathBuf,
    /// What makes a finished file the archive. None for a stream.
    file: Option<Unfinished>,
    /// Whether the writing failed in the middle of a member.
    is_broken: bool,
}

struct Unfinished {
    folder: std::os::fd::OwnedFd,
    temporary: String,
    file: File,
    name: std::ffi::OsString,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Output {
    pub(super) fn stream(to: impl Write + Send + 'static) -> Self {
        Self { to: Box::new(to), path: PathBuf::from("archive"), file: None, is_broken: false }
    }

    /// A file that has its name only when it is finished; what had the name before stays until then.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let (folder, name) = open_parent(path)?;
        let (file, temporary) = create_temporary(std::os::fd::AsFd::as_fd(&folder), 0o666, path)?;
        let to = Box::new(io::BufWriter::new(file.try_clone().map_err(Error::io("open", path))?));
        Ok(Self {
            to,
            path: path.to_owned(),
            file: Some(Unfinished { folder, temporary, file, name }),
            is_broken: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a plain file. The reader gives exactly `size` bytes.
    pub(super) fn append(&mut self, name: &str, size: u64, reader: &mut dyn Read) -> Result<()> {
        let appended = self.append_whole(name, size, reader);
        // What is half written cannot be taken back, and nothing can come after it.
        self.is_broken |= appended.is_err();
        appended
    }

    fn append_whole(&mut self, name: &str, size: u64, reader: &mut dyn Read) -> Result<()> {
        let mut header = match header(name, tar::EntryType::Regular, self.failed()) {
            Ok(header) => header,
            // The digits of sha512 are more than a header holds.
            Err(_) => {
                self.write_long_name(name)?;
                let short: String = name.chars().take(99).collect();
                header(&short, tar::EntryType::Regular, self.failed())?
            }
        };
        header.set_size(size);
        header.set_cksum();
        self.write(header.as_bytes())?;
        let written = self.copy(&mut reader.take(size))?;
        if written != size {
            return Err(self.failed()(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{name} has {written} bytes instead of {size}"),
            )));
        }
        self.pad(size)
    }

    /// GNU tar's way of a long name: a member before the member.
    fn write_long_name(&mut self, name: &str) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_path("././@LongLink").map_err(self.failed())?;
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let bytes = [name.as_bytes(), b"\0"].concat();
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        self.write(header.as_bytes())?;
        self.write(&bytes)?;
        self.pad(bytes.len() as u64)
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let padding = (512 - size % 512) % 512;
        self.write(&vec![0; usize::try_from(padding).unwrap_or(0)])
    }

    pub(super) fn append_bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.append(name, bytes.len() as u64, &mut &*bytes)
    }

    /// Appends a symbolic link.
    pub(super) fn append_link(&mut self, name: &str, target: &str) -> Result<()> {
        let mut header = header(name, tar::EntryType::Symlink, self.failed())?;
        header.set_size(0);
        header.set_link_name(target).map_err(self.failed())?;
        header.set_cksum();
        self.write(header.as_bytes())
    }

    /// Appends a folder.
    pub(super) fn append_folder(&mut self, name: &str) -> Result<()> {
        let mut header = header(&format!("{name}/"), tar::EntryType::Directory, self.failed())?;
        header.set_mode(0o755);
        header.set_size(0);
        header.set_cksum();
        self.write(header.as_bytes())
    }

    /// Ends the archive, and gives its file the name.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.write(&[0; 1024])?;
        self.to.flush().map_err(self.failed())?;
        let Some(unfinished) = &self.file else { return Ok(()) };
        unfinished.file.sync_all().map_err(Error::io("sync", &self.path))?;
        let Unfinished { folder, temporary, name, .. } = unfinished;
        fs::renameat(folder, &**temporary, folder, &**name).map_err(Error::io("replace", &self.path))?;
        fs::fsync(folder).map_err(Error::io("sync", &self.path))?;
        self.file = None;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.is_broken {
            let reason = "the writing of this archive failed before";
            return Err(self.failed()(io::Error::other(reason)));
        }
        self.to.write_all(bytes).map_err(Error::io("write", &self.path))
    }

    fn copy(&mut self, reader: &mut dyn Read) -> Result<u64> {
        let mut buffer = vec![0; 256 << 10];
        let mut written = 0;
        loop {
            let n = match reader.read(&mut buffer) {
                Ok(0) => return Ok(written),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Error::io("read what goes into", &self.path)(e)),
            };
            self.write(buffer.get(..n).unwrap_or_default())?;
            written += n as u64;
        }
    }

    fn failed(&self) -> impl Fn(io::Error) -> Error + use<> {
        let path = self.path.clone();
        move |source| Error::Io { action: "write", path: path.clone(), source }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(Unfinished { folder, temporary, .. }) = &self.file {
            let _ = fs::unlinkat(folder, &**temporary, AtFlags::empty());
        }
    }
}

fn header(name: &str, kind: tar::EntryType, failed: impl Fn(io::Error) -> Error) -> Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).map_err(failed)?;
    header.set_entry_type(kind);
    header.set_mode(0o444);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    Ok(header)
}

/// Opens a file again that nothing else may have changed: by its own descriptor.
pub(super) fn reopen(path: &Path) -> rustix::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    fs::open(path, flags, Mode::empty()).map(File::from)
}
