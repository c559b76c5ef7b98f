use std::os::fd::OwnedFd;

use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::root::{Root, WORK};
use crate::{Error, Result};

/// The name of the lock file in the work folder. It is never unlinked: whoever unlinks a lock file lets two
/// processes hold "the" lock on two inodes.
const NAME: &str = "lock";

/// The layout's lock, held until dropped.
///
/// Shared while a blob gets its name, exclusive while index.json is read, edited and replaced, or blobs are
/// removed. It is an flock(2): it belongs to the open file, so that threads exclude each other as processes do,
/// and the kernel gives it back when a process dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: OwnedFd,
}

impl Lock {
    pub(crate) fn shared(root: &Root) -> Result<Self> {
        Self::take(root, FlockOperation::LockShared)
    }

    pub(crate) fn exclusive(root: &Root) -> Result<Self> {
        Self::take(root, FlockOperation::LockExclusive)
    }

    /// The shared lock, if this layout has a lock file and we may open it: for readers that want to be seen by a
    /// garbage collector, and can do without.
    pub(crate) fn shared_if_there(root: &Root) -> Option<Self> {
        let work = root.folder(&[WORK]).ok()??;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(work, NAME, flags, Mode::empty()).ok()?;
        flock(&file, FlockOperation::LockShared).ok()?;
        Some(Self { _file: file })
    }

    /// Whether the layout has a lock file.
    pub(crate) fn is_there(root: &Root) -> bool {
        let Ok(Some(work)) = root.folder(&[WORK]) else { return false };
        fs::statat(work, NAME, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    fn take(root: &Root, operation: FlockOperation) -> Result<Self> {
        let path = root.path().join(WORK).join(NAME);
        let work = root.make_folder(&[WORK])?;
        let flags = OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mode = Mode::from_raw_mode(0o666);
        let file = match fs::openat(&work, NAME, flags | OFlags::RDWR, mode) {
            // Another user's lock file: flock needs no right to write, except on NFS.
            Err(Errno::ACCESS) => fs::openat(&work, NAME, flags | OFlags::RDONLY, mode),
            other => other,
        }
        .map_err(Error::io("open the lock", &path))?;
        flock(&file, operation).map_err(Error::io("lock", &path))?;
        Ok(Self { _file: file })
    }
}

fn flock(file: &OwnedFd, operation: FlockOperation) -> rustix::io::Result<()> {
    rustix::io::retry_on_intr(|| fs::flock(file, operation))
}
