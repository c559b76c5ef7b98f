use std::fmt;

/// What happens while layers are applied, for an observer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A layer's first bytes are being applied.
    LayerStarted {
        /// The layer's index, from 0, the lowest.
        layer: usize,
    },
    /// Work goes on; sent every thousand entries or few MiB.
    Progress {
        /// The layer's index.
        layer: usize,
        /// The entries applied so far, of all layers.
        entries: u64,
        /// The bytes of file content written so far, of all layers.
        bytes: u64,
    },
    /// Something was lost, or is not as the image says. [`Policies`](crate::Policies) and the strict mode make it
    /// an error, except for [`Warning::XattrExcluded`].
    Warning {
        /// The layer's index.
        layer: usize,
        /// The entry's name, as far as it is text; empty for the layer as a whole.
        path: String,
        /// What was lost.
        warning: Warning,
    },
    /// A layer was applied and its bytes were what the config says they are.
    LayerDone {
        /// The layer's index.
        layer: usize,
        /// The entries of this layer.
        entries: u64,
        /// The bytes of file content of this layer.
        bytes: u64,
    },
}

/// A loss, or a departure from what the image says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// An extended attribute that an option keeps out: `security.selinux`, `trusted.*` unless asked for, and in the
    /// modes that record owners what would pass for such a record. Never an error, because the caller chose it.
    XattrExcluded {
        /// The attribute's name.
        name: String,
    },
    /// An extended attribute that the kernel or the file system refused.
    XattrRefused {
        /// The attribute's name.
        name: String,
        /// The system's reason.
        reason: String,
    },
    /// A device that this process may not make; it is missing from the tree.
    DeviceSkipped,
    /// A device that this process may not make; an empty file stands in for it.
    DeviceReplaced,
    /// A character device 0:0 in a layer for overlayfs, where it would hide what lower layers have; it is missing.
    DeviceIsWhiteout,
    /// The owner could be neither set nor recorded: an id is not mapped, or the file system refused. Of the two ids the
    /// one that is mapped was set.
    OwnerDropped {
        /// The user id of the image.
        uid: u32,
        /// The group id of the image.
        gid: u32,
    },
    /// The file system cannot keep the modification time; the nearest one it keeps was set.
    TimeClamped {
        /// Seconds since 1970 of the image.
        seconds: i64,
    },
    /// Something that is no directory had an entry below it and was replaced by a directory.
    ParentReplaced,
    /// The same name came twice in one layer, which the image specification forbids; the later entry won.
    Duplicate,
    /// What the archive or its compression is not as it should be, in words.
    Format {
        /// What was noticed.
        reason: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::XattrExcluded { name } => write!(f, "extended attribute {name} left out by policy"),
            Self::XattrRefused { name, reason } => write!(f, "extended attribute {name} refused: {reason}"),
            Self::DeviceSkipped => f.write_str("device skipped: making it needs privileges"),
            Self::DeviceReplaced => {
                f.write_str("an empty file instead of the device: making it needs privileges")
            }
            Self::DeviceIsWhiteout => f.write_str("device 0:0 skipped: for overlayfs it is a whiteout"),
            Self::OwnerDropped { uid, gid } => write!(f, "owner {uid}:{gid} cannot be set"),
            Self::TimeClamped { seconds } => write!(f, "the file system cannot keep the time {seconds}"),
            Self::ParentReplaced => f.write_str("not a directory but has entries below it: replaced by one"),
            Self::Duplicate => f.write_str("named twice in one layer: the later entry won"),
            Self::Format { reason } => f.write_str(reason),
        }
    }
}
