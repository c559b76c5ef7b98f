use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use oci_digest::content::{Content, Location, Sink, Source, SourceExt};
use oci_digest::media_type::Kind;
use oci_digest::{
    Algorithm, Descriptor, Digest, Error as ContentError, MAX_DOCUMENT_BYTES, Result as ContentResult,
    VerifyReader, digest_of,
};
use rustix::fs::{self, AtFlags};

use super::catalog::{Catalog, guess};
use crate::blobs::{BlobName, invalid_offset};
use crate::root::{Root, create_temporary};
use crate::{Error, Result};

const MANIFEST: &str = "manifest.json";
const VERSION: &str = "version";
const VERSION_TEXT: &str = "Directory Transport Version: 1.1\n";

/// One image in one flat folder, as skopeo's `dir:` has it: `manifest.json`, and every blob under its bare digest.
///
/// It has no name and no tags: every name that is no digest stands for the one image, and tags that it is published
/// under are left out. What is published last is the image.
#[derive(Debug)]
pub struct FlatImage {
    root: Root,
}

impl FlatImage {
    /// Opens a folder with an image.
    ///
    /// # Errors
    /// [`Error::NotALayout`] when there is no such folder, or no manifest.json in it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let image = Self { root: Root::open(path.as_ref())? };
        match image.manifest()? {
            Some(_) => Ok(image),
            None => Err(image.not_ours("there is no manifest.json")),
        }
    }

    /// Opens a folder to write an image into: an empty one, one that is made, or one that holds an image.
    ///
    /// # Errors
    /// [`Error::NotALayout`] when it holds something else.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        std::fs::create_dir_all(path).map_err(Error::io("create", path))?;
        let image = Self { root: Root::open(path)? };
        match image.root.read(VERSION, 1024)? {
            Some(text) if text.starts_with(b"Directory Transport Version: ") => Ok(image),
            Some(_) => Err(image.not_ours("its version file is not that of an image folder")),
            None => {
                let mut entries = std::fs::read_dir(path).map_err(Error::io("list", path))?;
                if entries.next().is_some() {
                    return Err(image.not_ours("the folder holds other files"));
                }
                image.write(VERSION, &mut VERSION_TEXT.as_bytes())?;
                Ok(image)
            }
        }
    }

    fn manifest(&self) -> Result<Option<(Descriptor, Vec<u8>)>> {
        let Some(bytes) = self.root.read(MANIFEST, MAX_DOCUMENT_BYTES)? else { return Ok(None) };
        let digest = digest_of(Algorithm::Sha256, &bytes);
        Ok(Some((Descriptor::new(guess(Some(&bytes)), bytes.len() as u64, digest), bytes)))
    }

    /// The file of some content under its own digest: a manifest that an index names has a name of its own.
    fn named(&self, digest: &Digest) -> Result<Option<(File, u64)>> {
        for name in [blob_name(digest)?, manifest_name(digest)?] {
            let path = self.root.path().join(&name);
            if let Some(found) = self.root.file(self.root.as_fd(), &name, &path)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The file of some content, the image's own manifest among it.
    fn file(&self, digest: &Digest) -> Result<Option<(File, u64)>> {
        if let Some(named) = self.named(digest)? {
            return Ok(Some(named));
        }
        match self.manifest()? {
            Some((root, bytes)) if digest_of(Algorithm::of(digest)?, &bytes) == *digest => {
                let path = self.root.path().join(MANIFEST);
                let found = self.root.file(self.root.as_fd(), MANIFEST, &path)?;
                Ok(found.filter(|(_, size)| *size == root.size()))
            }
            _ => Ok(None),
        }
    }

    fn document(&self, descriptor: &Descriptor) -> Option<Vec<u8>> {
        SourceExt::read(self, descriptor, MAX_DOCUMENT_BYTES).ok()
    }

    fn roots(&self) -> Vec<Descriptor> {
        self.manifest().ok().flatten().map(|(root, _)| root).into_iter().collect()
    }

    /// Writes a file that has its name only when the reader ended well.
    fn write(&self, name: &str, reader: &mut dyn Read) -> ContentResult<()> {
        let path = self.root.path().join(name);
        let (mut file, temporary) = create_temporary(self.root.as_fd(), 0o666, self.root.path())?;
        let written = std::io::copy(reader, &mut file)
            .map_err(|e| ContentError::io(format!("writing {}", path.display()), e))
            .and_then(|_| Ok(file.sync_all().map_err(Error::io("sync", &path))?))
            .and_then(|()| {
                Ok(fs::renameat(self.root.as_fd(), &*temporary, self.root.as_fd(), name)
                    .map_err(Error::io("create", &path))?)
            });
        if written.is_err() {
            let _ = fs::unlinkat(self.root.as_fd(), &*temporary, AtFlags::empty());
        }
        written
    }

    fn not_ours(&self, reason: &str) -> Error {
        Error::NotALayout { path: self.root.path().to_owned(), reason: reason.to_owned() }
    }
}

impl Source for FlatImage {
    fn resolve(&self, name: &str) -> ContentResult<Descriptor> {
        let not_found = || ContentError::NotFound { what: name.chars().take(128).collect() };
        let Ok(digest) = name.parse::<Digest>() else {
            return self.manifest()?.map(|(root, _)| root).ok_or_else(not_found);
        };
        let (_, size) = self.file(&digest)?.ok_or_else(not_found)?;
        let read = |descriptor: &Descriptor| self.document(descriptor);
        if let Some(named) = Catalog::new(&read).named(&self.roots(), &digest) {
            return Ok(named);
        }
        let plain = |media_type| Descriptor::new(media_type, size, digest.clone());
        let bytes = self.document(&plain("application/octet-stream".into()));
        Ok(plain(guess(bytes.as_deref())))
    }

    fn open(&self, descriptor: &Descriptor, offset: u64) -> ContentResult<Box<dyn Read + Send + '_>> {
        let digest = descriptor.digest();
        let (mut file, size) =
            self.file(digest)?.ok_or_else(|| ContentError::NotFound { what: digest.to_string() })?;
        if offset > size {
            return Err(invalid_offset(offset, size).into());
        }
        file.seek(SeekFrom::Start(offset)).map_err(Error::io("seek in", self.root.path()))?;
        Ok(Box::new(file))
    }

    fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> ContentResult<Vec<Descriptor>> {
        let read = |descriptor: &Descriptor| self.document(descriptor);
        Ok(Catalog::new(&read).referrers(&self.roots(), subject, artifact_type))
    }

    fn location(&self, descriptor: &Descriptor) -> Option<Location> {
        if Kind::of(descriptor.media_type()).is_manifest_or_index() {
            return None;
        }
        let name = blob_name(descriptor.digest()).ok()?;
        let path = self.root.path().join(&name);
        let (_, size) = self.root.file(self.root.as_fd(), &name, &path).ok()??;
        (size == descriptor.size()).then_some(Location::File { path })
    }
}

