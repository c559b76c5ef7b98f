use oci_digest::content::Content;
use oci_digest::{Descriptor, Digest, MediaType};

use super::BlobReader;
use super::runtime::Runtime;
use crate::repository::{Push, pump};
use crate::{Manifest, Result};

/// A [`Repository`](crate::Repository) for blocking programs.
///
/// It is a [`Source`](oci_digest::content::Source) and a [`Sink`](oci_digest::content::Sink), so that
/// [`oci_digest::content::copy`] pulls from it and pushes to it.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(super) inner: crate::Repository,
    pub(super) runtime: Runtime,
}

impl Repository {
    pub(super) fn new(inner: crate::Repository, runtime: Runtime) -> Self {
        Self { inner, runtime }
    }

    /// The registry, as it stands in references.
    pub fn registry(&self) -> &str {
        self.inner.registry()
    }

    /// The name, for example `library/alpine`.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// See [`Repository::resolve`](crate::Repository::resolve).
    ///
    /// # Errors
    /// As there.
    pub fn resolve(&self, name: &str) -> Result<Descriptor> {
        self.runtime.run(self.inner.resolve(name))
    }

    /// See [`Repository::manifest`](crate::Repository::manifest).
    ///
    /// # Errors
    /// As there.
    pub fn manifest(&self, name: &str) -> Result<Manifest> {
        self.runtime.run(self.inner.manifest(name))
    }

    /// See [`Repository::blob`](crate::Repository::blob).
    ///
    /// # Errors
    /// As there.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader> {
        let inner = self.runtime.run(self.inner.blob(descriptor))?;
        Ok(BlobReader::new(inner, self.runtime.clone()))
    }

    /// See [`Repository::blob_from`](crate::Repository::blob_from).
    ///
    /// # Errors
    /// As there.
    pub fn blob_from(&self, descriptor: &Descriptor, offset: u64) -> Result<BlobReader> {
        let inner = self.runtime.run(self.inner.blob_from(descriptor, offset))?;
        Ok(BlobReader::new(inner, self.runtime.clone()))
    }

    /// See [`Repository::has_blob`](crate::Repository::has_blob).
    ///
    /// # Errors
    /// As there.
    pub fn has_blob(&self, descriptor: &Descriptor) -> Result<bool> {
        self.runtime.run(self.inner.has_blob(descriptor))
    }

    /// See [`Repository::push_blob`](crate::Repository::push_blob). The content is read on the calling thread.
    ///
    /// # Errors
    /// As there.
    pub fn push_blob(&self, descriptor: &Descriptor, content: &dyn Content) -> Result<()> {
        let mut push = Push::new(&self.inner, descriptor, None);
        loop {
            let (feed, request) = self.runtime.run(push.begin())?;
            let fed = pump(content, feed);
            if self.runtime.run(push.settle(fed, request))? {
                return Ok(());
            }
        }
    }

    /// See [`Repository::mount_blob`](crate::Repository::mount_blob).
    ///
    /// # Errors
    /// As there.
    pub fn mount_blob(&self, descriptor: &Descriptor, from: &str) -> Result<bool> {
        self.runtime.run(self.inner.mount_blob(descriptor, from))
    }

    /// See [`Repository::push_manifest`](crate::Repository::push_manifest).
    ///
    /// # Errors
    /// As there.
    pub fn push_manifest(
        &self,
        name: &str,
        media_type: &MediaType,
        bytes: impl Into<bytes::Bytes>,
    ) -> Result<Digest> {
        self.runtime.run(self.inner.push_manifest(name, media_type, bytes))
    }

    /// See [`Repository::tags`](crate::Repository::tags).
    ///
    /// # Errors
    /// As there.
    pub fn tags(&self) -> Result<Vec<String>> {
        self.runtime.run(self.inner.tags())
    }

    /// See [`Repository::referrers`](crate::Repository::referrers).
    ///
    /// # Errors
    /// As there.
    pub fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        self.runtime.run(self.inner.referrers(subject, artifact_type))
    }

    /// See [`Repository::delete_manifest`](crate::Repository::delete_manifest).
    ///
    /// # Errors
    /// As there.
    pub fn delete_manifest(&self, name: &str) -> Result<()> {
        self.runtime.run(self.inner.delete_manifest(name))
    }

    /// See [`Repository::delete_blob`](crate::Repository::delete_blob).
    ///
    /// # Errors
    /// As there.
    pub fn delete_blob(&self, digest: &Digest) -> Result<()> {
        self.runtime.run(self.inner.delete_blob(digest))
    }
}
