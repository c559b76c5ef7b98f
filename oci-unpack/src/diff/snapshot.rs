use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::SystemTime;

use super::record::{Digests, Record, Recorded};
use crate::framing::Timestamp;
use crate::pack::node::{Folder, Node};
use crate::pack::walk::failed;
use crate::{Error, Result};

/// What a tree was at one time: names, attributes, and digests of the contents; for [`since`](super::since).
///
/// Sockets are not part of it. It names the files by device and inode, too, with the times of their last change, so
/// that what was not touched need not be read again to be known as the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub(super) record: Record,
    /// When the last node had been looked at.
    pub(super) taken: Timestamp,
}

impl Snapshot {
    /// Takes it of any folder, by reading all of it.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) naming what cannot be read.
    pub fn of(folder: &Path) -> Result<Self> {
        let root = Folder::open(folder).map_err(|e| failed("opening", folder, b"", e))?;
        let record = Record::of(folder, &root, Some(&Digests::default()))?;
        Ok(Self { record, taken: now() })
    }

    /// Takes it of a tree whose contents were hashed when they were written.
    pub(crate) fn of_unpacked(root: &OwnedFd, digests: Digests) -> Result<Self> {
        let folder = Folder::again(root).map_err(|e| Error::io("looking at the tree", e))?;
        let record = Record::of(Path::new(""), &folder, Some(&digests))?;
        Ok(Self { record, taken: now() })
    }

    /// How many nodes the tree has, its root among them.
    pub fn entries(&self) -> u64 {
        self.record.nodes.len() as u64
    }

    /// Whether this is the same node and was not written to since, as far as times can tell.
    ///
    /// Every change sets ctime, and nothing sets it back. But the clock of a file system moves in steps: what changed
    /// right before it was looked at may have changed again within the same step.
    pub(super) fn proves(&self, then: &Recorded, now: &Node) -> bool {
        let ctime = then.node.identity.ctime;
        // Steps are 10 ms at most, or whole seconds on file systems that keep no fractions.
        let step = if ctime.nanos == 0 { 2_000_000_000 } else { 20_000_000 };
        let nanos = |t: Timestamp| i128::from(t.seconds) * 1_000_000_000 + i128::from(t.nanos);
        let before = &then.node;
        before.identity == now.identity
            && nanos(ctime) + step <= nanos(self.taken)
            && (before.kind, before.size, before.mtime) == (now.kind, now.size, now.mtime)
            && (before.mode, before.uid, before.gid) == (now.mode, now.uid, now.gid)
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(0);
    Timestamp { seconds, nanos: since.subsec_nanos() }
}
