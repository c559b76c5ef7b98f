//! Writing headers: ustar, and PAX records for what ustar cannot hold.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use super::sparse;
use crate::framing::{BLOCK, Entry, EntryKind, Timestamp};

/// The name of PAX header blocks; it names no file.
const PAX_NAME: &[u8] = b"././@PaxHeader";
/// The largest numbers of octal fields of 8 and 12 bytes.
const MAX_8: u64 = 0o7777777;
const MAX_12: u64 = 0o77777777777;

/// Writes everything that stands before an entry's data.
pub(super) fn write_header(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let mut records = Records::default();
    let mut header = tar::Header::new_ustar();

    let map = entry.segments.as_ref().map(|segments| sparse::map(segments, entry.size)).unwrap_or_default();
    let shown = match &entry.segments {
        Some(_) => {
            records.push(&b"GNU.sparse.major"[..], b"1");
            records.push(&b"GNU.sparse.minor"[..], b"0");
            records.push(&b"GNU.sparse.realsize"[..], entry.size.to_string().as_bytes());
            records.name("GNU.sparse.name", &entry.path);
            Cow::Owned(sparse_name(&entry.path))
        }
        None => Cow::Borrowed(&entry.path[..]),
    };
    let path = path_fields(&shown);
    if path.is_none() {
        records.name("path", &shown);
    }
    let (prefix, name) = path.unwrap_or((b"", ascii_prefix(&shown)));
    let link = if fits(&entry.link, 100) {
        &entry.link[..]
    } else {
        records.name("linkpath", &entry.link);
        ascii_prefix(&entry.link)
    };
    if let Some(ustar) = header.as_ustar_mut() {
        put(&mut ustar.name, name);
        put(&mut ustar.prefix, prefix);
        put(&mut ustar.linkname, link);
    }

    header.set_entry_type(match entry.kind {
        EntryKind::Regular => tar::EntryType::Regular,
        EntryKind::HardLink => tar::EntryType::Link,
        EntryKind::Symlink => tar::EntryType::Symlink,
        EntryKind::CharDevice { .. } => tar::EntryType::Char,
        EntryKind::BlockDevice { .. } => tar::EntryType::Block,
        EntryKind::Directory => tar::EntryType::Directory,
        EntryKind::Fifo => tar::EntryType::Fifo,
    });
    if let EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } = entry.kind {
        // The kernel's numbers have 12 and 20 bits, the fields 21.
        header.set_device_major(major)?;
        header.set_device_minor(minor)?;
    }
    header.set_mode(entry.mode & 0o7777);
    header.set_uid(records.number("uid", entry.uid.into(), MAX_8));
    header.set_gid(records.number("gid", entry.gid.into(), MAX_8));
    let size = if entry.kind == EntryKind::Regular { map.len() as u64 + entry.stored_size() } else { 0 };
    header.set_size(records.number("size", size, MAX_12));
    header.set_mtime(records.time(entry.mtime));
    for (name, value) in &entry.xattrs {
        records.push([b"SCHILY.xattr.", &name[..]].concat(), value);
    }
    header.set_cksum();

    let body = records.encoded();
    if !body.is_empty() {
        let mut pax = tar::Header::new_ustar();
        if let Some(ustar) = pax.as_ustar_mut() {
            put(&mut ustar.name, PAX_NAME);
        }
        pax.set_entry_type(tar::EntryType::XHeader);
        pax.set_mode(0o644);
        pax.set_uid(0);
        pax.set_gid(0);
        pax.set_mtime(0);
        pax.set_size(body.len() as u64);
        pax.set_cksum();
        out.write_all(pax.as_bytes())?;
        out.write_all(&body)?;
        write_padding(out, body.len() as u64)?;
    }
    out.write_all(header.as_bytes())?;
    out.write_all(&map)
}

/// What readers that do not know sparse entries see: a file of its own, with the map in front, as GNU tar names it.
fn sparse_name(path: &[u8]) -> Vec<u8> {
    let (dir, name) = path.split_at(path.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1));
    [dir, b"GNUSparseFile.0/", name].concat()
}

/// Fills the last block of `size` bytes.
pub(super) fn write_padding(out: &mut impl Write, size: u64) -> io::Result<()> {
    let zeros = [0; BLOCK];
    let rest = (size % BLOCK as u64) as usize;
    if rest == 0 { Ok(()) } else { out.write_all(&zeros[rest..]) }
}

