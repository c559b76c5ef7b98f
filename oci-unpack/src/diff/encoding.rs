//! Snapshots as files.
//!
//! ```text
//! file    = "oci-unpack snapshot 1\n" time number node* sha256
//! node    = depth kind name mode uid gid time time dev inode flags rest xattrs
//! kind    = "d" | "f" | "l" | "c" | "b" | "p"
//! rest    = "f": size [digest]; "l": target; "c", "b": major minor; else nothing
//! xattrs  = number (name value)*
//! ```
//! The first time is when the snapshot was taken, then comes the number of nodes. Nodes stand in the order in which a
//! tree is walked, the root first: its depth is 0 and its name empty. The times of a node are those of its
//! content and of its last change. Flags are 1 for a node of several names and 2 for a file with a digest (32 bytes). At
//! the end is the SHA-256 of all before it.
//!
//! Numbers are LEB128: seven bits to a byte, the lowest first, the eighth bit set in all bytes but the last. A time is
//! its seconds since 1970, zigzag (0, -1, 1, -2, …), and its nanoseconds. Names, targets and values are bytes with their
//! number before them.

use std::io::{self, BufReader, BufWriter, Read, Write};

use oci_digest::{Algorithm, HashWriter, Hasher};

use super::content::{ContentDigest, bytes_of};
use super::record::{Record, Recorded};
use super::snapshot::Snapshot;
use crate::framing::{EntryKind, Timestamp};
use crate::pack::node::{Identity, Node};
use crate::{Error, Limits, Result};

const MAGIC: &[u8] = b"oci-unpack snapshot 1\n";
const LINKED: u64 = 1;
const DIGEST: u64 = 2;
/// What Linux takes: a name, a target, an attribute's name, its value, all attributes of a node.
const NAME: usize = 255;
const TARGET: usize = 4095;
const VALUE: usize = 64 << 10;
const XATTRS: usize = 1 << 20;

impl Snapshot {
    /// Writes it, so that another process can [`read_from`](Self::read_from) it: about 100 bytes for a file.
    ///
    /// # Errors
    /// What writing can meet.
    pub fn write_to(&self, sink: impl Write) -> Result<()> {
        let mut out = HashWriter::new(BufWriter::new(sink), Algorithm::Sha256);
        self.encode(&mut out)
            .and_then(|()| {
                let (mut inner, digest, _) = out.finish();
                inner.write_all(&bytes_of(&digest))?;
                inner.flush()
            })
            .map_err(|e| Error::io("writing the snapshot", e))
    }

    /// Reads what [`write_to`](Self::write_to) wrote. Memory is bounded by [`Limits::entries`] and by the file's own size.
    ///
    /// # Errors
    /// [`Error::Io`] for what reading can meet, and with [`InvalidData`](io::ErrorKind::InvalidData) for a file that is no
    /// snapshot, is damaged or describes no tree; [`Error::Limit`].
    pub fn read_from(source: impl Read, limits: &Limits) -> Result<Self> {
        let input = Input { inner: BufReader::new(source), hasher: Hasher::new(Algorithm::Sha256) };
        input.snapshot(limits.entries).map_err(|e| Error::io("reading the snapshot", e))
    }

    fn encode(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        time(out, self.taken)?;
        number(out, self.record.nodes.len() as u64)?;
        // The ends of the directories that are open.
        let mut open: Vec<usize> = Vec::new();
        for (index, recorded) in self.record.nodes.iter().enumerate() {
            while open.pop_if(|end| *end <= index).is_some() {}
            number(out, open.len() as u64)?;
            node(out, recorded)?;
            if recorded.node.kind == EntryKind::Directory {
                open.push(recorded.end);
            }
        }
        Ok(())
    }
}

