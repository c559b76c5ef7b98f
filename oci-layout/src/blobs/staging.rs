use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use oci_digest::Digest;
use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::BlobName;
use crate::lock::Lock;
use crate::root::{WORK, create_temporary, temporary_name};
use crate::{Error, ImageLayout, Result, SyncPolicy};

/// Partial downloads of blobs whose digest is known, below the work folder: `partial/<algorithm>-<encoded>`.
pub(crate) const PARTIAL: &str = "partial";

/// The mode of a finished blob: content never changes under its name.
const BLOB_MODE: u32 = 0o444;

/// A file on its way to becoming a blob. Dropped uncommitted, it leaves nothing behind.
///
/// Three kinds: without any name where the file system has O_TMPFILE (a killed process leaves nothing, either);
/// under a random name else; under its digest when a later attempt shall go on from what was written.
#[derive(Debug)]
pub(super) struct Staging {
    pub(super) file: File,
    /// The folder and name to remove or to rename from; none for an unnamed file.
    name: Option<(OwnedFd, String)>,
}

impl Staging {
    /// A new empty file.
    pub(super) fn new(layout: &ImageLayout) -> Result<Self> {
        let work = layout.root.staging().make_folder(&[WORK])?;
        let path = layout.root.staging().path().join(WORK);
        match Self::unnamed(&work, &path)? {
            Some(staging) => Ok(staging),
            None => Self::named(work, &path),
        }
    }