impl Sink for FlatImage {
    fn has(&self, descriptor: &Descriptor) -> ContentResult<bool> {
        // manifest.json does not count: what is published next takes its place.
        Ok(self.named(descriptor.digest())?.is_some_and(|(_, size)| size == descriptor.size()))
    }

    fn ingest(&self, descriptor: &Descriptor, content: &dyn Content) -> ContentResult<()> {
        if self.has(descriptor)? {
            return Ok(());
        }
        let name = match Kind::of(descriptor.media_type()).is_manifest_or_index() {
            true => manifest_name(descriptor.digest())?,
            false => blob_name(descriptor.digest())?,
        };
        self.write(&name, &mut VerifyReader::of(content.open(0)?, descriptor)?)
    }

    fn publish(&self, descriptor: &Descriptor, manifest: &[u8], tags: &[&str]) -> ContentResult<()> {
        tags.iter().try_for_each(|tag| crate::index::check_tag(tag))?;
        self.write(MANIFEST, &mut VerifyReader::of(manifest, descriptor)?)
    }
}

/// Blobs have the bare digits for a name, those of other algorithms than sha256 the algorithm before them.
fn blob_name(digest: &Digest) -> Result<String> {
    let name = BlobName::of(digest)?;
    Ok(match name.algorithm {
        Algorithm::Sha256 => name.encoded.to_owned(),
        other => format!("{other}-{}", name.encoded),
    })
}

fn manifest_name(digest: &Digest) -> Result<String> {
    Ok(format!("{}.manifest.json", blob_name(digest)?))
}
