//! What must be on the disk before index.json names it.

use std::os::fd::OwnedFd;
use std::path::Path;

use oci_digest::Algorithm;
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::layout::BLOBS;
use crate::root::WORK;
use crate::{Error, ImageLayout, Result};

/// A file in the work folder that is there while blobs may not be on the disk: their writers left it to who names them.
const UNSYNCED: &str = "unsynced";

impl ImageLayout {
    /// Notes that a blob is about to get its name without being on the disk. The caller holds the lock, shared.
    pub(super) fn mark_unsynced(&self) -> Result<()> {
        // Beside shared blobs, for all layouts that may come to name them.
        let path = self.root.staging().path().join(WORK).join(UNSYNCED);
        let work = self.root.staging().make_folder(&[WORK])?;
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match fs::openat(&work, UNSYNCED, flags, Mode::from_raw_mode(0o666)) {
            // Whoever made it, and whatever it is: it is there.
            Ok(_) | Err(Errno::ACCESS | Errno::LOOP | Errno::NXIO) => Ok(()),
            Err(errno) => Err(Error::io("create", &path)(errno)),
        }
    }

    /// Forces blobs and their names to the disk, whoever wrote them. The caller holds the lock, exclusively, and edits
    /// index.json next.
    pub(crate) fn sync_blobs(&self) -> Result<()> {
        let path = self.root.blobs_path();
        let Some(blobs) = self.root.folder(&[BLOBS])? else { return Ok(()) };
        let work = self.root.staging().folder(&[WORK])?;
        let is_unsynced =
            work.as_ref().is_some_and(|work| fs::statat(work, UNSYNCED, AtFlags::SYMLINK_NOFOLLOW).is_ok());
        let mut devices = Vec::new();
        let mut sync = |folder: &OwnedFd, path: &Path| -> Result<()> {
            if !is_unsynced {
                return fs::fsync(folder).map_err(Error::io("sync", path));
            }
            // One barrier for many blobs: their bytes are on their way to the disk side by side. Since Linux 5.8 it tells
            // of bytes that could not be written, too.
            let device = fs::fstat(folder).map_err(Error::io("inspect", path))?.st_dev;
            if !devices.contains(&device) {
                fs::syncfs(folder).map_err(Error::io("sync", path))?;
                devices.push(device);
            }
            Ok(())
        };
        for algorithm in Algorithm::ALL {
            if let Some(folder) = self.root.folder(&[BLOBS, algorithm.as_str()])? {
                sync(&folder, &path.join(algorithm.as_str()))?;
            }
        }
        // The algorithms' folders themselves.
        sync(&blobs, &path)?;
        // Not for a shared folder: another layout's writers do not take our lock.
        if let Some(work) = work.filter(|_| is_unsynced && !self.root.is_shared()) {
            // If it stays, the next edit syncs once more.
            let _ = fs::unlinkat(&work, UNSYNCED, AtFlags::empty());
        }
        Ok(())
    }
}
