use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oci_digest::{Algorithm, HashWriter};

use super::header::{write_header, write_padding};
use super::{PackOptions, PackedLayer};
use crate::compression::Encoder;
use crate::framing::{BLOCK, Entry, EntryKind, Timestamp};
use crate::{Error, Result};

/// Writes a layer entry by entry, compressing and hashing on the way, in constant memory for the content.
///
/// The layer has the entries in the order of the calls. Entries are owned by 0:0 and have the time of
/// [`PackOptions::latest_mtime`], or 0; [`add`](Self::add) takes others. Parents need not be added: a directory
/// that no entry names is 0755.
///
/// ```
/// use oci_unpack::pack::{LayerWriter, PackOptions};
///
/// let mut layer = LayerWriter::new(Vec::new(), &PackOptions::default())?;
/// layer.add_dir("etc", 0o755)?;
/// layer.add_file("etc/motd", 0o644, 6, &b"hello\n"[..])?;
/// layer.add_symlink("motd", "etc/motd")?;
/// let (blob, packed) = layer.finish()?;
/// assert_eq!(packed.size, blob.len() as u64);
/// assert_eq!(packed.entries, 3);
/// # Ok::<(), oci_unpack::Error>(())
/// ```
#[derive(Debug)]
pub struct LayerWriter<W: Write> {
    out: HashWriter<Encoder<HashWriter<W>>>,
    options: PackOptions,
    entries: u64,
    names: HashSet<Box<[u8]>>,
    buffer: Box<[u8]>,
}

const BUFFER: usize = 256 << 10;
const WHITEOUT: &[u8] = b".wh.";

impl<W: Write> LayerWriter<W> {
    /// A layer whose blob goes to `sink`. Of the options, those about folders mean nothing here.
    ///
    /// # Errors
    /// As [`Encoder::new`].
    pub fn new(sink: W, options: &PackOptions) -> Result<Self> {
        let blob = HashWriter::new(sink, Algorithm::Sha256);
        let encoder = Encoder::with_threads(blob, options.compression, options.level, options.threads)?;
        Ok(Self {
            out: HashWriter::new(encoder, Algorithm::Sha256),
            options: options.clone(),
            entries: 0,
            names: HashSet::new(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
        })
    }

    /// Adds a directory.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_dir(&mut self, path: impl AsRef<Path>, mode: u32) -> Result<()> {
        self.add(self.entry(path, EntryKind::Directory, mode), io::empty())
    }

    /// Adds a file of exactly `size` bytes.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_file(&mut self, path: impl AsRef<Path>, mode: u32, size: u64, data: impl Read) -> Result<()> {
        let entry = Entry { size, ..self.entry(path, EntryKind::Regular, mode) };
        self.add(entry, data)
    }

    /// Adds a symbolic link. The target is not looked at: inside a container it is resolved in its root.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_symlink(&mut self, path: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<()> {
        let link = target.as_ref().as_os_str().as_bytes().to_vec();
        self.add(Entry { link, ..self.entry(path, EntryKind::Symlink, 0o777) }, io::empty())
    }

    /// Adds another name of a file that was added before, or that a lower layer has.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_hard_link(&mut self, path: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<()> {
        let link = relative(target.as_ref().as_os_str().as_bytes())?;
        self.add(Entry { link, ..self.entry(path, EntryKind::HardLink, 0o644) }, io::empty())
    }

    /// Hides a name of lower layers (image-spec layer.md, Whiteouts).
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_whiteout(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = relative(path.as_ref().as_os_str().as_bytes())?;
        let (dir, name) = split(&path);
        refuse_whiteout(name, &path)?;
        let marker = [dir, WHITEOUT, name].concat();
        self.write(self.entry_of(marker, EntryKind::Regular, 0o644), io::empty())
    }

    /// Hides everything that lower layers have in a directory (image-spec layer.md, Opaque Whiteout).
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_opaque(&mut self, dir: impl AsRef<Path>) -> Result<()> {
        let mut marker = dir.as_ref().as_os_str().as_bytes().to_vec();
        marker.extend_from_slice(b"/.wh..wh..opq");
        let marker = relative(&marker)?;
        self.write(self.entry_of(marker, EntryKind::Regular, 0o644), io::empty())
    }

    /// Adds any entry, with exactly [`Entry::size`] bytes of `data` if it is a regular file. A sparse map is not
    /// written: the file is stored whole.
    ///
    /// The name is made relative to the root; a directory's gets its slash.
    ///
    /// # Errors
    /// [`Error::Entry`] for what other readers of layers would refuse or take for something else: a name that is
    /// empty, too long, has `..` or a NUL byte or begins with `.wh.`, a name added before, a link without a
    /// target, a value out of range; and when `data` is shorter or longer than the size. What reading and writing
    /// can meet. After an error the layer is of no use.
    pub fn add(&mut self, mut entry: Entry, data: impl Read) -> Result<()> {
        entry.path = relative(&entry.path)?;
        refuse_whiteout(split(&entry.path).1, &entry.path)?;
        self.write(entry, data)
    }

    /// Ends the archive and gives the sink back, with what was written to it.
    ///
    /// # Errors
    /// What writing can meet.
    pub fn finish(mut self) -> Result<(W, PackedLayer)> {
        self.out.write_all(&[0; 2 * BLOCK]).map_err(writing)?;
        let (encoder, diff_id, uncompressed_size) = self.out.finish();
        let (sink, digest, size) = encoder.finish()?.finish();
        let compression = self.options.compression;
        Ok((
            sink,
            PackedLayer { digest, size, diff_id, uncompressed_size, compression, entries: self.entries },
        ))
    }

    /// Writes an entry whose name is relative and no surprise, and whose data is whole.
    fn write(&mut self, mut entry: Entry, data: impl Read) -> Result<()> {
        entry.segments = None;
        check(&entry)?;
        if !self.names.insert(entry.path.clone().into_boxed_slice()) {
            // image-spec layer.md: a layer must not have duplicate entries.
            return Err(Error::entry(&entry.path, "the layer has this name already"));
        }
        if entry.kind == EntryKind::Directory && !entry.path.ends_with(b"/") {
            entry.path.push(b'/');
        }
        self.write_checked(&entry, data)
    }

    /// Writes an entry of a tree, whose names are right and come only once. Of a sparse file `data` is what is stored.
    pub(super) fn write_checked(&mut self, entry: &Entry, mut data: impl Read) -> Result<()> {
        write_header(&mut self.out, entry).map_err(writing)?;
        self.entries += 1;
        if entry.kind != EntryKind::Regular {
            return Ok(());
        }
        let mut left = entry.stored_size();
        while left > 0 {
            let want = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
            let n = read(&mut data, self.buffer.get_mut(..want).unwrap_or_default(), entry)?;
            if n == 0 {
                let reason = format!("{left} bytes shorter than its size of {}", entry.size);
                return Err(Error::entry(&entry.path, reason));
            }
            self.out.write_all(self.buffer.get(..n).unwrap_or_default()).map_err(writing)?;
            left -= n as u64;
        }
        if read(&mut data, &mut [0], entry)? > 0 {
            return Err(Error::entry(&entry.path, format!("longer than its size of {}", entry.size)));
        }
        write_padding(&mut self.out, entry.stored_size()).map_err(writing)
    }

    fn entry(&self, path: impl AsRef<Path>, kind: EntryKind, mode: u32) -> Entry {
        self.entry_of(path.as_ref().as_os_str().as_bytes().to_vec(), kind, mode)
    }

    fn entry_of(&self, path: Vec<u8>, kind: EntryKind, mode: u32) -> Entry {
        let mtime = Timestamp { seconds: self.options.latest_mtime.unwrap_or(0), nanos: 0 };
        Entry { mode, mtime, ..Entry::new(path, kind) }
    }
}

