//! One tree of files that layers are applied to: every name is resolved inside its root by descriptors.

mod attributes;
mod fds;
mod file;
mod finish;
mod link;
mod lower;
mod map;
mod means;
mod node;
mod record;
mod remove;
mod resolve;
mod sweep;
mod xattr;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use fds::Descriptors;
pub(crate) use link::Linked;
use lower::Lower;
use map::{Attributes, DirMap, Found};
pub(crate) use map::{DirId, Listed, ROOT};
use means::Means;
pub(crate) use remove::{for_each_name, open_any_mode, remove_dir};
pub(crate) use resolve::Missing;
use rustix::fs::{Mode, Stat, fchmod, fremovexattr, fstat};
use rustix::io::Errno;

use crate::diff::Digests;
use crate::report::Reporter;
use crate::{Devices, Error, Result, UnpackOptions};

/// A name in a known directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) dir: DirId,
    /// One component: not empty, no slash, not `.` or `..`.
    pub(crate) name: &'a [u8],
}

/// The tree writer. For one root file system the layers go over one another in one folder; for overlayfs each has
/// a folder of its own, with what lower layers hold beneath.
pub(crate) struct Tree {
    root: Arc<OwnedFd>,
    map: DirMap,
    fds: Descriptors,
    /// Directories by the name an entry gave them, where that name leads through links.
    aliases: HashMap<Box<[u8]>, DirId>,
    /// The directory of the last entry: entries come in runs.
    last: Option<(Vec<u8>, DirId)>,
    /// Devices that this process may not make: links to them are left out, too.
    skipped: HashSet<(DirId, Box<[u8]>)>,
    means: Means,
    /// What is not in the root but beneath it; `None` for one root file system.
    lower: Option<Lower>,
    max_links: u32,
    keep_trusted: bool,
    /// Whether attributes of overlayfs' format are left out: a layer must bring none.
    drop_marks: bool,
    devices: Devices,
    /// Whether blocks of zeros are left out of files.
    pub(crate) holes: bool,
    sync: crate::SyncPolicy,
    /// Of the files written so far, where a snapshot will be taken.
    pub(crate) digests: Option<Digests>,
    /// How many directories were made that no entry had named so far.
    pub(crate) implied: u64,
    pub(crate) reporter: Reporter,
}

impl Tree {
    /// Takes a directory as the root. `fresh`: it was just made, is empty and ours.
    pub(crate) fn new(root: OwnedFd, fresh: bool, options: &UnpackOptions) -> Result<Self> {
        let found = if fresh {
            Attributes::Implicit
        } else {
            Attributes::Found(Box::new(take_over(&root, &stat(&root)?)?))
        };
        let means = Means::probe(&root, fresh, options)?;
        let root = Arc::new(root);
        Ok(Self {
            fds: Descriptors::new(Arc::clone(&root), options.no_openat2),
            root,
            map: DirMap::new(found),
            aliases: HashMap::new(),
            last: None,
            skipped: HashSet::new(),
            means,
            lower: None,
            max_links: options.limits.links,
            keep_trusted: options.keep_trusted_xattrs,
            drop_marks: false,
            devices: options.devices,
            holes: options.holes,
            sync: options.sync,
            digests: options.snapshot.then(Digests::default),
            implied: 0,
            reporter: Reporter::new(options),
        })
    }

    /// The root's descriptor.
    pub(crate) fn root_fd(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.root)
    }

    /// Begins the next layer: what there is now is what its whiteouts can hide.
    pub(crate) fn begin_layer(&mut self) -> Result<()> {
        self.map.begin_layer();
        self.begin_folder()
    }

    /// Ends it: nothing of it comes any more.
    pub(crate) fn end_layer(&mut self) -> Result<()> {
        self.end_folder()
    }

    /// Whether the directory has not been removed or replaced.
    pub(crate) fn is_alive(&self, dir: DirId) -> bool {
        self.map.is_alive(dir)
    }

    /// The name from the root, for messages.
    pub(crate) fn path_of(&self, at: Place<'_>) -> Vec<u8> {
        let mut path = self.map.path(at.dir);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(at.name);
        path
    }

    /// The descriptor of a directory, to make something in it, for use with `*at` calls only (O_PATH).
    fn fd(&mut self, dir: DirId) -> Result<Arc<OwnedFd>> {
        if !self.is_here(dir) {
            self.copy_up_dir(dir)?;
        }
        self.fds.open(&self.map, dir)
    }

    fn failed(&self, doing: &str, at: Place<'_>, errno: Errno) -> Error {
        failed(doing, &self.path_of(at), errno)
    }
}

/// An error of a system call on an entry.
fn failed(doing: &str, path: &[u8], errno: Errno) -> Error {
    match errno {
        Errno::NAMETOOLONG => Error::entry(path, "the file system does not take names this long"),
        Errno::FBIG => Error::entry(path, "the file system does not take files this large"),
        errno => Error::io(format!("{doing} {:?}", String::from_utf8_lossy(path)), errno),
    }
}

/// Makes a directory that was there before us workable, and gives back what it had: modes, times and inherited
/// attributes of the directories must not leak into what is made in them.
fn take_over(dir: &OwnedFd, stat: &Stat) -> Result<Found> {
    let context = |e: Errno| Error::io("taking over a directory of the root", e);
    let default_acl = xattr::value(dir, xattr::DEFAULT_ACL);
    if default_acl.is_some() {
        fremovexattr(dir, xattr::DEFAULT_ACL).map_err(context)?;
    }
    let mode = stat.st_mode & 0o7777;
    if mode & 0o2700 != 0o700 {
        // 0700 to work in it; without sgid so that children keep our group.
        fchmod(dir, Mode::RWXU).map_err(context)?;
    }
    let mtime = crate::framing::Timestamp { seconds: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 };
    Ok(Found { mode, mtime, default_acl })
}

fn stat(dir: &OwnedFd) -> Result<Stat> {
    fstat(dir).map_err(|e| Error::io("looking at the root", e))
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("root", &self.root).finish_non_exhaustive()
    }
}
