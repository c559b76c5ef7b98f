use std::io::{Cursor, Read};

use oci_digest::content::{Content, Location, Sink, Source};
use oci_digest::media_type::Kind;
use oci_digest::{Descriptor, Digest, Result};

use super::Repository;

impl Source for Repository {
    fn resolve(&self, name: &str) -> Result<Descriptor> {
        Ok(self.resolve(name)?)
    }

    fn open(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send + '_>> {
        if !is_manifest(descriptor) {
            return Ok(Box::new(self.blob_from(descriptor, offset)?));
        }
        let manifest = self.manifest(descriptor.digest().as_ref())?;
        let bytes = manifest.into_bytes();
        if offset > bytes.len() as u64 {
            return Err(oci_digest::Error::Invalid {
                what: "offset",
                value: offset.to_string(),
                reason: format!("the manifest has {} bytes", bytes.len()),
            });
        }
        let mut cursor = Cursor::new(bytes);
        cursor.set_position(offset);
        Ok(Box::new(cursor))
    }

    fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        Ok(self.referrers(subject, artifact_type)?)
    }

    fn location(&self, descriptor: &Descriptor) -> Option<Location> {
        // Manifests cannot be mounted.
        (!is_manifest(descriptor)).then(|| Location::Registry {
            host: self.registry().to_owned(),
            repository: self.name().to_owned(),
        })
    }
}

impl Sink for Repository {
    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        if !is_manifest(descriptor) {
            return Ok(self.has_blob(descriptor)?);
        }
        match self.runtime.run(self.inner.find(descriptor.digest().as_ref())) {
            Ok(found) => Ok(found.size() == descriptor.size()),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn adopt(&self, descriptor: &Descriptor, from: &Location) -> Result<bool> {
        match from {
            Location::Registry { host, repository } if host == self.registry() => {
                if repository == self.name() || is_manifest(descriptor) {
                    return Ok(false);
                }
                Ok(self.mount_blob(descriptor, repository)?)
            }
            _ => Ok(false),
        }
    }

    fn ingest(&self, descriptor: &Descriptor, content: &dyn Content) -> Result<()> {
        if !is_manifest(descriptor) {
            return Ok(self.push_blob(descriptor, content)?);
        }
        let bytes = self.read_manifest(descriptor, content)?;
        self.push_manifest(descriptor.digest().as_ref(), descriptor.media_type(), bytes)?;
        Ok(())
    }

    fn publish(&self, descriptor: &Descriptor, manifest: &[u8], tags: &[&str]) -> Result<()> {
        let bytes = self.read_manifest(descriptor, &manifest)?;
        let bytes = bytes::Bytes::from(bytes);
        if tags.is_empty() {
            self.push_manifest(descriptor.digest().as_ref(), descriptor.media_type(), bytes)?;
            return Ok(());
        }
        for tag in tags {
            self.push_manifest(tag, descriptor.media_type(), bytes.clone())?;
        }
        Ok(())
    }
}

impl Repository {
    /// A manifest in memory, verified.
    fn read_manifest(&self, descriptor: &Descriptor, content: &dyn Content) -> Result<Vec<u8>> {
        let limit = self.inner.manifest_limit();
        if descriptor.size() > limit {
            return Err(oci_digest::Error::Limit { limit: "manifest bytes", maximum: limit });
        }
        let mut bytes = Vec::new();
        oci_digest::VerifyReader::of(content.open(0)?, descriptor)?
            .read_to_end(&mut bytes)
            .map_err(|e| oci_digest::Error::io(format!("reading {}", descriptor.digest()), e))?;
        Ok(bytes)
    }
}

fn is_manifest(descriptor: &Descriptor) -> bool {
    Kind::of(descriptor.media_type()).is_manifest_or_index()
}
