use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::file::{Folder, failed};
use super::{Cgroup, children, collect_pids, is_gone};
use crate::Result;

/// The first pause between two looks; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// Pauses add up to about three seconds: a process in the kernel's hands (a dying NFS client) can take that long.
const ROUNDS: u32 = 160;
/// Groups below a group, made by the container itself; deeper than this, the kernel's own limit has been lifted.
const MAX_DEPTH: u32 = 256;

impl Cgroup {
    /// Sends SIGKILL to every process in the group and in groups below it, until none is left.
    ///
    /// By `cgroup.kill` where it exists (Linux 5.14, version 2), which a fork bomb cannot outrun; otherwise by
    /// signalling again and again. Frozen processes are thawed, since on version 1 they could not die.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when processes are left after about three seconds, or may not be killed.
    pub fn kill_all(&self) -> Result<()> {
        let mut pause = FIRST_PAUSE;
        for round in 0..ROUNDS {
            let pids = self.pids()?;
            if pids.is_empty() {
                return Ok(());
            }
            let at_once = self.unified().is_some_and(|node| {
                Folder::open(&node.folder).is_ok_and(|folder| folder.write_raw("cgroup.kill", "1").is_ok())
            });
            // On a hybrid machine a process may be in one tree only; killing it twice does no harm.
            if !at_once || self.nodes.len() > 1 {
                self.signal_each(&pids)?;
            }
            if round == 0 {
                // A group that is not frozen, or a tree without a freezer, needs nothing.
                let _ = self.thaw();
            }
            sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        let left = self.pids()?;
        if left.is_empty() {
            return Ok(());
        }
        let path = self.nodes.first().map(|node| node.folder.clone()).unwrap_or_default();
        Err(failed(format!("kill processes {left:?} of cgroup"), &path, io::ErrorKind::TimedOut))
    }

    fn signal_each(&self, pids: &[u32]) -> Result<()> {
        for &pid in pids {
            let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { continue };
            // Between the list and the signal the number could be given to another process; looking again right
            // before narrows that to nothing in practice, and cgroup.kill above closes it.
            match kill_process(pid, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => {
                    let path = self.nodes.first().map(|node| node.folder.clone()).unwrap_or_default();
                    return Err(failed(
                        format!("kill process {pid:?} of cgroup", pid = pid.as_raw_nonzero()),
                        &path,
                        error,
                    ));
                }
            }
        }
        Ok(())
    }

    /// Kills what is left in the group and removes the folders made by [`create`](Self::create), with those that the
    /// container made below them. Folders on the way that were made for it go too when they are empty. What was there
    /// before stays, and a group that is gone already is no error.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) naming the folder that could not be removed within about three seconds.
    pub fn destroy(&self) -> Result<()> {
        if !self.remove_if_idle() {
            self.kill_all()?;
        }
        self.remove_folders()
    }

    /// The way out of a container that ended by itself: the kernel refuses to remove a group with processes, so that
    /// none of the lists need be read. Whether every folder is gone.
    fn remove_if_idle(&self) -> bool {
        self.nodes.iter().all(|node| {
            node.created.last() == Some(&node.folder)
                && match rustix::fs::rmdir(&node.folder) {
                    Ok(()) => true,
                    Err(error) => is_gone(&error.into()),
                }
        })
    }

    pub(super) fn remove_folders(&self) -> Result<()> {
        let mut first_failure = Ok(());
        for node in &self.nodes {
            let Some((leaf, above)) = node.created.split_last() else { continue };
            let removed = if *leaf == node.folder {
                remove_tree(leaf, 0)
            } else {
                remove_if_empty(leaf);
                Ok(())
            };
            if removed.is_ok() {
                above.iter().rev().for_each(|path| remove_if_empty(path));
            }
            if first_failure.is_ok() {
                first_failure = removed;
            }
        }
        first_failure
    }
}

/// Removes a group and those below it, the deepest first.
fn remove_tree(path: &Path, depth: u32) -> Result<()> {
    let mut pause = FIRST_PAUSE;
    for _ in 0..ROUNDS {
        match rustix::fs::rmdir(path) {
            Ok(()) => return Ok(()),
            Err(error) if is_gone(&error.into()) => return Ok(()),
            // EBUSY: processes that are still ending, or groups below; a plain folder says ENOTEMPTY.
            Err(Errno::BUSY | Errno::NOTEMPTY) => {}
            // On a read-only file system the kernel says so first.
            Err(_) if !path.exists() => return Ok(()),
            Err(error) => return Err(failed("remove cgroup", path, error)),
        }
        let below: Vec<PathBuf> = children(path)?;
        if below.is_empty() {
            sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        } else if depth < MAX_DEPTH {
            below.iter().try_for_each(|child| remove_tree(child, depth + 1))?;
        } else {
            break;
        }
    }
    let mut left = BTreeSet::new();
    collect_pids(path, &mut left)?;
    Err(failed(format!("remove cgroup (processes {left:?} are in it)"), path, io::Error::from(Errno::BUSY)))
}

/// Folders on the way may be in use by others now, which is no failure of ours.
fn remove_if_empty(path: &Path) {
    let _ = rustix::fs::rmdir(path);
}