fn node(out: &mut impl Write, recorded: &Recorded) -> io::Result<()> {
    let node = &recorded.node;
    let kind = match node.kind {
        EntryKind::Directory => b'd',
        EntryKind::Symlink => b'l',
        EntryKind::CharDevice { .. } => b'c',
        EntryKind::BlockDevice { .. } => b'b',
        EntryKind::Fifo => b'p',
        EntryKind::Regular | EntryKind::HardLink => b'f',
    };
    out.write_all(&[kind])?;
    bytes(out, &recorded.name)?;
    for value in [node.mode, node.uid, node.gid] {
        number(out, value.into())?;
    }
    time(out, node.mtime)?;
    time(out, node.identity.ctime)?;
    number(out, node.identity.dev)?;
    number(out, node.identity.ino)?;
    let linked = if node.linked { LINKED } else { 0 };
    number(out, linked | if recorded.digest.is_some() { DIGEST } else { 0 })?;
    match node.kind {
        EntryKind::Regular | EntryKind::HardLink => {
            number(out, node.size)?;
            out.write_all(recorded.digest.as_ref().map_or(&[][..], |digest| &digest[..]))?;
        }
        EntryKind::Symlink => bytes(out, &node.link)?,
        EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } => {
            number(out, major.into())?;
            number(out, minor.into())?;
        }
        EntryKind::Directory | EntryKind::Fifo => {}
    }
    number(out, node.xattrs.len() as u64)?;
    for (name, value) in &node.xattrs {
        bytes(out, name)?;
        bytes(out, value)?;
    }
    Ok(())
}

fn number(out: &mut impl Write, mut value: u64) -> io::Result<()> {
    while value >= 0x80 {
        out.write_all(&[value as u8 | 0x80])?;
        value >>= 7;
    }
    out.write_all(&[value as u8])
}

fn time(out: &mut impl Write, time: Timestamp) -> io::Result<()> {
    number(out, ((time.seconds << 1) ^ (time.seconds >> 63)) as u64)?;
    number(out, time.nanos.into())
}

fn bytes(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    number(out, bytes.len() as u64)?;
    out.write_all(bytes)
}

/// Nothing that comes out of it is believed before it was looked at.
struct Input<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Input<R> {
    fn snapshot(mut self, max_nodes: u64) -> io::Result<Snapshot> {
        let mut magic = [0; MAGIC.len()];
        self.fill(&mut magic)?;
        if magic != MAGIC {
            return Err(invalid("not a snapshot of a tree, or of another version"));
        }
        let taken = self.time()?;
        let count = self.number()?;
        if count > max_nodes {
            return Err(Error::Limit { limit: "entries", maximum: max_nodes }.into());
        }
        let mut record = Record::default();
        let mut open: Vec<Open> = Vec::new();
        for index in 0..count {
            self.node(index == 0, &mut record, &mut open)?;
        }
        while let Some(dir) = open.pop() {
            dir.close(&mut record);
        }
        if record.nodes.is_empty() {
            return Err(invalid("a tree without a root"));
        }
        let digest = bytes_of(&self.hasher.finish());
        let mut told: ContentDigest = [0; 32];
        self.inner.read_exact(&mut told).map_err(cut)?;
        if told != digest {
            return Err(invalid("its bytes are not what was written"));
        }
        if self.inner.read(&mut [0])? > 0 {
            return Err(invalid("there is more behind its end"));
        }
        Ok(Snapshot { record, taken })
    }

    fn node(&mut self, root: bool, record: &mut Record, open: &mut Vec<Open>) -> io::Result<()> {
        let depth = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        while open.len() > depth {
            if let Some(dir) = open.pop() {
                dir.close(record);
            }
        }
        if open.len() != depth || root != (depth == 0) {
            return Err(invalid("a node that is in no directory"));
        }
        let kind = self.byte()?;
        let name = self.bytes(NAME)?;
        if root {
            if kind != b'd' || !name.is_empty() {
                return Err(invalid("the root is no directory, or has a name"));
            }
        } else {
            let odd = name.is_empty() || name == b"." || name == b"..";
            if odd || name.iter().any(|b| matches!(b, 0 | b'/')) {
                return Err(invalid("a name that no file can have"));
            }
            if let Some(dir) = open.last_mut() {
                if dir.last >= name {
                    return Err(invalid("names that are not in order"));
                }
                dir.last.clone_from(&name);
            }
        }
        let (node, digest) = self.rest(kind)?;
        let index = record.nodes.len();
        if node.kind == EntryKind::Directory {
            open.push(Open { index, last: Vec::new() });
        }
        record.nodes.push(Recorded { name: name.into(), end: index + 1, node, digest });
        Ok(())
    }

