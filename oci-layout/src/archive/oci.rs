use std::io::Read;
use std::path::Path;

use oci_digest::content::{Source, SourceExt};
use oci_digest::{Descriptor, Digest, Error as ContentError, Result as ContentResult};
use serde_json::Value;

use super::ArchiveOptions;
use super::catalog::{Catalog, guess};
use super::members::Members;
use crate::blobs::{BlobName, invalid_offset};
use crate::index::{Document, descriptor, tag_of};
use crate::layout::{BLOBS, INDEX, VERSION, VERSION_FILE};
use crate::{Error, Result};

/// An oci-archive: the tar archive of an image layout, read in place.
///
/// Names are those of its index.json. Where skopeo wrote it without a name, the only image there is is that of the
/// empty name.
#[derive(Debug)]
pub struct OciArchive {
    members: Members,
    roots: Vec<(Option<String>, Descriptor)>,
    max_document_bytes: u64,
}

impl OciArchive {
    /// Opens an archive. A file is read in place; a pipe, and a compressed archive when the options can decompress, is
    /// spooled.
    ///
    /// # Errors
    /// [`Error::Archive`] for what is no tar archive, is cut off, or is no image layout;
    /// [`Error::UnsupportedVersion`]; what reading can meet.
    pub fn open(path: impl AsRef<Path>, options: &ArchiveOptions) -> Result<Self> {
        Self::of(Members::open(path.as_ref(), options)?, options)
    }

    /// Reads an archive from a pipe or another reader, by a spool.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(reader: impl Read + Send, options: &ArchiveOptions) -> Result<Self> {
        Self::of(Members::read(reader, Path::new("archive"), options)?, options)
    }

    fn of(members: Members, options: &ArchiveOptions) -> Result<Self> {
        let limit = options.max_document_bytes;
        let version = members
            .read_whole(VERSION_FILE, limit)?
            .ok_or_else(|| members.wrong(VERSION_FILE, "it is missing: this is no oci-archive"))?;
        let version: Value = serde_json::from_slice(&version)
            .map_err(|e| members.wrong(VERSION_FILE, format!("it is not JSON: {e}")))?;
        match version.get("imageLayoutVersion").and_then(Value::as_str) {
            Some(VERSION) => {}
            other => {
                let version = other.unwrap_or_default().chars().take(64).collect();
                return Err(Error::UnsupportedVersion { path: members.path().join(VERSION_FILE), version });
            }
        }
        let bytes = members
            .read_whole(INDEX, limit)?
            .ok_or_else(|| members.wrong(INDEX, "it is missing: this is no oci-archive"))?;
        let path = members.path().join(INDEX);
        let index = Document::parse(&bytes, &path)?;
        let roots = index
            .entries(&path)?
            .iter()
            .enumerate()
            // An entry that cannot be read is somebody's who can; it hides itself alone.
            .filter_map(|(at, entry)| {
                Some((tag_of(entry).map(str::to_owned), descriptor(entry, at, &path).ok()?))
            })
            .collect();
        Ok(Self { members, roots, max_document_bytes: limit })
    }

    /// The tags there are, sorted, each once.
    pub fn tags(&self) -> Vec<String> {
        let mut tags: Vec<String> = self.roots.iter().filter_map(|(tag, _)| tag.clone()).collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }

    /// What index.json names.
    pub fn roots(&self) -> impl Iterator<Item = &Descriptor> {
        self.roots.iter().map(|(_, root)| root)
    }

    fn place(&self, digest: &Digest) -> Result<(u64, u64)> {
        let name = BlobName::of(digest)?;
        self.members
            .find(&format!("{BLOBS}/{}/{}", name.algorithm, name.encoded))?
            .ok_or_else(|| ContentError::NotFound { what: digest.to_string() }.into())
    }

    fn document(&self, descriptor: &Descriptor) -> Option<Vec<u8>> {
        SourceExt::read(self, descriptor, self.max_document_bytes).ok()
    }

    fn all_roots(&self) -> Vec<Descriptor> {
        self.roots().cloned().collect()
    }
}

impl Source for OciArchive {
    fn resolve(&self, name: &str) -> ContentResult<Descriptor> {
        if let Some((_, root)) = self.roots.iter().find(|(tag, _)| tag.as_deref() == Some(name)) {
            return Ok(root.clone());
        }
        if let ("", [(_, only)]) = (name, self.roots.as_slice()) {
            return Ok(only.clone());
        }
        let not_found = || ContentError::NotFound { what: name.chars().take(128).collect() };
        let digest: Digest = name.parse().map_err(|_| not_found())?;
        let read = |descriptor: &Descriptor| self.document(descriptor);
        if let Some(named) = Catalog::new(&read).named(&self.all_roots(), &digest) {
            self.place(&digest)?;
            return Ok(named);
        }
        let (_, size) = self.place(&digest)?;
        let plain = |media_type| Descriptor::new(media_type, size, digest.clone());
        let bytes = self.document(&plain("application/octet-stream".into()));
        Ok(plain(guess(bytes.as_deref())))
    }

    fn open(&self, descriptor: &Descriptor, offset: u64) -> ContentResult<Box<dyn Read + Send + '_>> {
        let place = self.place(descriptor.digest())?;
        if offset > place.1 {
            return Err(invalid_offset(offset, place.1).into());
        }
        Ok(Box::new(self.members.open_at(place, offset)))
    }

    fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> ContentResult<Vec<Descriptor>> {
        let read = |descriptor: &Descriptor| self.document(descriptor);
        Ok(Catalog::new(&read).referrers(&self.all_roots(), subject, artifact_type))
    }
}