fn read(data: &mut impl Read, buffer: &mut [u8], entry: &Entry) -> Result<usize> {
    loop {
        match data.read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => {
                return other
                    .map_err(|e| Error::io(format!("reading {}", String::from_utf8_lossy(&entry.path)), e));
            }
        }
    }
}

fn writing(error: io::Error) -> Error {
    Error::io("writing the layer", error)
}

/// The name from the root, without `.` and doubled slashes. The root itself is `.`.
fn relative(path: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    for component in path.split(|&b| b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err(Error::entry(path, "a name of a layer cannot have \"..\"")),
            component => {
                if !out.is_empty() {
                    out.push(b'/');
                }
                out.extend_from_slice(component);
            }
        }
    }
    match (out.is_empty(), path.is_empty()) {
        (true, true) => Err(Error::entry(path, "an entry needs a name")),
        (true, false) => Ok(b".".to_vec()),
        _ => Ok(out),
    }
}

/// The directory with its slash, and the last component.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    path.split_at(path.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1))
}

pub(crate) fn refuse_whiteout(name: &[u8], path: &[u8]) -> Result<()> {
    if name.starts_with(WHITEOUT) {
        return Err(Error::entry(path, "a layer cannot hold a file of this name: it would hide another"));
    }
    Ok(())
}

/// What no reader could make sense of.
pub(super) fn check(entry: &Entry) -> Result<()> {
    let path = &entry.path[..];
    let refused = |reason: &str| Err(Error::entry(path, reason));
    let nul = |bytes: &[u8]| bytes.contains(&0);
    if nul(path) || nul(&entry.link) {
        return refused("a name cannot hold a NUL byte");
    }
    if path.len() > 4095 || path.split(|&b| b == b'/').any(|component| component.len() > 255) {
        return refused("the name is longer than 4095 bytes, or a part of it than 255");
    }
    if path == b"." && entry.kind != EntryKind::Directory {
        return refused("the root can only be a directory");
    }
    if matches!(entry.kind, EntryKind::HardLink | EntryKind::Symlink)
        && (entry.link.is_empty() || entry.link.len() > 4095)
    {
        return refused("a link needs a target of at most 4095 bytes");
    }
    if entry.uid == u32::MAX || entry.gid == u32::MAX {
        return refused("4294967295 is not an owner");
    }
    if i64::try_from(entry.size).is_err() {
        return refused("the size is beyond 63 bits");
    }
    if let EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } = entry.kind
        && (major >> 12 != 0 || minor >> 20 != 0)
    {
        return refused("the kernel has no such device number");
    }
    for (name, value) in &entry.xattrs {
        if name.is_empty() || nul(name) || name.contains(&b'=') || value.len() > 64 << 10 {
            return refused("an extended attribute has a name or a value that a layer cannot hold");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative() {
        for (path, expected) in [
            ("a/b", Some("a/b")),
            ("/a//b/", Some("a/b")),
            ("./a/./b", Some("a/b")),
            ("/", Some(".")),
            ("", None),
            ("a/../b", None),
        ] {
            let expected = expected.map(|text| text.as_bytes().to_vec());
            assert_eq!(relative(path.as_bytes()).ok(), expected, "{path}");
        }
    }
}