    fn rest(&mut self, kind: u8) -> io::Result<(Node, Option<ContentDigest>)> {
        let [mode, uid, gid] = [self.number32()?, self.number32()?, self.number32()?];
        let (mtime, ctime) = (self.time()?, self.time()?);
        let (dev, ino) = (self.number()?, self.number()?);
        let flags = self.number()?;
        if mode > 0o7777 || flags & !(LINKED | DIGEST) != 0 || (flags & DIGEST != 0 && kind != b'f') {
            return Err(invalid("a mode or a flag that does not exist"));
        }
        let (mut size, mut link, mut digest) = (0, Vec::new(), None);
        let kind = match kind {
            b'd' => EntryKind::Directory,
            b'p' => EntryKind::Fifo,
            b'f' => {
                size = self.number()?;
                if flags & DIGEST != 0 {
                    let mut bytes: ContentDigest = [0; 32];
                    self.fill(&mut bytes)?;
                    digest = Some(bytes);
                }
                EntryKind::Regular
            }
            b'l' => {
                link = self.bytes(TARGET)?;
                EntryKind::Symlink
            }
            b'c' => EntryKind::CharDevice { major: self.number32()?, minor: self.number32()? },
            b'b' => EntryKind::BlockDevice { major: self.number32()?, minor: self.number32()? },
            _ => return Err(invalid("a kind of node that does not exist")),
        };
        let mut xattrs = Vec::new();
        let mut room = XATTRS;
        for _ in 0..self.number()? {
            let (name, value) = (self.bytes(NAME)?, self.bytes(VALUE)?);
            // At least one byte each, or the number alone would fill the memory.
            let len = name.len() + value.len();
            room = room
                .checked_sub(len.max(1))
                .ok_or_else(|| invalid("more attributes than a node can have"))?;
            xattrs.push((name, value));
        }
        let linked = flags & LINKED != 0;
        let identity = Identity { dev, ino, ctime };
        Ok((Node { kind, mode, uid, gid, mtime, size, link, xattrs, identity, linked }, digest))
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.fill(&mut byte)?;
        Ok(byte[0])
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(invalid("a number beyond 64 bits"))
    }

    fn number32(&mut self) -> io::Result<u32> {
        u32::try_from(self.number()?).map_err(|_| invalid("a number beyond 32 bits"))
    }

    fn time(&mut self) -> io::Result<Timestamp> {
        let zigzag = self.number()?;
        let seconds = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        let nanos = self.number32()?;
        if nanos >= 1_000_000_000 {
            return Err(invalid("a time with more than a second in its fraction"));
        }
        Ok(Timestamp { seconds, nanos })
    }

    fn bytes(&mut self, max: usize) -> io::Result<Vec<u8>> {
        let len = self.number()?;
        let len = usize::try_from(len).ok().filter(|len| *len <= max);
        let mut bytes = vec![0; len.ok_or_else(|| invalid("a name or a value that is too long"))?];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(buffer).map_err(cut)?;
        self.hasher.update(buffer);
        Ok(())
    }
}

/// A directory whose end has not come yet.
struct Open {
    index: usize,
    /// The last name in it so far.
    last: Vec<u8>,
}

