//! Control groups: a place for a container in every tree the machine has, with its limits.
//!
//! [`Hierarchy::detect`] says what there is (version 1, version 2, or both), [`Cgroup::create`] makes the folders and
//! writes the limits, [`Cgroup::join`] hands out what a new process needs to get in, [`Cgroup::destroy`] kills what is
//! left inside and removes the folders. No helper program, no daemon, and nothing is touched but the folders made here.
//!
//! A process gets in the fast way: on version 2 it is born there (`CLONE_INTO_CGROUP`), on version 1 it writes `0` to
//! `tasks` while it still has one thread. Moving a process from outside through `cgroup.procs` takes a global lock and
//! waits for a grace period, which costs milliseconds; [`Cgroup::add_process`] is for those who have no choice.

mod create;
mod file;
mod freeze;
mod hierarchy;
mod remove;
mod settings;
mod stats;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::file::{Folder, failed};
pub use self::hierarchy::{Hierarchy, Mode};
pub use self::settings::unsupported;
pub use self::stats::{CpuStats, MemoryStats, PidsStats, Stats};
use crate::Result;

/// A container's control group, in every tree where it has one.
///
/// It is plain data (serialise it into a state file, and any process may go on with it); dropping it removes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    nodes: Vec<Node>,
}

/// The group's folder in one tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Node {
    folder: PathBuf,
    controllers: Vec<String>,
    v2: bool,
    /// The folders made by us, the topmost first; the last one is `folder` unless it was there before.
    created: Vec<PathBuf>,
}

/// What a new process needs to get into a [`Cgroup`]. All descriptors are close-on-exec.
#[derive(Debug)]
#[non_exhaustive]
pub struct Join {
    /// The folder in the unified tree, for `CLONE_INTO_CGROUP` (Linux 5.7). On a kernel without it, see
    /// [`Cgroup::add_process`].
    pub into: Option<OwnedFd>,
    /// The `tasks` files of version 1, open for writing: a process with one thread writes `0` to each.
    pub tasks: Vec<OwnedFd>,
}

impl Cgroup {
    /// Opens what a new process needs to get in.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when a folder or file cannot be opened, for example because the group was removed.
    pub fn join(&self) -> Result<Join> {
        let mut join = Join { into: None, tasks: Vec::new() };
        for node in &self.nodes {
            let folder = node.open()?;
            if node.v2 {
                join.into = Some(folder.into_fd());
            } else {
                let tasks = folder
                    .open_for_writing("tasks")
                    .map_err(|error| failed("open", &node.folder.join("tasks"), error))?;
                join.tasks.push(tasks);
            }
        }
        Ok(join)
    }

    /// Moves a process, with all its threads, into the group. `0` stands for the calling process.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) naming the `cgroup.procs` file that refused.
    pub fn add_process(&self, pid: u32) -> Result<()> {
        self.nodes.iter().try_for_each(|node| node.open()?.write("cgroup.procs", &pid.to_string()))
    }

    /// The processes in the group and in groups below it, in ascending order. Those of other pid namespaces, which
    /// have no number here, are left out.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when a process list exists but cannot be read.
    pub fn pids(&self) -> Result<Vec<u32>> {
        let mut pids = BTreeSet::new();
        for node in &self.nodes {
            // A process may have been moved in one tree and not in another; what is in any of them is ours.
            collect_pids(&node.folder, &mut pids)?;
        }
        Ok(pids.into_iter().collect())
    }

    /// The folder in the tree of `controller`; for the unified tree `None` asks for the folder itself.
    pub fn folder(&self, controller: Option<&str>) -> Option<&Path> {
        let node = match controller {
            Some(name) => self.node_of(name),
            None => self.unified(),
        };
        node.map(|node| node.folder.as_path())
    }

    /// All the group's folders, one for each tree.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.nodes.iter().map(|node| node.folder.as_path())
    }

    fn unified(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| node.v2)
    }

    fn node_of(&self, controller: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.controllers.iter().any(|name| name == controller))
    }
}

impl Node {
    fn open(&self) -> Result<Folder<'_>> {
        Folder::open(&self.folder).map_err(|error| failed("open cgroup", &self.folder, error))
    }
}

/// Reads `cgroup.procs` here and below. A folder that is gone holds nothing.
fn collect_pids(path: &Path, pids: &mut BTreeSet<u32>) -> Result<()> {
    let folder = match Folder::open(path) {
        Ok(folder) => folder,
        Err(error) if is_gone(&error) => return Ok(()),
        Err(error) => return Err(failed("open cgroup", path, error)),
    };
    match folder.read_raw("cgroup.procs") {
        Ok(text) => {
            pids.extend(text.lines().filter_map(|line| line.parse().ok()).filter(|&pid: &u32| pid != 0))
        }
        // A threaded group (v2) has no process list of its own: its processes are listed above.
        Err(error)
            if is_gone(&error)
                || error.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error()) => {}
        Err(error) => return Err(failed("read", &path.join("cgroup.procs"), error)),
    }
    children(path)?.iter().try_for_each(|child| collect_pids(child, pids))
}

/// The groups directly below `path`.
fn children(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed("list cgroup", path, error)),
    };
    Ok(entries
        .filter_map(Result::<_, io::Error>::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect())
}

/// A folder that was removed under our feet: by name, or by a descriptor or file still open.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}
