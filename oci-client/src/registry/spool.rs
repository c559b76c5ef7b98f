//! Where an upload waits until its digest is known: in memory while it is small, then in a file without a name.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use oci_digest::content::Content;
use oci_digest::{Error, Result};

use super::random;

/// The bytes of one upload.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    threshold: usize,
    memory: Vec<u8>,
    file: Option<File>,
    len: u64,
}

impl Spool {
    pub(super) fn new(folder: PathBuf, threshold: usize) -> Self {
        Self { folder, threshold, memory: Vec::new(), file: None, len: 0 }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether `more` bytes can be appended without touching a file.
    pub(super) fn fits_memory(&self, more: usize) -> bool {
        self.file.is_none() && self.memory.len().saturating_add(more) <= self.threshold
    }

    /// Appends; after an error the spool is as it was.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.fits_memory(bytes.len()) {
            self.memory.extend_from_slice(bytes);
        } else {
            let file = match &self.file {
                Some(file) => file,
                None => {
                    let file = unnamed_file(&self.folder)?;
                    file.write_all_at(&self.memory, 0)?;
                    self.memory = Vec::new();
                    self.file.insert(file)
                }
            };
            file.write_all_at(bytes, self.len)?;
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Takes back what was appended after `len`. Bytes beyond it in a file are overwritten later or never read.
    pub(super) fn truncate(&mut self, len: u64) {
        self.len = self.len.min(len);
        if self.file.is_none() {
            self.memory.truncate(usize::try_from(self.len).unwrap_or(usize::MAX));
        }
    }
}

impl Content for Spool {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send + '_>> {
        let beyond = || Error::Invalid {
            what: "offset",
            value: offset.to_string(),
            reason: format!("the upload has {} bytes", self.len),
        };
        if offset > self.len {
            return Err(beyond());
        }
        match &self.file {
            Some(file) => Ok(Box::new(FilePart { file, at: offset, end: self.len })),
            None => {
                let rest = usize::try_from(offset).ok().and_then(|offset| self.memory.get(offset..));
                Ok(Box::new(rest.ok_or_else(beyond)?))
            }
        }
    }
}

/// Reads by position, so that several readers share one descriptor.
struct FilePart<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for FilePart<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = buf.len().min(left);
        let n = self.file.read_at(&mut buf[..wanted], self.at)?;
        if n == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += n as u64;
        Ok(n)
    }
}

/// A new file that only this process can reach: made under an unguessable name, exclusively and for this user
/// alone, and unlinked at once, so that a crash leaves nothing behind.
fn unnamed_file(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!(".upload-{}", random::hex()?));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(spool: &Spool, offset: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        spool.open(offset).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn goes_to_a_file_above_the_threshold_and_leaves_none() {
        let folder = tempfile::tempdir().unwrap();
        for threshold in [0, 3, 5, 100] {
            let mut spool = Spool::new(folder.path().into(), threshold);
            assert_eq!(content(&spool, 0), b"");
            for part in ["ab", "", "cde", "fgh"] {
                spool.append(part.as_bytes()).unwrap();
            }
            assert_eq!(spool.file.is_some(), threshold < 8, "{threshold}");
            assert_eq!(content(&spool, 0), b"abcdefgh");
            assert_eq!(content(&spool, 3), b"defgh");
            assert_eq!(content(&spool, 8), b"");
            assert!(spool.open(9).is_err());
            spool.truncate(4);
            assert_eq!(content(&spool, 0), b"abcd");
            spool.append(b"XY").unwrap();
            assert_eq!((spool.len(), content(&spool, 0)), (6, b"abcdXY".to_vec()));
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_folder_that_is_missing_is_an_error_and_loses_nothing() {
        let mut spool = Spool::new("/nonexistent/spool".into(), 2);
        spool.append(b"ab").unwrap();
        assert!(spool.append(b"c").is_err());
        assert_eq!((spool.len(), content(&spool, 0)), (2, b"ab".to_vec()));
    }
}