impl Open {
    fn close(&self, record: &mut Record) {
        let end = record.nodes.len();
        if let Some(dir) = record.nodes.get_mut(self.index) {
            dir.end = end;
        }
    }
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// A file that ends too early is as invalid as one with other bytes.
fn cut(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { invalid("it is cut off") } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Snapshot {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
        std::fs::create_dir(dir.path().join("a-")).unwrap();
        std::fs::write(dir.path().join("a/b/f"), "content").unwrap();
        std::fs::hard_link(dir.path().join("a/b/f"), dir.path().join("z")).unwrap();
        std::os::unix::fs::symlink("to", dir.path().join("link")).unwrap();
        let mut snapshot = Snapshot::of(dir.path()).unwrap();
        let nodes = &mut snapshot.record.nodes;
        nodes[1].node.xattrs = vec![(b"user.x".to_vec(), vec![0, 255]), (b"user.y".to_vec(), vec![])];
        nodes[1].node.mtime = Timestamp { seconds: i64::MIN, nanos: 999_999_999 };
        nodes[2].node.kind = EntryKind::Directory;
        nodes[2].node.identity.ino = u64::MAX;
        let last = nodes.len() - 1;
        nodes[last].node.kind = EntryKind::BlockDevice { major: 8, minor: 1 << 19 };
        nodes[last].node.size = 0;
        nodes[last].digest = None;
        snapshot
    }

    fn read(bytes: &[u8]) -> Result<Snapshot> {
        Snapshot::read_from(bytes, &Limits::default())
    }

    #[test]
    fn there_and_back() {
        let snapshot = sample();
        let mut bytes = Vec::new();
        snapshot.write_to(&mut bytes).unwrap();
        assert_eq!(read(&bytes).unwrap(), snapshot);
        let small = Snapshot::read_from(&bytes[..], &Limits::default().entries(3));
        assert!(matches!(small, Err(Error::Limit { maximum: 3, .. })), "{small:?}");
    }

    #[test]
    fn every_damage_is_noticed() {
        let mut bytes = Vec::new();
        sample().write_to(&mut bytes).unwrap();
        for at in 0..bytes.len() {
            let error = read(&bytes[..at]).unwrap_err();
            assert!(
                matches!(&error, Error::Io { source, .. } if source.to_string() == "it is cut off"),
                "{error:?}"
            );
            for bit in [1, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= bit;
                assert!(read(&damaged).is_err(), "{at}");
            }
        }
        bytes.push(0);
        assert!(read(&bytes).is_err());
    }

    /// With a digest that fits, so that only what they say is wrong.
    #[test]
    fn what_describes_no_tree() {
        let write = |change: &dyn Fn(&mut Snapshot)| {
            let mut snapshot = sample();
            change(&mut snapshot);
            let mut bytes = Vec::new();
            snapshot.write_to(&mut bytes).unwrap();
            read(&bytes)
        };
        assert!(write(&|_| ()).is_ok());
        for (what, result) in [
            ("no root", write(&|s| s.record.nodes.clear())),
            ("slash", write(&|s| s.record.nodes[1].name = (*b"a/b").into())),
            ("nul", write(&|s| s.record.nodes[1].name = (*b"a\0").into())),
            ("up", write(&|s| s.record.nodes[1].name = (*b"..").into())),
            ("empty", write(&|s| s.record.nodes[1].name = (*b"").into())),
            ("named root", write(&|s| s.record.nodes[0].name = (*b"a").into())),
            ("order", write(&|s| s.record.nodes[1].name = (*b"zz").into())),
            ("long name", write(&|s| s.record.nodes[1].name = [b'a'; 256].into())),
            ("mode", write(&|s| s.record.nodes[1].node.mode = 0o10000)),
            ("file with children", write(&|s| s.record.nodes[1].node.kind = EntryKind::Regular)),
            ("root is a file", write(&|s| s.record.nodes[0].node.kind = EntryKind::Regular)),
            ("second root", write(&|s| s.record.nodes[0].end = 2)),
            ("attributes", write(&|s| s.record.nodes[1].node.xattrs = vec![(vec![], vec![0; 64 << 10]); 20])),
        ] {
            let error = result.expect_err(what);
            let Error::Io { source, .. } = &error else { panic!("{what}: {error:?}") };
            assert_eq!(source.kind(), io::ErrorKind::InvalidData, "{what}");
        }
    }
}
