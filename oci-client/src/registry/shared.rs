//! What all connections of one registry share.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oci_digest::content::Store;

use super::auth::Guard;
use super::log::Record;
use super::repositories::Repositories;
use super::response::{Code, Failure, blocking};
use super::uploads::Uploads;

pub(super) type Observer = dyn Fn(&Record) + Send + Sync;

/// What all connections of one registry share.
pub(super) struct Shared {
    pub(super) repositories: Arc<dyn Repositories>,
    pub(super) options: Options,
    pub(super) guard: Guard,
    pub(super) uploads: Uploads,
    pub(super) observer: Option<Box<Observer>>,
}

/// Whether a manifest may name content that its repository does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MissingContent {
    /// Never: configs, layers and the manifests of an index must all be there before.
    Reject,
    /// An index may be sparse, so that somebody can push only the platforms they need; blobs must be there.
    #[default]
    SparseIndex,
    /// Always: nothing is looked for.
    Allow,
}

/// The builder's settings.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) manifest_limit: u64,
    pub(super) blob_limit: u64,
    pub(super) page_limit: usize,
    pub(super) missing: MissingContent,
    pub(super) deletes: bool,
    pub(super) spool_folder: PathBuf,
    pub(super) spool_memory: usize,
    pub(super) chunk_min: Option<u64>,
    pub(super) idle: Duration,
    pub(super) uploads: usize,
    pub(super) connections: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            manifest_limit: 4 * 1024 * 1024,
            blob_limit: u64::MAX,
            page_limit: 1000,
            missing: MissingContent::default(),
            deletes: true,
            spool_folder: std::env::temp_dir(),
            spool_memory: 1024 * 1024,
            chunk_min: None,
            idle: Duration::from_secs(60),
            uploads: 1024,
            connections: 2048,
        }
    }
}

impl Shared {
    /// Runs `work` with the store of a repository that must exist.
    pub(super) async fn with_store<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(Arc<dyn Store>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (repositories, name) = (Arc::clone(&self.repositories), name.to_owned());
        blocking(move || match repositories.open(&name) {
            Ok(Some(store)) => work(store),
            Ok(None) => Err(unknown_name()),
            Err(error) => Err(Failure::from_store(&error, Code::NameUnknown)),
        })
        .await
    }

    /// Runs `work` with the store of a repository that is made if it is missing.
    pub(super) async fn with_new_store<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(Arc<dyn Store>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (repositories, name) = (Arc::clone(&self.repositories), name.to_owned());
        blocking(move || match repositories.create(&name) {
            Ok(store) => work(store),
            Err(error) => Err(Failure::from_store(&error, Code::NameUnknown)),
        })
        .await
    }
}

fn unknown_name() -> Failure {
    Failure::missing(Code::NameUnknown, "there is no such repository")
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("options", &self.options).finish_non_exhaustive()
    }
}
