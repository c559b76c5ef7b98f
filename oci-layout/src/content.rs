//! A layout as either side of a copy.

use std::io::{Read, Seek, SeekFrom};

use oci_digest::content::{Content, Location, Sink, Source, Store};
use oci_digest::{Descriptor, Digest, Error as ContentError, Result, VerifyReader};

use crate::blobs::invalid_offset;
use crate::{Error, ImageLayout};

impl Source for ImageLayout {
    fn resolve(&self, name: &str) -> Result<Descriptor> {
        Ok(Self::resolve(self, name)?)
    }

    fn open(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send + '_>> {
        let (mut file, size) = self.blob(descriptor.digest())?;
        if offset > size {
            return Err(invalid_offset(offset, size).into());
        }
        if offset > 0 {
            let path = self.blob_path(descriptor.digest())?;
            file.seek(SeekFrom::Start(offset)).map_err(Error::io("seek in", &path))?;
        }
        Ok(Box::new(file))
    }

    fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        Ok(Self::referrers(self, subject, artifact_type)?)
    }

    fn location(&self, descriptor: &Descriptor) -> Option<Location> {
        let (_, size) = self.blob(descriptor.digest()).ok()?;
        let path = self.blob_path(descriptor.digest()).ok()?;
        (size == descriptor.size()).then_some(Location::File { path })
    }
}

impl Sink for ImageLayout {
    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        Ok(self.contains(descriptor)?)
    }

    fn adopt(&self, descriptor: &Descriptor, from: &Location) -> Result<bool> {
        match from {
            Location::File { path } => Ok(self.adopt_file(descriptor, path)?),
            _ => Ok(false),
        }
    }

    fn ingest(&self, descriptor: &Descriptor, content: &dyn Content) -> Result<()> {
        Ok(Self::ingest(self, descriptor, content)?)
    }

    fn publish(&self, descriptor: &Descriptor, manifest: &[u8], tags: &[&str]) -> Result<()> {
        // Before the shortcut for what is there: the caller's bytes must fit in any case.
        std::io::copy(&mut VerifyReader::of(manifest, descriptor)?, &mut std::io::sink())
            .map_err(|e| ContentError::io(format!("reading {}", descriptor.digest()), e))?;
        Self::ingest(self, descriptor, &manifest)?;
        Ok(self.tag_all(descriptor, tags)?)
    }
}

impl Store for ImageLayout {
    fn tags(&self) -> Result<Vec<String>> {
        Ok(Self::tags(self)?)
    }

    fn untag(&self, tag: &str) -> Result<bool> {
        Ok(Self::untag(self, tag)?)
    }

    fn remove(&self, digest: &Digest) -> Result<bool> {
        Ok(Self::remove(self, digest)?)
    }
}
