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
    /// The owner in the layer for one on the host, or which of the ids has none.
    pub(super) fn of(&self, uid: u32, gid: u32) -> Result<(u32, u32), String> {
        match self {
            Self::Keep => Ok((uid, gid)),
            Self::Fixed { uid, gid } => Ok((*uid, *gid)),
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