    /// `None`: the file system or the kernel cannot.
    fn unnamed(work: &OwnedFd, path: &Path) -> Result<Option<Self>> {
        // Giving the file its name later goes through /proc, which a container may lack.
        if !Path::new("/proc/self/fd").exists() {
            return Ok(None);
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match fs::openat(work, ".", flags, Mode::from_raw_mode(0o600)) {
            Ok(fd) => Ok(Some(Self { file: File::from(fd), name: None })),
            // EISDIR is what a kernel before 3.11 says, which sees only O_DIRECTORY in the flags.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(None),
            Err(errno) => Err(Error::io("create a file in", path)(errno)),
        }
    }

    fn named(work: OwnedFd, path: &Path) -> Result<Self> {
        let (file, name) = create_temporary(work.as_fd(), 0o600, path)?;
        // Locked while in use, so that a cleaner can tell what a killed process left.
        let _ = fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        Ok(Self { file, name: Some((work, name)) })
    }

    /// The partial file of a digest, which may hold the first bytes of its content. `None`: somebody else is
    /// writing it.
    pub(super) fn partial(layout: &ImageLayout, digest: &Digest) -> Result<Option<Self>> {
        let folder = layout.root.staging().make_folder(&[WORK, PARTIAL])?;
        let blob = BlobName::of(digest)?;
        let name = format!("{}-{}", blob.algorithm, blob.encoded);
        let path = layout.root.staging().path().join(WORK).join(PARTIAL).join(&name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        loop {
            let fd = match fs::openat(&folder, &*name, flags, Mode::from_raw_mode(0o600)) {
                Ok(fd) => fd,
                Err(Errno::ACCESS) if remove_finished(&folder, &name) => continue,
                // Another user's: leave it alone.
                Err(Errno::ACCESS) => return Ok(None),
                Err(errno) => return Err(Error::io("create", &path)(errno)),
            };
            match fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(errno) => return Err(Error::io("lock", &path)(errno)),
            }
            // Between our open and our lock the file may have become the blob, and must not be written any more.
            let opened = fs::fstat(&fd).map_err(Error::io("inspect", &path))?;
            match fs::statat(&folder, &*name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(named) if (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino) => {
                    if opened.st_nlink != 1 || !fs::FileType::from_raw_mode(opened.st_mode).is_file() {
                        return Ok(None);
                    }
                    return Ok(Some(Self { file: File::from(fd), name: Some((folder, name)) }));
                }
                Ok(_) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(Error::io("inspect", &path)(errno)),
            }
        }
    }

    /// Leaves a partial file for the next attempt.
    pub(super) fn keep(mut self) {
        self.name = None;
    }

    /// Makes the file the blob of its digest. The caller has verified that its bytes are.
    pub(super) fn commit(mut self, layout: &ImageLayout, blob: &BlobName<'_>, size: u64) -> Result<()> {
        let path = blob.path(&layout.root);
        let folder = layout.root.make_folder(&blob.folder())?;
        fs::fchmod(&self.file, Mode::from_raw_mode(BLOB_MODE))
            .map_err(Error::io("set the mode of", &path))?;
        if layout.options.sync.syncs_each() {
            // Before the name: a name that survives a crash has its bytes.
            self.file.sync_all().map_err(Error::io("sync", &path))?;
        }
        let lock = Lock::shared(&layout.root)?;
        if layout.touch(blob, size)? {
            // Somebody was faster; ours goes.
            return Ok(());
        }
        // A file that was gone on from may have been finished long ago; its age as a blob begins now.
        let now = fs::Timespec { tv_sec: 0, tv_nsec: fs::UTIME_NOW };
        let times = fs::Timestamps { last_access: now, last_modification: now };
        fs::futimens(&self.file, &times).map_err(Error::io("set the time of", &path))?;
        if !layout.options.sync.syncs_each() {
            layout.mark_unsynced()?;
        }
        match self.name.take() {
            None => link_unnamed(layout, &self.file, &folder, blob)?,
            Some((from, name)) => {
                let renamed = fs::renameat(&from, &*name, &folder, blob.encoded);
                if let Err(errno) = renamed {
                    self.name = Some((from, name));
                    return Err(Error::io("create", &path)(errno));
                }
            }
        }
        drop(lock);
        if layout.options.sync == SyncPolicy::Full {
            fs::fsync(&folder).map_err(Error::io("sync", &path))?;
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some((folder, name)) = &self.name {
            let _ = fs::unlinkat(folder, &**name, AtFlags::empty());
        }
    }
}

/// Removes a partial file that has the mode of a finished blob: its writer was killed between the two names. It could
/// be gone on from, but not be written if need be. `false`: it is somebody else's, or in use.
fn remove_finished(folder: &OwnedFd, name: &str) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = fs::openat(folder, name, flags, Mode::empty()) else { return false };
    fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        && fs::unlinkat(folder, name, AtFlags::empty()).is_ok()
}

/// Gives an O_TMPFILE its name.
fn link_unnamed(layout: &ImageLayout, file: &File, folder: &OwnedFd, blob: &BlobName<'_>) -> Result<()> {
    let path = blob.path(&layout.root);
    // AT_EMPTY_PATH would need CAP_DAC_READ_SEARCH.
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = |to: &OwnedFd, name: &str| fs::linkat(fs::CWD, &*unnamed, to, name, AtFlags::SYMLINK_FOLLOW);
    match link(folder, blob.encoded) {
        Ok(()) => return Ok(()),
        // What is there has another size, so it is broken; linkat cannot replace it, rename can.
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(Error::io("create", &path)(errno)),
    }
    let work = layout.root.staging().make_folder(&[WORK])?;
    let name = temporary_name();
    link(&work, &name).map_err(Error::io("create", &path))?;
    fs::renameat(&work, &*name, folder, blob.encoded).map_err(|errno| {
        let _ = fs::unlinkat(&work, &*name, AtFlags::empty());
        Error::io("replace", &path)(errno)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use oci_digest::{Algorithm, digest_of};

    use super::*;

    /// Both kinds of files become blobs, give way to a whole blob, replace a broken one, and vanish when dropped.
    #[test]
    fn with_and_without_a_name() {
        let scratch = tempfile::tempdir().unwrap();
        let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
        let path = layout.root.path().join(WORK);
        let work = || layout.root.make_folder(&[WORK]).unwrap();
        let digest = digest_of(Algorithm::Sha256, b"hello");
        let blob = BlobName::of(&digest).unwrap();
        let at = blob.path(&layout.root);
        let names = || std::fs::read_dir(&path).unwrap().count();
        let alone = names();

        for kind in ["named", "unnamed"] {
            let staged = || {
                let staging = match kind {
                    "named" => Some(Staging::named(work(), &path).unwrap()),
                    _ => Staging::unnamed(&work(), &path).unwrap(),
                }?;
                (&staging.file).write_all(b"hello").unwrap();
                Some(staging)
            };
            let Some(staging) = staged() else {
                eprintln!("SKIP with_and_without_a_name: needs a file system with O_TMPFILE");
                continue;
            };
            assert_eq!(names() > alone, kind == "named");
            drop(staging);
            assert_eq!(names(), alone, "{kind}");
            for before in [None, Some("hellp"), Some("broken")] {
                let _ = std::fs::remove_file(&at);
                if let Some(before) = before {
                    std::fs::create_dir_all(at.parent().unwrap()).unwrap();
                    std::fs::write(&at, before).unwrap();
                }
                staged().unwrap().commit(&layout, &blob, 5).unwrap();
                // Of equal size is taken as it is; whether it is right, a reader or a check finds out.
                let after = if before == Some("hellp") { "hellp" } else { "hello" };
                assert_eq!(std::fs::read_to_string(&at).unwrap(), after, "{kind}");
                assert_eq!(names(), alone, "{kind}");
            }
        }
    }
}
