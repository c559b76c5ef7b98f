//! PAX extended headers (POSIX.1-2001 pax, "pax Header Block"): records that replace or add to a header's fields.

use super::fault::Fault;
use super::number;
use super::xattr::Xattrs;
use super::{FramingLimits, Timestamp};

/// What the records before one entry say.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) path: Record<Vec<u8>>,
    pub(super) link: Record<Vec<u8>>,
    pub(super) size: Record<u64>,
    pub(super) uid: Record<u32>,
    pub(super) gid: Record<u32>,
    pub(super) mtime: Record<Timestamp>,
    pub(super) device_major: Record<u32>,
    pub(super) device_minor: Record<u32>,
    pub(super) xattrs: Xattrs,
    pub(super) sparse: SparseRecords,
    /// Known keys that are not applied.
    pub(super) unsupported: Vec<&'static str>,
}

/// One key's state: POSIX lets an empty value delete what came before, global headers included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Record<T> {
    #[default]
    Unset,
    Deleted,
    Set(T),
}

impl<T> Record<T> {
    pub(super) fn set(self) -> Option<T> {
        match self {
            Self::Set(value) => Some(value),
            _ => None,
        }
    }

    /// This entry's value, or the global one where it says nothing.
    pub(super) fn or(self, global: Self) -> Option<T> {
        match self {
            Self::Unset => global.set(),
            own => own.set(),
        }
    }
}

/// The records of GNU tar's sparse formats 0.0, 0.1 and 1.0.
#[derive(Debug, Default)]
pub(super) struct SparseRecords {
    pub(super) any: bool,
    pub(super) name: Record<Vec<u8>>,
    pub(super) major: u64,
    pub(super) minor: u64,
    /// The size with holes: `GNU.sparse.size`, or `GNU.sparse.realsize` in 1.0.
    pub(super) size: Option<u64>,
    pub(super) blocks: Option<u64>,
    /// Offsets and lengths by turns.
    pub(super) numbers: Vec<u64>,
}

/// What of a global header is kept: the fields that make sense for every entry.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct GlobalRecords {
    pub(super) uid: Record<u32>,
    pub(super) gid: Record<u32>,
    pub(super) mtime: Record<Timestamp>,
}

impl GlobalRecords {
    /// Takes over what a global header sets, and gives the keys that are ignored.
    ///
    /// A global path, size or sparse map would make every entry the same file; global xattrs would have to be
    /// copied for each entry. Nobody writes these; other readers apply or ignore them.
    pub(super) fn merge(&mut self, records: Records) -> Vec<&'static str> {
        fn update<T: Copy + PartialEq>(own: &mut Record<T>, new: Record<T>) {
            if new != Record::Unset {
                *own = new;
            }
        }
        update(&mut self.uid, records.uid);
        update(&mut self.gid, records.gid);
        update(&mut self.mtime, records.mtime);
        let mut ignored = records.unsupported;
        for (key, is_there) in [
            ("path", records.path.set().is_some()),
            ("linkpath", records.link.set().is_some()),
            ("size", records.size.set().is_some()),
            ("SCHILY.dev", records.device_major.set().is_some() || records.device_minor.set().is_some()),
            ("xattr", !records.xattrs.into_list().is_empty()),
            ("GNU.sparse", records.sparse.any),
        ] {
            if is_there {
                ignored.push(key);
            }
        }
        ignored
    }
}

impl Records {
    /// Takes in the records of one extension header. Of a repeated key the last value counts.
    pub(super) fn parse(&mut self, mut bytes: &[u8], limits: &FramingLimits) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes)?;
            self.apply(key, value, limits)?;
            bytes = rest;
        }
        Ok(())
    }

    fn apply(&mut self, key: &[u8], value: &[u8], limits: &FramingLimits) -> Result<(), Fault> {
        match key {
            b"path" => self.path = name("path", value, limits)?,
            b"linkpath" => self.link = name("linkpath", value, limits)?,
            b"size" => {
                self.size = parsed(value, |v| number::size("PAX size", number::decimal("PAX size", v)?))?
            }
            b"uid" => self.uid = parsed(value, |v| number::owner("PAX uid", number::decimal("PAX uid", v)?))?,
            b"gid" => self.gid = parsed(value, |v| number::owner("PAX gid", number::decimal("PAX gid", v)?))?,
            b"mtime" => self.mtime = parsed(value, |v| number::time("PAX mtime", v))?,
            b"SCHILY.devmajor" => self.device_major = parsed(value, device)?,
            b"SCHILY.devminor" => self.device_minor = parsed(value, device)?,
            b"SCHILY.acl.access" => self.unsupported("SCHILY.acl.access"),
            b"SCHILY.acl.default" => self.unsupported("SCHILY.acl.default"),
            b"SCHILY.acl.ace" => self.unsupported("SCHILY.acl.ace"),
            _ => {
                if let Some(xattr) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.schily(xattr, value, limits)?;
                } else if let Some(xattr) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    self.xattrs.libarchive(xattr, value, limits)?;
                } else if let Some(sparse) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.apply(sparse, value, limits)?;
                }
                // Other keys describe nothing that a file has: user names, access times, comments, charsets.
            }
        }
        Ok(())
    }

    fn unsupported(&mut self, key: &'static str) {
        if !self.unsupported.contains(&key) {
            self.unsupported.push(key);
        }
    }
}

