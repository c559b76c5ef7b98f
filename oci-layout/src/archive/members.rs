use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{ArchiveOptions, spool};
use crate::decompress::compression;
use crate::{Error, Result};

/// Bytes that the headers of one member may take: long names come as data in front of it.
const HEADER_BYTES: u64 = 1 << 20;

/// Bytes that the names of all members may take together; they are kept.
const NAME_BYTES: usize = 64 << 20;

/// How many links may lead from one to the next.
const LINKS: usize = 16;

/// A tar archive that is read in place: which member lies where.
#[derive(Debug)]
pub(super) struct Members {
    file: File,
    path: PathBuf,
    by_name: HashMap<String, Member>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Member {
    File {
        offset: u64,
        size: u64,
    },
    /// To another member.
    Link(String),
    /// Two members have the name: two readers could see two different things.
    Twice,
    /// No plain file.
    Other,
}

impl Members {
    /// Opens an archive. What is no plain file, as a pipe, and what is compressed is spooled first.
    pub(super) fn open(path: &Path, options: &ArchiveOptions) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let is_file = file.metadata().map_err(Error::io("inspect", path))?.is_file();
        let mut magic = [0; 6];
        let known = if is_file {
            let n = file.read_at(&mut magic, 0).map_err(Error::io("read", path))?;
            compression(magic.get(..n).unwrap_or_default())
        } else {
            None
        };
        match (is_file, known) {
            (true, None) => Self::index(file, path, options),
            _ => Self::read(file, path, options),
        }
    }

    /// Reads an archive that cannot be read in place. `path` is for errors.
    pub(super) fn read(reader: impl Read + Send, path: &Path, options: &ArchiveOptions) -> Result<Self> {
        Self::index(spool::archive(reader, path, options)?, path, options)
    }

    fn index(file: File, path: &Path, options: &ArchiveOptions) -> Result<Self> {
        let len = file.metadata().map_err(Error::io("inspect", path))?.len();
        let mut members = Self { file, path: path.to_owned(), by_name: HashMap::new() };
        let damaged =
            |reason: String| Error::Archive { path: path.to_owned(), member: String::new(), reason };
        let file = members.file.try_clone().map_err(Error::io("open", path))?;
        let budget = std::cell::Cell::new(0);
        let mut archive = tar::Archive::new(Bounded { file, left: &budget });
        budget.set(HEADER_BYTES);
        let (mut found, mut name_bytes) = (Vec::new(), 0);
        for entry in archive.entries_with_seek().map_err(Error::io("read", path))? {
            let entry = entry.map_err(|e| match (found.len(), e.kind()) {
                // The reason would quote what is in the file.
                (0, _) if budget.get() > 0 => damaged("it is no tar archive".to_owned()),
                (n, _) => damaged(format!("it is damaged after {n} members: {}", shortened(&e))),
            })?;
            if found.len() >= options.max_members {
                let maximum = options.max_members as u64;
                return Err(Error::Limit { path: path.to_owned(), limit: "members", maximum });
            }
            budget.set(HEADER_BYTES);
            let Some(name) = normal(&entry.path_bytes()) else { continue };
            let (offset, size) = (entry.raw_file_position(), entry.size());
            if offset.checked_add(size).is_none_or(|end| end > len) {
                return Err(damaged(format!("it ends within {name}")));
            }
            let kind = entry.header().entry_type();
            let link = entry.link_name_bytes().map(|target| target.into_owned());
            name_bytes += name.len() + link.as_ref().map_or(0, Vec::len);
            if name_bytes > NAME_BYTES {
                let maximum = NAME_BYTES as u64;
                return Err(Error::Limit { path: path.to_owned(), limit: "bytes of names", maximum });
            }
            found.push(match (kind, link) {
                (kind, _) if kind.is_dir() => continue,
                (tar::EntryType::Regular | tar::EntryType::Continuous, _) => {
                    (name, Member::File { offset, size })
                }
                (tar::EntryType::Symlink, Some(target)) => {
                    let target = beside(&name, &target).map_or(Member::Other, Member::Link);
                    (name, target)
                }
                (tar::EntryType::Link, Some(target)) => {
                    let target = normal(&target).map_or(Member::Other, Member::Link);
                    (name, target)
                }
                _ => (name, Member::Other),
            });
        }
        for (name, member) in found {
            members
                .by_name
                .entry(name)
                .and_modify(|there| {
                    if *there != member {
                        *there = Member::Twice;
                    }
                })
                .or_insert(member);
        }
        Ok(members)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Where a file lies, followed through links inside the archive: offset and size. `None`: there is no such member.
    pub(super) fn find(&self, name: &str) -> Result<Option<(u64, u64)>> {
        let mut at = name;
        for _ in 0..LINKS {
            match self.by_name.get(at) {
                None if at == name => return Ok(None),
                None => return Err(self.wrong(name, "it is a link to what is not in the archive")),
                Some(Member::File { offset, size }) => return Ok(Some((*offset, *size))),
                Some(Member::Link(target)) => at = target,
                Some(Member::Twice) => return Err(self.wrong(name, "the archive has it more than once")),
                Some(Member::Other) => return Err(self.wrong(name, "it is not a plain file")),
            }
        }
        Err(self.wrong(name, "its links lead in a circle, or too far"))
    }

    /// A reader of a file's bytes.
    pub(super) fn open_at(&self, (offset, size): (u64, u64), skip: u64) -> Section<'_> {
        let end = offset + size;
        Section { file: &self.file, at: offset.saturating_add(skip).min(end), end }
    }

