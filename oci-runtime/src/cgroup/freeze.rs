use std::io;
use std::thread::sleep;
use std::time::Duration;

use super::file::{Folder, failed, keyed};
use super::{Cgroup, Node};
use crate::{Error, Result};

const PAUSE: Duration = Duration::from_millis(1);
/// About two seconds; a process in an uninterruptible system call keeps version 1 "FREEZING" as long as it is there.
const ROUNDS: u32 = 2000;

impl Cgroup {
    /// Stops every process of the group, by the freezer of version 1 or `cgroup.freeze` of version 2 (Linux 5.2), and
    /// waits until all of them stand still.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the machine has no freezer for this group; [`Error::Io`] when the processes do not
    /// come to a stop within about two seconds (they are thawed again then) or the file cannot be written.
    pub fn freeze(&self) -> Result<()> {
        let done = self.change(true)?;
        if done {
            return Ok(());
        }
        self.change(false)?;
        let path = self.freezer().map(|node| node.folder.clone()).unwrap_or_default();
        Err(failed("freeze cgroup", &path, io::ErrorKind::TimedOut))
    }

    /// Lets the processes go on.
    ///
    /// # Errors
    /// As [`freeze`](Self::freeze).
    pub fn thaw(&self) -> Result<()> {
        self.change(false).map(drop)
    }

    /// Whether the group is frozen, by its own state. `false` where there is no freezer.
    ///
    /// # Errors
    /// [`Error::Io`] when the state exists but cannot be read.
    pub fn is_frozen(&self) -> Result<bool> {
        match self.freezer() {
            Some(node) => is_frozen(&node.open()?, node),
            None => Ok(false),
        }
    }

    fn freezer(&self) -> Option<&Node> {
        self.node_of("freezer").or_else(|| self.unified())
    }

    /// Whether the state was reached in time.
    fn change(&self, freeze: bool) -> Result<bool> {
        let Some(node) = self.freezer() else { return Err(no_freezer()) };
        let folder = node.open()?;
        if node.v2 {
            if !folder.has("cgroup.freeze") {
                return Err(no_freezer());
            }
            folder.write("cgroup.freeze", if freeze { "1" } else { "0" })?;
        } else {
            folder.write("freezer.state", if freeze { "FROZEN" } else { "THAWED" })?;
        }
        for round in 0..ROUNDS {
            if is_frozen(&folder, node)? == freeze {
                return Ok(true);
            }
            // A child forked in between can leave version 1 at FREEZING for good; writing again takes it in.
            if freeze && !node.v2 && round % 50 == 49 {
                folder.write("freezer.state", "FROZEN")?;
            }
            sleep(PAUSE);
        }
        Ok(false)
    }
}

fn is_frozen(folder: &Folder<'_>, node: &Node) -> Result<bool> {
    if node.v2 {
        Ok(keyed(&folder.read("cgroup.events")?, "frozen") == Some(1))
    } else {
        Ok(folder.read("freezer.state")?.trim() == "FROZEN")
    }
}

fn no_freezer() -> Error {
    Error::Unsupported {
        what: "pausing the container".to_owned(),
        reason: "its cgroup has neither the v1 controller `freezer` nor the file `cgroup.freeze`".to_owned(),
    }
}
