mod blob;
mod list;
mod manifest;
mod part;
mod push;
mod remove;
mod upload;

use std::fmt;
use std::sync::Arc;

use crate::protocol::endpoint::Endpoints;
use crate::session::{Session, scope};

pub use blob::BlobReader;
pub use manifest::Manifest;
pub(crate) use push::{Push, pump};
pub(crate) use upload::Upload;

/// One repository of a registry: its manifests, blobs, tags and referrers.
///
/// Clones are the same repository. Every operation is safe to drop at any point; a push that is dropped leaves
/// nothing under a digest or tag.
#[derive(Clone)]
pub struct Repository {
    session: Arc<Session>,
    registry: Arc<str>,
    name: Arc<str>,
    endpoints: Endpoints,
}

impl Repository {
    pub(crate) fn new(session: Arc<Session>, registry: String, name: &str) -> Self {
        let endpoints = session.endpoints(name);
        Self { session, registry: registry.into(), name: name.into(), endpoints }
    }

    /// The registry, as it stands in references.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name, for example `library/alpine`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn manifest_limit(&self) -> u64 {
        self.session.options().manifest_limit
    }

    fn pull_scope(&self) -> String {
        scope(&self.name, "pull")
    }

    fn push_scope(&self) -> String {
        scope(&self.name, "pull,push")
    }

    fn delete_scope(&self) -> String {
        scope(&self.name, "pull,delete")
    }

    /// `registry/name:tag` or `registry/name@digest`, for messages.
    fn shown(&self, name: &str) -> String {
        let separator = if name.contains(':') { '@' } else { ':' };
        format!("{}/{}{separator}{name}", self.registry, self.name)
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Repository({}/{})", self.registry, self.name)
    }
}