    /// A small file, whole.
    pub(super) fn read_whole(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(place) = self.find(name)? else { return Ok(None) };
        if place.1 > limit {
            return Err(Error::Limit { path: self.path.join(name), limit: "bytes", maximum: limit });
        }
        let mut bytes = Vec::new();
        self.open_at(place, 0).read_to_end(&mut bytes).map_err(Error::io("read", &self.path))?;
        Ok(Some(bytes))
    }

    pub(super) fn wrong(&self, member: &str, reason: impl Into<String>) -> Error {
        Error::Archive {
            path: self.path.clone(),
            member: member.chars().take(256).collect(),
            reason: reason.into(),
        }
    }
}

fn shortened(error: &io::Error) -> String {
    error.to_string().chars().take(128).collect()
}

/// A part of a file, which several threads may read at once.
pub(super) struct Section<'f> {
    file: &'f File,
    at: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buf.len());
        let n = self.file.read_at(buf.get_mut(..left).unwrap_or_default(), self.at)?;
        if n == 0 && left > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive became shorter"));
        }
        self.at += n as u64;
        Ok(n)
    }
}

/// A file of which no more is read than headers need: data is skipped by seeking.
struct Bounded<'b> {
    file: File,
    left: &'b std::cell::Cell<u64>,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buf)?;
        match self.left.get().checked_sub(n as u64) {
            Some(left) => self.left.set(left),
            None => return Err(io::Error::other("the name or attributes of a member are too long")),
        }
        Ok(n)
    }
}

impl Seek for Bounded<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// A member's name without `.` and empty components. `None`: it leads out, or is no text, and nobody asks for it.
fn normal(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// What a symbolic link beside a member leads to. `None`: out of the archive.
fn beside(name: &str, target: &[u8]) -> Option<String> {
    let target = std::str::from_utf8(target).ok()?;
    let mut parts: Vec<&str> = match name.rsplit_once('/') {
        Some((folder, _)) if !target.starts_with('/') => folder.split('/').collect(),
        _ => Vec::new(),
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("./blobs//sha256/x", Some("blobs/sha256/x")),
            ("/oci-layout", Some("oci-layout")),
            ("a/../b", None),
            ("", Some("")),
        ] {
            assert_eq!(normal(name.as_bytes()).as_deref(), expected, "{name}");
        }
        assert_eq!(normal(b"\xff"), None);
        for (name, target, expected) in [
            ("a/layer.tar", "../b/layer.tar", Some("b/layer.tar")),
            ("a/layer.tar", "../../etc/passwd", None),
            ("a/layer.tar", "/b", Some("b")),
            ("x", "y", Some("y")),
            ("x", "..", None),
        ] {
            assert_eq!(beside(name, target.as_bytes()).as_deref(), expected, "{name} {target}");
        }
    }
}
