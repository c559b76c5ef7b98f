use std::fs::File;
use std::io;
use std::path::Path;

use oci_digest::{Descriptor, VerifyReader};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};

use super::BlobName;
use super::staging::Staging;
use crate::lock::Lock;
use crate::{Error, ImageLayout, Result, SyncPolicy};

impl ImageLayout {
    /// Takes a blob from a file without copying its bytes: as a reflink, where the file system has them, or, when
    /// [`hard_links`](crate::LayoutOptions::hard_links) allows it, as a hard link.
    ///
    /// `Ok(false)`: it cannot be shared, send the bytes. Nothing is taken on trust: what was shared is read and
    /// hashed before it becomes a blob. A reflink is our own copy by then, which nobody else can change. A hard
    /// link stays the same file as the original, so who may write that can change the blob afterwards.
    ///
    /// # Errors
    /// A file that has another size or digest than the descriptor, and what writing can meet.
    pub fn adopt_file(&self, descriptor: &Descriptor, path: &Path) -> Result<bool> {
        let name = BlobName::of(descriptor.digest())?;
        if self.present(&name, descriptor.size())? {
            return Ok(true);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // A file that we cannot reach is no error: its bytes may come another way.
        let Ok(original) = fs::open(path, flags, Mode::empty()) else { return Ok(false) };
        let stat = fs::fstat(&original).map_err(Error::io("inspect", path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(false);
        }
        if u64::try_from(stat.st_size) != Ok(descriptor.size()) {
            return Err(super::read::size_mismatch(descriptor, u64::try_from(stat.st_size).unwrap_or(0)));
        }
        let staging = Staging::new(self)?;
        if fs::ioctl_ficlone(&staging.file, &original).is_ok() {
            verify(&staging.file, descriptor)?;
            staging.commit(self, &name, descriptor.size())?;
            return Ok(true);
        }
        if !self.options.hard_links {
            return Ok(false);
        }
        let original = File::from(original);
        verify(&original, descriptor)?;
        self.link(&original, &name, descriptor.size())
    }

    /// Gives a verified file of somebody else a second name here. `Ok(false)`: another file system, or not allowed.
    fn link(&self, original: &File, name: &BlobName<'_>, size: u64) -> Result<bool> {
        use std::os::fd::AsRawFd;

        let path = name.path(&self.root);
        let folder = self.root.make_folder(&name.folder())?;
        if self.options.sync.syncs_each() {
            original.sync_all().map_err(Error::io("sync", &path))?;
        }
        // Through the descriptor: the file that was verified, whatever has its path by now.
        let descriptor = format!("/proc/self/fd/{}", original.as_raw_fd());
        let _lock = Lock::shared(&self.root)?;
        if !self.options.sync.syncs_each() {
            self.mark_unsynced()?;
        }
        let linked =
            fs::linkat(fs::CWD, &*descriptor, &folder, name.encoded, AtFlags::SYMLINK_FOLLOW).is_ok();
        if linked && self.options.sync == SyncPolicy::Full {
            fs::fsync(&folder).map_err(Error::io("sync", &path))?;
        }
        Ok(linked && self.touch(name, size)?)
    }
}

fn verify(file: &File, descriptor: &Descriptor) -> Result<()> {
    let context = || format!("reading {}", descriptor.digest());
    let mut reader = VerifyReader::of(file, descriptor)?;
    let mut buffer = vec![0; super::ingest::BUFFER];
    loop {
        match io::Read::read(&mut reader, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(oci_digest::Error::io(context(), e).into()),
        }
    }
}
