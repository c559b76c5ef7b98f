//! The settings of a registry.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::auth::Guard;
use super::log::Record;
use super::repositories::{MemoryRepositories, Repositories};
use super::shared::{MissingContent, Observer, Options, Shared};
use super::uploads::Uploads;
use super::{Registry, Server};

/// The settings of a [`Registry`]. Everything has a default.
pub struct Builder {
    repositories: Arc<dyn Repositories>,
    options: Options,
    guard: Guard,
    observer: Option<Box<Observer>>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            repositories: Arc::new(MemoryRepositories::new()),
            options: Options::default(),
            guard: Guard::default(),
            observer: None,
        }
    }
}

impl Builder {
    /// Where content is kept. Default: [`MemoryRepositories`].
    #[must_use]
    pub fn repositories(self, repositories: impl Repositories) -> Self {
        self.shared_repositories(Arc::new(repositories))
    }

    /// As [`repositories`](Self::repositories), for a caller that keeps its own handle.
    #[must_use]
    pub fn shared_repositories(mut self, repositories: Arc<dyn Repositories>) -> Self {
        self.repositories = repositories;
        self
    }

    /// A user with a password. With the first one the registry asks for credentials: Basic, unless
    /// [`tokens`](Self::tokens) are on.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.guard.users.insert(name.into(), password.into());
        self
    }

    /// Whether pulling needs no credentials though there are users. `/v2/` asks for them all the same, because
    /// clients learn there how. Default: no.
    #[must_use]
    pub fn anonymous_pull(mut self, allowed: bool) -> Self {
        self.guard.anonymous_pull = allowed;
        self
    }

    /// Asks for Bearer tokens that users get at the registry's own `/token` and that end after `lifetime`.
    #[must_use]
    pub fn tokens(mut self, lifetime: Duration) -> Self {
        self.guard.tokens = Some(lifetime);
        self
    }

    /// A function that hears of every request, from the registry's own threads; it must not block for long.
    #[must_use]
    pub fn observer(mut self, observer: impl Fn(&Record) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Whether manifests may name content that is not there. Default: [`MissingContent::SparseIndex`].
    #[must_use]
    pub fn missing_content(mut self, missing: MissingContent) -> Self {
        self.options.missing = missing;
        self
    }

    /// Whether manifests, tags and blobs can be deleted. Default: yes.
    #[must_use]
    pub fn deletes(mut self, allowed: bool) -> Self {
        self.options.deletes = allowed;
        self
    }

    /// The largest manifest, in bytes; a larger one is answered 413. Default: 4 MiB.
    #[must_use]
    pub fn manifest_limit(mut self, bytes: u64) -> Self {
        self.options.manifest_limit = bytes;
        self
    }

    /// The largest blob, in bytes; a larger one is answered 413. Default: none.
    #[must_use]
    pub fn blob_limit(mut self, bytes: u64) -> Self {
        self.options.blob_limit = bytes;
        self
    }

    /// The most items of one page of a list, at least 1. Default: 1000.
    #[must_use]
    pub fn page_limit(mut self, items: usize) -> Self {
        self.options.page_limit = items.max(1);
        self
    }

    /// Where uploads wait above `memory` bytes, in files without names. Default: the system's folder for
    /// temporary files, 1 MiB.
    #[must_use]
    pub fn spool(mut self, folder: impl Into<PathBuf>, memory: usize) -> Self {
        self.options.spool_folder = folder.into();
        self.options.spool_memory = memory;
        self
    }

    /// Announces a smallest chunk, `OCI-Chunk-Min-Length`, in bytes. Smaller ones are taken. Default: none.
    #[must_use]
    pub fn chunk_min_length(mut self, bytes: u64) -> Self {
        self.options.chunk_min = Some(bytes);
        self
    }

    /// How long a connection may stay silent: before and within a request. Default: 60 s.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.options.idle = timeout;
        self
    }

    /// The most connections at once (others wait to be accepted) and the most open uploads (others are answered
    /// 429). Default: 2048 and 1024.
    #[must_use]
    pub fn concurrency(mut self, connections: usize, uploads: usize) -> Self {
        self.options.connections = connections.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
        self.options.uploads = uploads;
        self
    }

    /// The registry, not yet listening.
    pub fn build(self) -> Registry {
        Registry {
            shared: Arc::new(Shared {
                repositories: self.repositories,
                options: self.options,
                guard: self.guard,
                uploads: Uploads::default(),
                observer: self.observer,
            }),
        }
    }

    /// Serves on a loopback port that the system chooses.
    ///
    /// # Errors
    /// What listening and starting a thread can meet.
    pub fn start(self) -> io::Result<Server> {
        self.bind((Ipv4Addr::LOCALHOST, 0))
    }

    /// Serves on an address, for example `"127.0.0.1:5000"`.
    ///
    /// # Errors
    /// What listening and starting a thread can meet.
    pub fn bind(self, addr: impl ToSocketAddrs) -> io::Result<Server> {
        Server::start(self.build(), addr)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("options", &self.options).finish_non_exhaustive()
    }
}
