use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::net::Connector;
use crate::options::{ClientOptions, PlainHttp};
use crate::protocol::authority::Authority;
use crate::reference::{check_repository, parse_authority};
use crate::repository::Repository;
use crate::session::Session;
use crate::{Reference, Result};

/// The connections, limits and credentials that requests share. Clones are the same client.
///
/// Needs a tokio runtime with I/O and time; [`blocking::Client`](crate::blocking::Client) brings its own.
///
/// ```no_run
/// # async fn example() -> oci_client::Result<()> {
/// let reference: oci_client::Reference = "127.0.0.1:5000/tools/jq:1.7".parse()?;
/// let repository = oci_client::Client::new()?.repository(&reference)?;
/// let manifest = repository.manifest(reference.target()).await?;
/// println!("{} {}", manifest.descriptor().digest(), manifest.bytes().len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: ClientOptions,
    pub(crate) connector: Connector,
    sessions: Mutex<HashMap<(Authority, String), Arc<Session>>>,
    gates: Mutex<HashMap<Authority, Arc<Gate>>>,
}

/// Until when nothing is sent to a registry, because it said so to one of the tasks.
pub(crate) type Gate = Mutex<Option<Instant>>;

impl Client {
    /// A client with the default options.
    ///
    /// # Errors
    /// As [`with`](Self::with).
    pub fn new() -> Result<Self> {
        Self::with(ClientOptions::default())
    }

    /// A client with these options.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) when certificates or keys in the options cannot be used.
    pub fn with(options: ClientOptions) -> Result<Self> {
        let connector = Connector::new(&options)?;
        Ok(Self(Arc::new(Shared { options, connector, sessions: Mutex::default(), gates: Mutex::default() })))
    }

    /// The repository that a reference names. Nothing is sent.
    ///
    /// # Errors
    /// What a source of credentials can meet.
    pub fn repository(&self, reference: &Reference) -> Result<Repository> {
        self.open(reference.authority().clone(), reference.repository())
    }

    /// A registry by host and port, as in a reference: `docker.io`, `127.0.0.1:5000`.
    ///
    /// # Errors
    /// [`Error::Reference`](crate::Error::Reference) when it is no host.
    pub fn registry(&self, registry: &str) -> Result<Registry> {
        let authority = parse_authority(registry).map_err(|wrong| wrong.of(registry))?;
        Ok(Registry { client: self.clone(), name: authority.to_string(), authority })
    }

    fn open(&self, authority: Authority, repository: &str) -> Result<Repository> {
        let key = (authority.clone(), repository.to_owned());
        let known = self.sessions().get(&key).cloned();
        let session = match known {
            Some(session) => session,
            None => {
                let session = Arc::new(Session::new(self.0.clone(), authority.clone(), repository)?);
                let mut sessions = self.sessions();
                // A program that walks thousands of repositories must not keep them all.
                if sessions.len() >= 1024 {
                    sessions.clear();
                }
                sessions.entry(key).or_insert(session).clone()
            }
        };
        Ok(Repository::new(session, authority.to_string(), repository))
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<(Authority, String), Arc<Session>>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// The gate that all who talk to a registry share.
    pub(crate) fn gate(&self, registry: &Authority) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.len() >= 1024 {
            gates.clear();
        }
        gates.entry(registry.clone()).or_default().clone()
    }

    /// Whether a registry is spoken to by https.
    pub(crate) fn is_https(&self, registry: &Authority) -> bool {
        let own_trust = !self.options.roots.is_empty() || self.options.identity.is_some();
        match &self.options.plain_http {
            PlainHttp::Loopback => own_trust || !registry.is_loopback(),
            PlainHttp::Never => true,
            PlainHttp::Always => false,
            PlainHttp::Only(registries) => {
                let shown = registry.to_string();
                !registries.iter().any(|r| parse_authority(r).is_ok_and(|a| a.to_string() == shown))
            }
        }
    }
}

/// One registry of a [`Client`].
#[derive(Debug, Clone)]
pub struct Registry {
    client: Client,
    name: String,
    authority: Authority,
}

impl Registry {
    /// Host and port, as in a reference.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One of its repositories. Nothing is sent.
    ///
    /// # Errors
    /// [`Error::Reference`](crate::Error::Reference) when the name is not well-formed.
    pub fn repository(&self, name: &str) -> Result<Repository> {
        check_repository(name)?;
        self.client.open(self.authority.clone(), name)
    }
}
