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
        Self::bounded(root, no_openat2, bound)
    }

    /// The same, with no more than so many directories open.
    pub(super) fn bounded(root: Arc<OwnedFd>, no_openat2: bool, bound: usize) -> Self {
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
            None => self.open_from_nearest(map, dir)?,
        };
        self.last = Some((dir, Arc::clone(&fd)));
        Ok(fd)
    }

    /// Whether the kernel has no `openat2`, as far as is known.
    pub(super) fn no_openat2(&self) -> bool {
        !self.openat2
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
    fn open_from_nearest(&mut self, map: &DirMap, dir: DirId) -> Result<Arc<OwnedFd>> {
        let fail = |errno| failed("opening the directory", &map.path(dir), errno);
        let mut steps = vec![dir];
        let mut from = map.parent(dir);
        while from != ROOT && !self.cache.contains_key(&from) {
            steps.push(from);
            from = map.parent(from);
        }
        steps.reverse();
        let mut at = self.cache.get(&from).map_or_else(|| Arc::clone(&self.root), Arc::clone);
        let mut rest = steps.as_slice();
        while let Some(first) = rest.first() {
            let (path, count) = if self.openat2 { front(map, rest) } else { (map.name(*first).to_vec(), 1) };
            let opened = match count {
                1 => openat(&at, path, DIRECTORY, Mode::empty()),
                _ => open_path(&at, &path),
            };
            match opened {
                Ok(fd) => at = Arc::new(fd),
                // No such call (before 5.6), or an old seccomp filter.
                Err(Errno::NOSYS | Errno::PERM) if count > 1 => {
                    self.openat2 = false;
                    continue;
                }
                Err(errno) => return Err(fail(errno)),
            }
            // The directories on the way, too: the final pass goes up the same way, and shall not walk a deep tree
            // anew for each.
            if let Some(opened) = rest.get(count - 1) {
                self.keep(*opened, &at);
            }
            rest = rest.get(count..).unwrap_or_default();
        }
        Ok(at)
    }
}

/// As many names as one call takes, joined.
fn front(map: &DirMap, steps: &[DirId]) -> (Vec<u8>, usize) {
    let mut path = Vec::new();
    let mut count = 0;
    for name in steps.iter().map(|step| map.name(*step)) {
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
    use super::super::map::Attributes;
    use super::*;

    #[test]
    fn a_front_is_as_long_as_one_call_takes() {
        let mut map = DirMap::new(Attributes::Implicit);
        let mut steps = Vec::new();
        let mut at = ROOT;
        for _ in 0..40 {
            at = map.add(at, &[b'n'; 255], Attributes::Implicit);
            steps.push(at);
        }
        let (path, count) = front(&map, &steps);
        assert_eq!(count, 15);
        assert!(path.len() <= PATH_BYTES);
    }
}
