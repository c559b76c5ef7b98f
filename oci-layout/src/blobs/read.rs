use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Take};
use std::os::fd::AsFd;
use std::path::PathBuf;

use oci_digest::{Descriptor, Digest, VerifyReader};
use rustix::fs::{self, AtFlags, FileType};

use super::BlobName;
use crate::lock::Lock;
use crate::{Error, ImageLayout, Result};

impl ImageLayout {
    /// Opens a blob for reading whole. The reader ends well only if size and digest fit.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a blob of another size than the descriptor's is a size mismatch before anything is read.
    pub fn get(&self, descriptor: &Descriptor) -> Result<VerifyReader<File>> {
        let (file, size) = self.blob(descriptor.digest())?;
        if size != descriptor.size() {
            return Err(size_mismatch(descriptor, size));
        }
        Ok(VerifyReader::of(file, descriptor)?)
    }

    /// Opens `len` bytes of a blob from `offset` on. A part cannot be verified against the digest of the whole.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a range that is not inside the blob is an invalid offset.
    pub fn get_range(&self, digest: &Digest, offset: u64, len: u64) -> Result<Take<File>> {
        let (mut file, size) = self.blob(digest)?;
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(invalid_offset(offset, size));
        }
        let path = || self.path().to_owned();
        file.seek(SeekFrom::Start(offset)).map_err(|e| Error::io("seek in", &path())(e))?;
        Ok(file.take(len))
    }

    /// Opens a blob's file, with its size. The bytes are not verified.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Refused`] when the name is not that of a plain file.
    pub fn blob(&self, digest: &Digest) -> Result<(File, u64)> {
        let name = BlobName::of(digest)?;
        let not_found = || Error::NotFound { what: digest.to_string(), path: self.path().to_owned() };
        let folder = self.root.folder(&name.folder())?.ok_or_else(not_found)?;
        self.root.file(folder.as_fd(), name.encoded, &name.path(&self.root))?.ok_or_else(not_found)
    }

    /// The path a blob has in this layout, whether or not it is there.
    ///
    /// # Errors
    /// When the digest's algorithm has no folder here.
    pub fn blob_path(&self, digest: &Digest) -> Result<PathBuf> {
        Ok(BlobName::of(digest)?.path(&self.root))
    }

    /// Whether a blob is there with the descriptor's size; if so its age starts anew, so that a garbage collector
    /// spares what a copy relies on.
    ///
    /// # Errors
    /// What inspecting the folder can meet.
    pub fn contains(&self, descriptor: &Descriptor) -> Result<bool> {
        self.present(&BlobName::of(descriptor.digest())?, descriptor.size())
    }

    /// As [`contains`](Self::contains).
    pub(super) fn present(&self, name: &BlobName<'_>, size: u64) -> Result<bool> {
        let lock = Lock::shared_if_there(&self.root);
        let there = self.touch(name, size)?;
        if lock.is_some() || !there || !Lock::is_there(&self.root) {
            return Ok(there);
        }
        // A layout of another tool's making that got its lock file just now: a collector may have seen the blob's old
        // age before we renewed it. Once we have the lock it is done with what it saw.
        let _lock = Lock::shared_if_there(&self.root);
        self.touch(name, size)
    }

    /// Refreshes the age of a blob of this size, and tells whether there is one. The lock is the caller's.
    pub(super) fn touch(&self, name: &BlobName<'_>, size: u64) -> Result<bool> {
        let Some(folder) = self.root.folder(&name.folder())? else { return Ok(false) };
        let stat = match fs::statat(&folder, name.encoded, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(Error::io("inspect", &name.path(&self.root))(errno)),
        };
        let there = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && u64::try_from(stat.st_size) == Ok(size);
        if there {
            let now = fs::Timespec { tv_sec: 0, tv_nsec: fs::UTIME_NOW };
            let times = fs::Timestamps { last_access: now, last_modification: now };
            // A layout we may only read, or another user's blob, cannot be refreshed; the blob is there all the same.
            let _ = fs::utimensat(&folder, name.encoded, &times, AtFlags::SYMLINK_NOFOLLOW);
        }
        Ok(there)
    }
}

pub(crate) fn size_mismatch(descriptor: &Descriptor, actual: u64) -> Error {
    oci_digest::Error::SizeMismatch {
        digest: descriptor.digest().clone(),
        expected: descriptor.size(),
        actual,
        more: false,
    }
    .into()
}

pub(crate) fn invalid_offset(offset: u64, size: u64) -> Error {
    oci_digest::Error::Invalid {
        what: "offset",
        value: offset.to_string(),
        reason: format!("the blob has {size} bytes"),
    }
    .into()
}
