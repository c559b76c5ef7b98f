use crate::recorded::Form;

/// Who owns the files of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Owners {
    /// Whoever owns them on this host.
    #[default]
    Keep,
    /// One owner for all: what an ordinary user wants, whose files would else be those of a user id that means
    /// nothing elsewhere.
    Fixed {
        /// The user id.
        uid: u32,
        /// The group id.
        gid: u32,
    },
    /// The owner that the host's id stands for inside a container, as in a user namespace. An id outside all ranges
    /// is an error.
    Mapped {
        /// Ranges of user ids.
        uids: Vec<IdRange>,
        /// Ranges of group ids.
        gids: Vec<IdRange>,
    },
    /// The owners that are recorded in `user.rootlesscontainers`, as
    /// [`Ownership::RootlessContainers`](crate::Ownership::RootlessContainers) and umoci leave them; 0:0 for what has
    /// no record. The records themselves do not go into the layer. One that is not understood is an error.
    RootlessContainers,
    /// The owners, modes, devices and pipes that are recorded in `user.containers.override_stat`, as
    /// [`Ownership::OverrideStat`](crate::Ownership::OverrideStat), containers/storage and fuse-overlayfs leave them;
    /// what has no record is 0:0 and else what it is. The records themselves do not go into the layer. One that is
    /// not understood is an error, and so is one that makes a device of a file with content.
    OverrideStat,
}

/// A range of ids, as in `/proc/PID/uid_map`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The first id inside the container, which the layer holds.
    pub container: u32,
    /// The first id on the host.
    pub host: u32,
    /// How many ids.
    pub size: u32,
}

impl Owners {
    /// Where the owners are, if not in the files' own attributes.
    pub(super) fn form(&self) -> Option<Form> {
        match self {
            Self::RootlessContainers => Some(Form::RootlessContainers),
            Self::OverrideStat => Some(Form::OverrideStat),
            Self::Keep | Self::Fixed { .. } | Self::Mapped { .. } => None,
        }
    }

    /// Whether ids in access control lists mean in the layer what they mean here.
    pub(super) fn keeps_ids(&self) -> bool {
        matches!(self, Self::Keep | Self::RootlessContainers | Self::OverrideStat)
    }

    /// The owner in the layer for one on the host, or which of the ids has none.
    pub(super) fn of(&self, uid: u32, gid: u32) -> Result<(u32, u32), String> {
        match self {
            Self::Keep => Ok((uid, gid)),
            Self::Fixed { uid, gid } => Ok((*uid, *gid)),
            Self::RootlessContainers | Self::OverrideStat => Ok((0, 0)),
            Self::Mapped { uids, gids } => {
                let uid = mapped(uids, uid).ok_or_else(|| format!("uid {uid} is not mapped"))?;
                let gid = mapped(gids, gid).ok_or_else(|| format!("gid {gid} is not mapped"))?;
                Ok((uid, gid))
            }
        }
    }
}

fn mapped(ranges: &[IdRange], id: u32) -> Option<u32> {
    ranges.iter().find_map(|range| {
        let offset = id.checked_sub(range.host)?;
        (offset < range.size).then(|| range.container.checked_add(offset)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let ranges = [
            IdRange { container: 0, host: 1000, size: 1 },
            IdRange { container: 1, host: 100_000, size: 65_536 },
        ];
        for (host, container) in [
            (1000, Some(0)),
            (100_000, Some(1)),
            (165_535, Some(65_536)),
            (165_536, None),
            (0, None),
            (1001, None),
        ] {
            assert_eq!(mapped(&ranges, host), container, "{host}");
        }
        assert_eq!(Owners::Fixed { uid: 0, gid: 5 }.of(1, 2), Ok((0, 5)));
        assert_eq!(Owners::Keep.of(1, 2), Ok((1, 2)));
    }
}
