//! What this process may do here, and what the file system does to new nodes.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, fchmod, fchown, fstat, mknodat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::{Gid, getegid, geteuid};
use rustix::thread::{CapabilitySet, capabilities};

use crate::recorded::Form;
use crate::{Error, Ownership, Result, UnpackOptions};

#[derive(Debug)]
pub(super) struct Means {
    /// The owner of what this thread makes.
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Whether owners are set at all.
    pub(super) owners: bool,
    /// Whether and how owners are recorded instead.
    pub(super) record: Option<Form>,
    /// Whether an owner that the kernel refuses is a warning.
    pub(super) lenient_owners: bool,
    /// Whether new nodes may have another group than ours, so that an owner like ours must be set, too.
    pub(super) always_chown: bool,
    /// Whether the umask takes bits that we need of a new directory.
    pub(super) fix_dirs: bool,
    /// Whether two names that differ in case are one file.
    pub(super) folds_case: bool,
}

impl Means {
    pub(super) fn probe(root: &OwnedFd, fresh: bool, options: &UnpackOptions) -> Result<Self> {
        let context = |e: Errno| Error::io("looking at the root", e);
        // /proc is not asked: capget is a system call.
        let may_chown = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::CHOWN));
        let (owners, lenient_owners, record) = match options.ownership {
            Ownership::Auto => (may_chown, true, None),
            Ownership::Apply => (true, false, None),
            Ownership::Drop => (false, true, None),
            Ownership::RootlessContainers => (false, true, Some(Form::RootlessContainers)),
            Ownership::OverrideStat => (false, true, Some(Form::OverrideStat)),
        };
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        let mut means = Self {
            uid,
            gid,
            owners,
            record,
            lenient_owners,
            always_chown: !fresh,
            fix_dirs: !fresh,
            folds_case: folds_case(root).map_err(context)?,
        };
        if fresh {
            means.settle(root).map_err(context)?;
        }
        Ok(means)
    }

    /// Takes from a fresh root what its parent gave it: nothing may be inherited from there.
    fn settle(&mut self, root: &OwnedFd) -> rustix::io::Result<()> {
        for acl in [super::xattr::DEFAULT_ACL, super::xattr::ACCESS_ACL] {
            match rustix::fs::fremovexattr(root, acl) {
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {}
                Err(errno) => return Err(errno),
            }
        }
        let stat = fstat(root)?;
        // The umask is the process's and a library never sets it, but it shows in what was made under it.
        self.fix_dirs = stat.st_mode & 0o700 != 0o700;
        if stat.st_mode & 0o7777 != 0o700 {
            fchmod(root, Mode::RWXU)?;
        }
        if stat.st_gid != self.gid && fchown(root, None, Some(Gid::from_raw(self.gid))).is_err() {
            self.always_chown = true;
        }
        Ok(())
    }
}

/// Tries it: there are many ways by which a directory comes to fold case, and one consequence.
fn folds_case(root: &OwnedFd) -> rustix::io::Result<bool> {
    const LOWER: &str = ".probe-of-case";
    const UPPER: &str = ".PROBE-OF-CASE";
    match mknodat(root, LOWER, FileType::RegularFile, Mode::RUSR, 0) {
        Ok(()) => {}
        // A root that was there before us, with that name in it: nothing to be learned.
        Err(Errno::EXIST) => return Ok(false),
        Err(errno) => return Err(errno),
    }
    let folds = statat(root, UPPER, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    unlinkat(root, LOWER, AtFlags::empty())?;
    Ok(folds)
}
