use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::layer::{check, refuse_whiteout};
use super::node::{Folder, Node};
use super::recorded::Records;
use super::sparse::{Stored, segments};
use super::{LayerWriter, PackEvent, PackOptions, PackedLayer};
use crate::framing::{EntryKind, Segment};
use crate::{Error, Result};

/// Packs what a folder holds into a layer, whose blob goes to `sink`.
///
/// Every file, directory, link, device and fifo becomes an entry, with mode, owner, time, hard links and the
/// extended attributes that belong to it (`user.*`, `security.capability`, access control lists). What a layer
/// cannot hold is told to the observer of [`pack_observed`]. The folder is read through descriptors and no link in
/// it is followed. Works as an ordinary user on whatever that user can read.
///
/// ```
/// use oci_unpack::pack::{PackOptions, pack};
///
/// let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("hello"), "hello\n")?;
/// let (blob, layer) = pack(dir.path(), Vec::new(), &PackOptions::default())?;
/// println!("{} has {} entries in {} bytes", layer.digest, layer.entries, blob.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`] naming what cannot be read. [`Error::Entry`] for a file whose size changes while it is read, and for
/// names that a layer cannot hold: `.wh.` at the start, more than 4095 bytes. What writing can meet.
pub fn pack<W: Write>(dir: impl AsRef<Path>, sink: W, options: &PackOptions) -> Result<(W, PackedLayer)> {
    pack_observed(dir, sink, options, &mut |_| {})
}

/// Like [`pack`], and tells what the layer does not hold.
///
/// # Errors
/// As [`pack`].
pub fn pack_observed<W: Write>(
    dir: impl AsRef<Path>,
    sink: W,
    options: &PackOptions,
    observer: &mut dyn FnMut(PackEvent),
) -> Result<(W, PackedLayer)> {
    let dir = dir.as_ref();
    let mut packer = Packer {
        shown: dir,
        layer: LayerWriter::new(sink, options)?,
        options,
        observer,
        path: Vec::new(),
        links: HashMap::new(),
        records: Records::of(options),
    };
    let root = Folder::open(dir).map_err(|e| packer.failed("opening", e))?;
    if options.root_entry {
        packer.folder(&root)?;
    }
    packer.contents(&root)?;
    packer.layer.finish()
}

/// Writes nodes of one tree.
pub(crate) struct Packer<'a, W: Write> {
    /// The folder, for messages.
    pub(crate) shown: &'a Path,
    pub(crate) layer: LayerWriter<W>,
    pub(crate) options: &'a PackOptions,
    pub(crate) observer: &'a mut dyn FnMut(PackEvent),
    /// The name of what is being packed, below the folder, without a slash at the end.
    pub(crate) path: Vec<u8>,
    /// The first names of files with more than one, by device and inode.
    pub(crate) links: HashMap<(u64, u64), Vec<u8>>,
    pub(crate) records: Records,
}

impl<W: Write> Packer<'_, W> {
    /// Packs what a directory holds.
    fn contents(&mut self, dir: &Folder) -> Result<()> {
        let names = dir.names().map_err(|e| self.failed("listing", e))?;
        let base = self.path.len();
        for name in names {
            if base > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.as_bytes());
            refuse_whiteout(name.as_bytes(), &self.path)?;
            if let Some(sub) = self.node(dir, &name)? {
                self.contents(&sub)?;
            }
            self.path.truncate(base);
        }
        Ok(())
    }

    /// Packs one node of a directory. One that is a directory itself is returned.
    pub(crate) fn node(&mut self, dir: &Folder, name: &CStr) -> Result<Option<Folder>> {
        let Some(node) = dir.look(name).map_err(|e| self.failed("reading", e))? else {
            let path = self.path_buf();
            (self.observer)(PackEvent::SocketSkipped { path });
            return Ok(None);
        };
        if node.kind == EntryKind::Directory {
            let sub = Folder::open_at(dir, name).map_err(|e| self.failed("opening", e))?;
            self.folder(&sub)?;
            return Ok(Some(sub));
        }
        if node.linked
            && let Some(first) = self.links.get(&node.identity.inode())
        {
            let link = Node { kind: EntryKind::HardLink, size: 0, link: first.clone(), ..node };
            self.write(&link, None, io::empty())?;
            return Ok(None);
        }
        if node.linked {
            self.links.insert(node.identity.inode(), self.path.clone());
        }
        if node.kind == EntryKind::Regular {
            let (file, node) = dir.file(name).map_err(|e| match e {
                Errno::STALE => {
                    Error::entry(&self.path, "was replaced by something else while it was packed")
                }
                errno => self.failed("opening", errno),
            })?;
            self.content(&node, File::from(file))?;
        } else {
            self.write(&node, None, io::empty())?;
        }
        Ok(None)
    }

    /// Writes an open file, with its zeros or without.
    fn content(&mut self, node: &Node, mut file: File) -> Result<()> {
        if self.options.sparse {
            if let Some(segments) = segments(&file, node.size).map_err(|e| self.failed("reading", e))? {
                let left = segments.iter().rev().copied().collect();
                return self.write(node, Some(segments), Stored { file, left });
            }
            file.rewind().map_err(|e| self.failed("reading", e))?;
        }
        self.write(node, None, file)
    }

    /// Writes the entry of an open directory.
    pub(crate) fn folder(&mut self, dir: &Folder) -> Result<()> {
        let node = dir.node().map_err(|e| self.failed("reading", e))?;
        self.write(&node, None, io::empty())
    }

    /// With a map, `data` has what is stored and no more.
    fn write(&mut self, node: &Node, segments: Option<Vec<Segment>>, data: impl Read) -> Result<()> {
        let (mut entry, skipped) = node.entry(&self.path, self.options)?;
        entry.segments = segments;
        for name in skipped {
            let (path, name) = (self.path_buf(), String::from_utf8_lossy(&name).into_owned());
            (self.observer)(PackEvent::XattrSkipped { path, name });
        }
        if !self.records.restore(node, &mut entry)? {
            let path = self.path_buf();
            (self.observer)(PackEvent::SocketSkipped { path });
            return Ok(());
        }
        if node.kind == EntryKind::Directory {
            entry.path.extend_from_slice(if entry.path.is_empty() { b"./" } else { b"/" });
        }
        check(&entry)?;
        self.layer.write_checked(&entry, data)
    }

    fn path_buf(&self) -> PathBuf {
        if self.path.is_empty() { PathBuf::from(".") } else { PathBuf::from(OsStr::from_bytes(&self.path)) }
    }

    pub(crate) fn failed(&self, doing: &str, error: impl Into<io::Error>) -> Error {
        failed(doing, self.shown, &self.path, error)
    }
}

/// An error of a system call on a name below a folder.
pub(crate) fn failed(doing: &str, folder: &Path, path: &[u8], error: impl Into<io::Error>) -> Error {
    // Joining nothing would add a slash.
    let path = if path.is_empty() { folder.to_path_buf() } else { folder.join(OsStr::from_bytes(path)) };
    Error::io(format!("{doing} {}", path.display()), error)
}