impl SparseRecords {
    fn apply(&mut self, key: &[u8], value: &[u8], limits: &FramingLimits) -> Result<(), Fault> {
        let number = |value: &[u8]| {
            number::digits(value).ok_or_else(|| Fault::from("a GNU.sparse record is not a number"))
        };
        self.any = true;
        match key {
            b"name" => self.name = name("GNU.sparse.name", value, limits)?,
            b"major" => self.major = number(value)?,
            b"minor" => self.minor = number(value)?,
            b"size" | b"realsize" => {
                self.size = Some(number::size("sparse size", i128::from(number(value)?))?);
            }
            b"numblocks" => self.blocks = Some(number(value)?),
            b"offset" if self.numbers.len().is_multiple_of(2) => self.push(number(value)?, limits)?,
            b"numbytes" if !self.numbers.len().is_multiple_of(2) => self.push(number(value)?, limits)?,
            b"offset" | b"numbytes" => return Err("GNU.sparse offsets and lengths are out of turn".into()),
            b"map" => {
                self.numbers.clear();
                if !value.is_empty() {
                    for part in value.split(|&b| b == b',') {
                        self.push(number(part)?, limits)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, number: u64, limits: &FramingLimits) -> Result<(), Fault> {
        if self.numbers.len() / 2 >= limits.sparse_segments {
            return Err(Fault::limit("sparse segments", limits.sparse_segments));
        }
        self.numbers.push(number);
        Ok(())
    }
}

/// Key, value, and the bytes after the record.
type Parts<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// The next record `LENGTH KEY=VALUE\n`.
///
/// The length counts the whole record; values may hold any byte, newlines too, so nothing is searched for but the
/// first blank and the first equals sign.
fn record(bytes: &[u8]) -> Result<Parts<'_>, Fault> {
    // Twenty digits are more than any length that fits.
    let blank = bytes.iter().take(21).position(|&b| b == b' ').ok_or("a PAX record has no length")?;
    let (digits, _) = bytes.split_at(blank);
    let len = number::digits(digits).and_then(|len| usize::try_from(len).ok());
    let record = len.and_then(|len| bytes.get(blank + 1..len)).ok_or("a PAX record has a bad length")?;
    let rest = bytes.get(blank + 1 + record.len()..).unwrap_or_default();
    let body = record.strip_suffix(b"\n").ok_or("a PAX record does not end in a newline")?;
    let equals = body.iter().position(|&b| b == b'=').ok_or("a PAX record has no equals sign")?;
    let (key, value) = body.split_at(equals);
    if key.is_empty() {
        return Err("a PAX record has no key".into());
    }
    Ok((key, value.get(1..).unwrap_or_default(), rest))
}

fn parsed<T>(value: &[u8], parse: impl FnOnce(&[u8]) -> Result<T, Fault>) -> Result<Record<T>, Fault> {
    if value.is_empty() { Ok(Record::Deleted) } else { parse(value).map(Record::Set) }
}

fn name(what: &'static str, value: &[u8], limits: &FramingLimits) -> Result<Record<Vec<u8>>, Fault> {
    if value.len() > limits.path_bytes {
        return Err(Fault::too_long(value, limits.path_bytes));
    }
    if value.contains(&0) {
        return Err(format!("{what} holds a NUL byte").into());
    }
    parsed(value, |value| Ok(value.to_vec()))
}

fn device(value: &[u8]) -> Result<u32, Fault> {
    number::word("device number", number::decimal("device number", value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Records, Fault> {
        let mut records = Records::default();
        records.parse(bytes, &FramingLimits::default()).map(|()| records)
    }

    #[test]
    fn records_by_length() {
        let records = parse(b"13 path=a\nb=\n11 path=x=\n12 uid=4000\n7 gid=\n").unwrap();
        assert_eq!(records.path, Record::Set(b"x=".to_vec()));
        assert_eq!(records.uid, Record::Set(4000));
        assert_eq!(records.gid, Record::Deleted);
        assert_eq!(records.size, Record::Unset);
    }

    #[test]
    fn bad_records() {
        for bytes in [
            &b"8 path=a\n"[..],
            b"11 path=a\n",
            b"+11 path=a\n",
            b"-1 path=a\n",
            b" 11 path=a\n",
            b"9path=a\n",
            b"0 path=a\n",
            b"1 path=a\n",
            b"10 patha\n\n",
            b"8 patha\n",
            b"10 path=ab",
            b"4 =\n",
            b"5 =a\n",
            b"99999999999999999999 path=a\n",
            b"18446744073709551615 path=a\n",
            b"10 path=\0\n",
            b"11 size=-1\n",
            b"10 size=x\n",
            b"28 size=9223372036854775808\n",
            b"18 uid=4294967295\n",
            b"18 gid=4294967296\n",
            b"\n",
            b"\0\0",
        ] {
            assert!(parse(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn sparse_pairs_keep_their_turns() {
        let records = parse(b"23 GNU.sparse.offset=0\n25 GNU.sparse.numbytes=5\n").unwrap();
        assert_eq!(records.sparse.numbers, [0, 5]);
        assert!(parse(b"25 GNU.sparse.numbytes=5\n").is_err());
        assert_eq!(parse(b"26 GNU.sparse.map=0,5,9,1\n").unwrap().sparse.numbers, [0, 5, 9, 1]);
        assert!(parse(b"22 GNU.sparse.map=0,,\n").is_err());
    }
}
