use http::Method;
use oci_digest::{Algorithm, Digest};

use super::Repository;
use crate::protocol::url::Url;
use crate::session::{Call, Payload};
use crate::{Error, Result};

impl Repository {
    /// Deletes a tag, or a manifest with all its tags by digest. A registry that cannot delete tags is asked to
    /// delete the manifest that the tag names.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Status`] when the registry does not delete (405 on most that are not set up
    /// for it).
    pub async fn delete_manifest(&self, name: &str) -> Result<()> {
        let by_digest = self.check_name(name)?.is_some();
        match self.delete(self.endpoints.manifest(name), name).await {
            Err(Error::Status { status: 400 | 405 | 501, .. }) if !by_digest => {
                let descriptor = self.resolve(name).await?;
                let digest = descriptor.digest().to_string();
                self.delete(self.endpoints.manifest(&digest), &digest).await
            }
            other => other,
        }
    }

    /// Deletes a blob.
    ///
    /// # Errors
    /// As [`delete_manifest`](Self::delete_manifest).
    pub async fn delete_blob(&self, digest: &Digest) -> Result<()> {
        Algorithm::of(digest)?;
        self.delete(self.endpoints.blob(digest), digest.as_ref()).await
    }

    async fn delete(&self, url: Url, name: &str) -> Result<()> {
        let call = Call::new(Method::DELETE, url, Payload::None).scope(self.delete_scope());
        let mut answer = self.session.send(call, &mut self.session.budget()).await?;
        match answer.status.as_u16() {
            200 | 202 | 204 => Ok(()),
            _ => Err(self.refused(name, &mut answer, "DELETE").await),
        }
    }
}
