//! Owners, modes and kinds that an ordinary user cannot give to a file, recorded in an extended attribute of it.

use crate::framing::EntryKind;

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `user.rootlesscontainers`: a protobuf message `{uint32 uid = 1; uint32 gid = 2}`, as umoci and PRoot write it.
    /// Owners only.
    RootlessContainers,
    /// `user.containers.override_stat`: `uid:gid:mode[:type]`, the mode in octal, as containers/storage and
    /// fuse-overlayfs write it.
    OverrideStat,
}

impl Form {
    /// The attribute's name.
    pub(crate) fn name(self) -> &'static [u8] {
        match self {
            Self::RootlessContainers => b"user.rootlesscontainers",
            Self::OverrideStat => b"user.containers.override_stat",
        }
    }

    /// Whether tools that read this form would take an attribute of this name for a record.
    pub(crate) fn claims(self, name: &[u8]) -> bool {
        name == self.name() || self == Self::OverrideStat && name == b"user.fuseoverlayfs.override_stat"
    }

    /// The attribute's value; `None` when its absence says the same.
    pub(crate) fn value(self, kind: EntryKind, uid: u32, gid: u32, mode: u32) -> Option<Vec<u8>> {
        match self {
            Self::RootlessContainers if (uid, gid) == (0, 0) => None,
            Self::RootlessContainers => {
                // umoci writes what the attribute's absence would say as "unchanged".
                let id = |id: u32| if id == 0 { UNCHANGED } else { id };
                let mut value = vec![1 << 3];
                put_varint(&mut value, id(uid).into());
                value.push(2 << 3);
                put_varint(&mut value, id(gid).into());
                Some(value)
            }
            Self::OverrideStat => {
                let kind = match kind {
                    EntryKind::Regular | EntryKind::HardLink => "file".into(),
                    EntryKind::Directory => "dir".into(),
                    EntryKind::Symlink => "symlink".into(),
                    EntryKind::Fifo => "pipe".into(),
                    EntryKind::CharDevice { major, minor } => format!("char-{major}-{minor}"),
                    EntryKind::BlockDevice { major, minor } => format!("block-{major}-{minor}"),
                };
                Some(format!("{uid}:{gid}:{mode:04o}:{kind}").into_bytes())
            }
        }
    }
}

/// In `user.rootlesscontainers`: the id is that of the file itself, which is 0 for who unpacked it.
const UNCHANGED: u32 = u32::MAX;

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rootlesscontainers() {
        let form = Form::RootlessContainers;
        let unchanged = [0xff, 0xff, 0xff, 0xff, 0x0f];
        for (uid, gid, expected) in [
            (1000, 5, vec![0x08, 0xe8, 0x07, 0x10, 5]),
            (0, 42, [&[0x08][..], &unchanged, &[0x10, 42]].concat()),
            (300, 0, [&[0x08, 0xac, 0x02, 0x10][..], &unchanged].concat()),
        ] {
            assert_eq!(form.value(EntryKind::Regular, uid, gid, 0).unwrap(), expected, "{uid}:{gid}");
        }
        assert_eq!(form.value(EntryKind::Directory, 0, 0, 0o755), None);
    }

    #[test]
    fn override_stat() {
        for (kind, mode, expected) in [
            (EntryKind::Regular, 0o4755, "1:2:4755:file"),
            (EntryKind::Directory, 0o755, "1:2:0755:dir"),
            (EntryKind::Fifo, 0o600, "1:2:0600:pipe"),
            (EntryKind::CharDevice { major: 1, minor: 3 }, 0o666, "1:2:0666:char-1-3"),
            (EntryKind::BlockDevice { major: 8, minor: 17 }, 0o660, "1:2:0660:block-8-17"),
        ] {
            assert_eq!(Form::OverrideStat.value(kind, 1, 2, mode).unwrap(), expected.as_bytes());
        }
    }

    #[test]
    fn names() {
        assert!(Form::OverrideStat.claims(b"user.fuseoverlayfs.override_stat"));
        assert!(!Form::RootlessContainers.claims(b"user.containers.override_stat"));
    }
}
