//! Descriptors of known directories: a bounded cache, filled by `openat2` or component by component.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::failed;
use super::map::{DirId, DirMap, ROOT};
use crate::Result;

/// How a directory is opened for use with `*at` calls: nothing is followed, nothing is read.
const DIRECTORY: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Longer paths are opened in steps: the kernel takes 4095 bytes.
const PATH_BYTES: usize = 4000;

#[derive(Debug)]
pub(super) struct Descriptors {
    root: Arc<OwnedFd>,
    cache: HashMap<DirId, Arc<OwnedFd>>,
    last: Option<(DirId, Arc<OwnedFd>)>,
    bound: usize,
    openat2: bool,
}

impl Descriptors {
    pub(super) fn new(root: Arc<OwnedFd>, no_openat2: bool) -> Self {
        // The process has other uses for descriptors; its limit is often 1024.
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let bound = usize::try_from(limit / 4).unwrap_or(usize::MAX).clamp(4, 1000);
        Self { root, cache: HashMap::new(), last: None, bound, openat2: !no_openat2 }
    }

    /// Opens a known directory.
    pub(super) fn open(&mut self, map: &DirMap, dir: DirId) -> Result<Arc<OwnedFd>> {
        if dir == ROOT {
            return Ok(Arc::clone(&self.root));
        }
        if let Some((id, fd)) = &self.last
            && *id == dir
        {
            return Ok(Arc::clone(fd));
        }
        let fd = match self.cache.get(&dir) {
            Some(fd) => Arc::clone(fd),
            None => {
                let fd = Arc::new(self.open_from_nearest(map, dir)?);
                self.keep(dir, &fd);
                fd
            }
        };
        self.last = Some((dir, Arc::clone(&fd)));
        Ok(fd)
    }

    /// Forgets everything: a directory was removed or replaced.
    pub(super) fn clear(&mut self) {
        self.cache.clear();
        self.last = None;
    }

    fn keep(&mut self, dir: DirId, fd: &Arc<OwnedFd>) {
        if self.cache.len() >= self.bound {
            self.cache.clear();
        }
        self.cache.insert(dir, Arc::clone(fd));
    }

    /// Opens from the nearest ancestor that is open, or from the root. The names hold no links: where there is
    /// one now, somebody else put it there, and it is not followed.
    fn open_from_nearest(&mut self, map: &DirMap, dir: DirId) -> Result<OwnedFd> {
        let fail = |errno| failed("opening the directory", &map.path(dir), errno);
        let mut names = vec![map.name(dir)];
        let mut from = map.parent(dir);
        while from != ROOT && !self.cache.contains_key(&from) {
            names.push(map.name(from));
            from = map.parent(from);
        }
        names.reverse();
        let mut at = self.cache.get(&from).map_or_else(|| Arc::clone(&self.root), Arc::clone);
        if self.openat2 && names.len() > 1 {
            let mut rest = names.as_slice();
            loop {
                let (path, count) = front(rest);
                match open_path(&at, &path) {
                    Ok(fd) if count == rest.len() => return Ok(fd),
                    Ok(fd) => at = Arc::new(fd),
                    // No such call (before 5.6), or an old seccomp filter.
                    Err(Errno::NOSYS | Errno::PERM) => {
                        self.openat2 = false;
                        break;
                    }
                    Err(errno) => return Err(fail(errno)),
                }
                rest = rest.get(count..).unwrap_or_default();
            }
            names = rest.to_vec();
        }
        let Some((last, parents)) = names.split_last() else { return Err(fail(Errno::NOENT)) };
        for name in parents {
            at = Arc::new(openat(&at, *name, DIRECTORY, Mode::empty()).map_err(fail)?);
        }
        openat(&at, *last, DIRECTORY, Mode::empty()).map_err(fail)
    }
}

/// As many names as one call takes, joined.
fn front(names: &[&[u8]]) -> (Vec<u8>, usize) {
    let mut path = Vec::new();
    let mut count = 0;
    for name in names {
        if count > 0 {
            if path.len() + 1 + name.len() > PATH_BYTES {
                break;
            }
            path.push(b'/');
        }
        path.extend_from_slice(name);
        count += 1;
    }
    (path, count)
}

fn open_path(at: &OwnedFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
    loop {
        match openat2(at, path, DIRECTORY, Mode::empty(), resolve) {
            // A rename somewhere on the system raced with the walk (openat2(2), RESOLVE_IN_ROOT).
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_is_as_long_as_one_call_takes() {
        let name = [b'n'; 255];
        let names = vec![&name[..]; 40];
        let (path, count) = front(&names);
        assert_eq!(count, 15);
        assert!(path.len() <= PATH_BYTES);
        let long = [b'n'; 5000];
        assert_eq!(
            front(&[&long[..], b"x"]).1,
            1,
            "a name that is too long is left for the kernel to refuse"
        );
    }
}
