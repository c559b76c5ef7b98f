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

/// What is recorded of a file. What is `None` is as the file itself has it, or for owners 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Recorded {
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) mode: Option<u32>,
    pub(crate) kind: Option<Kind>,
}

/// What a file stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Entry(EntryKind),
    Socket,
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

    /// Reads the attribute's value.
    pub(crate) fn parse(self, value: &[u8]) -> Result<Recorded, String> {
        let parsed = match self {
            Self::RootlessContainers => parse_message(value),
            Self::OverrideStat => std::str::from_utf8(value).ok().and_then(parse_stat),
        };
        parsed.ok_or_else(|| {
            format!("the attribute {} is not understood", String::from_utf8_lossy(self.name()))
        })
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

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Fields that are not known are skipped, and of a field that comes twice the last counts, as protobuf has it.
fn parse_message(mut bytes: &[u8]) -> Option<Recorded> {
    // proto3: a field that is not there is 0.
    let (mut uid, mut gid) = (0, 0);
    while !bytes.is_empty() {
        let tag = take_varint(&mut bytes)?;
        let skip = match (tag >> 3, tag & 7) {
            (1, 0) => {
                uid = u32::try_from(take_varint(&mut bytes)?).ok()?;
                0
            }
            (2, 0) => {
                gid = u32::try_from(take_varint(&mut bytes)?).ok()?;
                0
            }
            (0..=2, _) => return None,
            (_, 0) => take_varint(&mut bytes).map(|_| 0)?,
            (_, 1) => 8,
            (_, 2) => take_varint(&mut bytes)?,
            (_, 5) => 4,
            _ => return None,
        };
        bytes = bytes.get(usize::try_from(skip).ok()?..)?;
    }
    let id = |id: u32| (id != UNCHANGED).then_some(id);
    Some(Recorded { uid: id(uid), gid: id(gid), ..Recorded::default() })
}

fn parse_stat(text: &str) -> Option<Recorded> {
    // fuse-overlayfs passes a value on with the NUL byte that ended it in C.
    let mut parts = text.trim_end_matches('\0').split(':');
    let uid = number(parts.next()?, 10)?;
    let gid = number(parts.next()?, 10)?;
    let mode = number(parts.next()?, 8)? & 0o7777;
    if uid == u32::MAX || gid == u32::MAX {
        return None;
    }
    let kind = match parts.next() {
        None => None,
        Some(kind) => Some(parse_kind(kind)?),
    };
    parts.next().is_none().then_some(Recorded { uid: Some(uid), gid: Some(gid), mode: Some(mode), kind })
}

fn parse_kind(text: &str) -> Option<Kind> {
    let device = |numbers: &str| {
        let (major, minor) = numbers.split_once('-')?;
        Some((number(major, 10)?, number(minor, 10)?))
    };
    Some(Kind::Entry(match text {
        "file" => EntryKind::Regular,
        "dir" => EntryKind::Directory,
        "symlink" => EntryKind::Symlink,
        "pipe" => EntryKind::Fifo,
        "socket" => return Some(Kind::Socket),
        _ => match text.split_once('-')? {
            ("char", numbers) => {
                device(numbers).map(|(major, minor)| EntryKind::CharDevice { major, minor })?
            }
            ("block", numbers) => {
                device(numbers).map(|(major, minor)| EntryKind::BlockDevice { major, minor })?
            }
            _ => return None,
        },
    }))
}

/// Digits alone: no sign, no blanks.
fn number(text: &str, radix: u32) -> Option<u32> {
    if text.starts_with('+') {
        return None;
    }
    u32::from_str_radix(text, radix).ok()
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
            let value = form.value(EntryKind::Regular, uid, gid, 0).unwrap();
            assert_eq!(value, expected, "{uid}:{gid}");
            let read = form.parse(&value).unwrap();
            assert_eq!((read.uid.unwrap_or(0), read.gid.unwrap_or(0)), (uid, gid));
        }
        assert_eq!(form.value(EntryKind::Directory, 0, 0, 0o755), None);
        // Fields that are missing, that come twice, and that nobody knows yet.
        for (value, owner) in [
            (&b""[..], (0, 0)),
            (&[0x10, 7], (0, 7)),
            (&[0x08, 1, 0x08, 2], (2, 0)),
            (&[0x1a, 2, b'h', b'i', 0x20, 0xff, 1, 0x08, 3], (3, 0)),
        ] {
            let read = form.parse(value).unwrap();
            assert_eq!((read.uid, read.gid), (Some(owner.0), Some(owner.1)), "{value:?}");
        }
        for broken in [
            &[0x08][..],
            &[0x08, 0x80],
            &[0x0a, 1, 1],
            &[0x1a, 9, 1],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0x1f],
            &[0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            assert!(form.parse(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn override_stat() {
        let form = Form::OverrideStat;
        for (kind, mode, expected) in [
            (EntryKind::Regular, 0o4755, "1:2:4755:file"),
            (EntryKind::Directory, 0o755, "1:2:0755:dir"),
            (EntryKind::Fifo, 0o600, "1:2:0600:pipe"),
            (EntryKind::CharDevice { major: 1, minor: 3 }, 0o666, "1:2:0666:char-1-3"),
            (EntryKind::BlockDevice { major: 8, minor: 17 }, 0o660, "1:2:0660:block-8-17"),
        ] {
            let value = form.value(kind, 1, 2, mode).unwrap();
            assert_eq!(value, expected.as_bytes());
            let read = form.parse(&value).unwrap();
            let want =
                Recorded { uid: Some(1), gid: Some(2), mode: Some(mode), kind: Some(Kind::Entry(kind)) };
            assert_eq!(read, want);
        }
        // Older writers leave out the type, and the mode may hold that of the file's kind.
        let read = form.parse(b"0:5:100644\0").unwrap();
        assert_eq!(read, Recorded { uid: Some(0), gid: Some(5), mode: Some(0o644), kind: None });
        assert_eq!(form.parse(b"0:0:755:socket").unwrap().kind, Some(Kind::Socket));
        for broken in [
            "",
            "1",
            "1:2",
            "1:2:",
            "a:2:755",
            "1:2:888",
            "-1:2:755",
            "+1:2:755",
            " 1:2:755",
            "1:2:755:",
            "1:2:755:door",
            "1:2:755:char-1",
            "1:2:755:char-1-",
            "1:2:755:char-1-2-3",
            "1:2:755:file:x",
            "4294967296:2:755",
            "4294967295:2:755",
            "1:2:755:char--1-2",
        ] {
            assert!(form.parse(broken.as_bytes()).is_err(), "{broken:?}");
        }
        assert!(form.parse(b"\xff").is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(uid in 0..u32::MAX, gid in 0..u32::MAX, mode in 0u32..0o10000, major in 0u32.., minor in 0u32..) {
            for kind in [EntryKind::Directory, EntryKind::CharDevice { major, minor }, EntryKind::BlockDevice { major, minor }] {
                let read = Form::OverrideStat.parse(&Form::OverrideStat.value(kind, uid, gid, mode).unwrap()).unwrap();
                let kind = Some(Kind::Entry(kind));
                assert_eq!(read, Recorded { uid: Some(uid), gid: Some(gid), mode: Some(mode), kind });
            }
            if let Some(value) = Form::RootlessContainers.value(EntryKind::Regular, uid, gid, mode) {
                let read = Form::RootlessContainers.parse(&value).unwrap();
                assert_eq!((read.uid.unwrap_or(0), read.gid.unwrap_or(0)), (uid, gid));
            }
        }

        /// Any bytes: read or refused, and never taken for the id that the kernel takes for "unchanged".
        #[test]
        fn anything_may_stand_there(bytes in proptest::collection::vec(0u8.., 0..40), text in "[0-9]{0,12}:[0-9]{0,12}:[0-9]{0,6}(:[a-z]{0,7}(-[0-9]{0,11}){0,3})?") {
            for (form, bytes) in
                [(Form::RootlessContainers, &bytes[..]), (Form::OverrideStat, &bytes), (Form::OverrideStat, text.as_bytes())]
            {
                if let Ok(read) = form.parse(bytes) {
                    assert!(read.uid != Some(u32::MAX) && read.gid != Some(u32::MAX));
                }
            }
        }
    }

    #[test]
    fn names() {
        assert!(Form::OverrideStat.claims(b"user.fuseoverlayfs.override_stat"));
        assert!(!Form::RootlessContainers.claims(b"user.containers.override_stat"));
    }
}