/// PAX records, written in the order of their keys.
#[derive(Default)]
struct Records(Vec<(Cow<'static, [u8]>, Vec<u8>)>);

impl Records {
    fn push(&mut self, key: impl Into<Cow<'static, [u8]>>, value: &[u8]) {
        self.0.push((key.into(), value.to_vec()));
    }

    fn name(&mut self, key: &'static str, value: &[u8]) {
        // pax: values are UTF-8, unless this says that they are whatever bytes the system had.
        if std::str::from_utf8(value).is_err() && !self.0.iter().any(|(key, _)| key.as_ref() == b"hdrcharset")
        {
            self.push(&b"hdrcharset"[..], b"BINARY");
        }
        self.push(key.as_bytes(), value);
    }

    /// The number for the header field: 0 when a record has to say it.
    fn number(&mut self, key: &'static str, value: u64, max: u64) -> u64 {
        if value <= max {
            return value;
        }
        self.push(key.as_bytes(), value.to_string().as_bytes());
        0
    }

    fn time(&mut self, time: Timestamp) -> u64 {
        let field = u64::try_from(time.seconds).unwrap_or(0).min(MAX_12);
        if time.nanos > 0 || i64::try_from(field) != Ok(time.seconds) {
            self.push(&b"mtime"[..], pax_time(time).as_bytes());
        }
        field
    }

    fn encoded(mut self) -> Vec<u8> {
        // hdrcharset concerns what follows it: it goes first.
        self.0.sort_by(|a, b| {
            (a.0.as_ref() != b"hdrcharset", &a.0).cmp(&(b.0.as_ref() != b"hdrcharset", &b.0))
        });
        let mut body = Vec::new();
        for (key, value) in &self.0 {
            let rest = key.len() + value.len() + 3;
            // The length counts its own digits.
            let mut len = rest + 1;
            while len != rest + digits(len) {
                len = rest + digits(len);
            }
            body.extend_from_slice(len.to_string().as_bytes());
            body.push(b' ');
            body.extend_from_slice(key);
            body.push(b'=');
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        body
    }
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Seconds with a fraction, without zeros at its end. The sign is that of the whole: -1.5 lies before -1.
fn pax_time(time: Timestamp) -> String {
    let total = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    let (whole, fraction) = (total.unsigned_abs() / 1_000_000_000, total.unsigned_abs() % 1_000_000_000);
    let mut text = if total < 0 { String::from("-") } else { String::new() };
    // Writing to a string cannot fail.
    let _ = write!(text, "{whole}");
    if fraction > 0 {
        let _ = write!(text, ".{fraction:09}");
        text.truncate(text.trim_end_matches('0').len());
    }
    text
}

/// The prefix and name fields, if the path fits into them as plain ASCII.
fn path_fields(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if fits(path, 100) {
        return Some((b"", path));
    }
    if !fits(path, 256) {
        return None;
    }
    // The last slash but one at the end; a directory keeps its own.
    let slashes =
        path.iter().enumerate().filter(|&(i, &b)| b == b'/' && i > 0 && i + 1 < path.len()).map(|(i, _)| i);
    slashes
        .rev()
        .map(|i| (&path[..i], &path[i + 1..]))
        .find(|(prefix, name)| prefix.len() <= 155 && name.len() <= 100)
}

fn fits(name: &[u8], field: usize) -> bool {
    name.len() <= field && name.is_ascii()
}

/// What readers without PAX see of a name.
fn ascii_prefix(name: &[u8]) -> &[u8] {
    let end = name.iter().take(100).position(|b| !b.is_ascii()).unwrap_or(name.len().min(100));
    &name[..end]
}

fn put(field: &mut [u8], bytes: &[u8]) {
    for (to, from) in field.iter_mut().zip(bytes) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_themselves() {
        for (len, expected) in [(1, "8 k="), (3, "10 k="), (92, "99 k="), (93, "101 k="), (992, "1001 k=")] {
            let mut records = Records::default();
            records.push(&b"k"[..], &vec![b'v'; len]);
            let body = records.encoded();
            let text = String::from_utf8_lossy(&body);
            let written: usize = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(written, body.len(), "{expected}");
        }
    }

    #[test]
    fn times() {
        for (seconds, nanos, expected) in [
            (0, 5, "0.000000005"),
            (1, 500_000_000, "1.5"),
            (-1, 0, "-1"),
            (-2, 500_000_000, "-1.5"),
            (-1, 750_000_000, "-0.25"),
            (i64::MIN, 0, "-9223372036854775808"),
        ] {
            assert_eq!(pax_time(Timestamp { seconds, nanos }), expected);
        }
    }

    #[test]
    fn paths_into_fields() {
        let long = |n: usize| vec![b'a'; n];
        let joined = |a: usize, b: usize| [long(a), b"/".to_vec(), long(b)].concat();
        for (path, fine) in [
            (long(100), true),
            (long(101), false),
            (joined(155, 100), true),
            (joined(156, 99), false),
            (joined(50, 101), false),
            ([joined(99, 99), b"/".to_vec()].concat(), true),
            ([long(100), b"/".to_vec()].concat(), false),
        ] {
            let fields = path_fields(&path);
            assert_eq!(fields.is_some(), fine, "{}", path.len());
            if let Some((prefix, name)) = fields.filter(|fields| !fields.0.is_empty()) {
                assert_eq!([prefix, b"/", name].concat(), path);
                assert!(!name.is_empty());
            }
        }
    }
}
