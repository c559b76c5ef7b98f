use std::ffi::CStr;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use oci_digest::Algorithm;
use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{Count, GcEvent, GcOptions};
use crate::blobs::{PARTIAL, digest_named, for_each, is_plain, since, size};
use crate::lock::Lock;
use crate::root::{Root, WORK, is_temporary_name};
use crate::{Error, ImageLayout, Result};

/// Removes temporary files that a killed process left, and downloads that nobody goes on with.
pub(super) fn remove(
    layout: &ImageLayout,
    options: &GcOptions,
    now: SystemTime,
    count: &mut Count,
) -> Result<()> {
    // Under the lock: files that index.json is replaced from are not locked themselves.
    let _lock = if options.dry_run { None } else { Some(Lock::exclusive(&layout.root)?) };
    let is_temporary = |name: &CStr| name.to_str().is_ok_and(is_temporary_name);
    in_folder(&layout.root, &[WORK], options, now, options.grace, is_temporary, count)?;
    // Where the blobs are shared, their writers have a work folder beside them.
    let staging = layout.root.staging();
    if layout.root.is_shared() {
        in_folder(staging, &[WORK], options, now, options.grace, is_temporary, count)?;
    }
    in_folder(staging, &[WORK, PARTIAL], options, now, options.partial_age, is_partial, count)
}

fn is_partial(name: &CStr) -> bool {
    Algorithm::ALL.into_iter().any(|algorithm| {
        let encoded = name.to_bytes().strip_prefix(algorithm.as_str().as_bytes());
        let encoded = encoded.and_then(|rest| rest.strip_prefix(b"-"));
        encoded.is_some_and(|encoded| {
            std::ffi::CString::new(encoded).is_ok_and(|name| digest_named(algorithm, &name).is_some())
        })
    })
}

/// Files of ours in a folder that are older than an age and that nobody holds.
fn in_folder(
    root: &Root,
    names: &[&str],
    options: &GcOptions,
    now: SystemTime,
    age: Duration,
    is_ours: impl Fn(&CStr) -> bool,
    count: &mut Count,
) -> Result<()> {
    let Some(folder) = root.folder(names)? else { return Ok(()) };
    let path = names.iter().fold(root.path().to_owned(), |path, name| path.join(name));
    for_each(folder.as_fd(), &path, |name| {
        options.cancel.check()?;
        let Ok(stat) = fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
        let old = now.duration_since(since(&stat)).unwrap_or(Duration::ZERO) >= age;
        if !is_ours(name) || !is_plain(&stat) || !old {
            return Ok(());
        }
        let bytes = size(&stat);
        let path = path.join(Path::new(&*name.to_string_lossy()));
        if !remove_unused(folder.as_fd(), name, &path, options.dry_run)? {
            return Ok(());
        }
        count.add(bytes);
        options.tell(&GcEvent::Stale { path: &path, bytes });
        Ok(())
    })
}

/// Writers hold a lock on the file they write; who gets it may remove the file. A writer that opened it before and locks
/// it after finds that it has lost its name.
fn remove_unused(
    folder: std::os::fd::BorrowedFd<'_>,
    name: &CStr,
    path: &Path,
    dry_run: bool,
) -> Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match fs::openat(folder, name, flags, Mode::empty()) {
        Ok(file) => file,
        // Gone, or another user's.
        Err(Errno::NOENT | Errno::ACCESS | Errno::LOOP) => return Ok(false),
        Err(errno) => return Err(Error::io("open", path)(errno)),
    };
    if fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    if dry_run {
        return Ok(true);
    }
    match fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(Error::io("remove", path)(errno)),
    }
}
