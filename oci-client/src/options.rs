use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Result;
use crate::credentials::{CredentialSource, Credentials, Given};
use crate::reference::parse_authority;

/// How a [`Client`](crate::Client) behaves.
#[derive(Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The `User-Agent` of every request. Default: this crate's name and version.
    pub user_agent: String,
    /// How long nothing may move in either direction before an attempt counts as broken; also bounds the time until
    /// the whole head of an answer is there. Default: 30 seconds.
    pub idle_timeout: Duration,
    /// Further attempts of a request after the first. Default: 3.
    pub retries: u32,
    /// How long one operation may wait for a registry that says `Retry-After`, in total. A longer wait is an error
    /// at once. Default: 25 seconds.
    pub max_wait: Duration,
    /// The largest manifest or index that is read, in bytes. Default: 4 MiB.
    pub manifest_limit: u64,
    /// Which hosts are spoken to by plain HTTP. Default: [`PlainHttp::Loopback`].
    pub plain_http: PlainHttp,
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) identity: Option<Identity>,
    #[cfg(feature = "native-roots")]
    pub(crate) native_roots: bool,
    pub(crate) given: Given,
    pub(crate) sources: Vec<Arc<dyn CredentialSource>>,
    pub(crate) realm_hosts: BTreeSet<(String, String)>,
}

/// Which hosts are spoken to by plain HTTP. There is no way from https to http, whatever a server says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PlainHttp {
    /// Loopback hosts (`localhost`, 127/8, `::1`), unless own roots or a client certificate are given; others by
    /// https.
    #[default]
    Loopback,
    /// No host.
    Never,
    /// Every host.
    Always,
    /// These registries, as they stand in references; others by https.
    Only(Vec<String>),
}

#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificates: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl ClientOptions {
    /// Sets [`user_agent`](Self::user_agent).
    #[must_use]
    pub fn user_agent(mut self, value: impl Into<String>) -> Self {
        self.user_agent = value.into();
        self
    }

    /// Sets [`idle_timeout`](Self::idle_timeout).
    #[must_use]
    pub fn idle_timeout(mut self, value: Duration) -> Self {
        self.idle_timeout = value;
        self
    }

    /// Sets [`retries`](Self::retries).
    #[must_use]
    pub fn retries(mut self, value: u32) -> Self {
        self.retries = value;
        self
    }

    /// Sets [`max_wait`](Self::max_wait).
    #[must_use]
    pub fn max_wait(mut self, value: Duration) -> Self {
        self.max_wait = value;
        self
    }

    /// Sets [`manifest_limit`](Self::manifest_limit).
    #[must_use]
    pub fn manifest_limit(mut self, bytes: u64) -> Self {
        self.manifest_limit = bytes;
        self
    }

    /// Sets [`plain_http`](Self::plain_http).
    #[must_use]
    pub fn plain_http(mut self, value: PlainHttp) -> Self {
        self.plain_http = value;
        self
    }

    /// Trusts the certificates of a PEM file, besides the built-in roots. They are read by
    /// [`Client::with`](crate::Client::with).
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Shows this certificate (a PEM chain, the client's own first) to servers that ask for one.
    #[must_use]
    pub fn client_certificate(mut self, certificates: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some(Identity { certificates: certificates.into(), key: key.into() });
        self
    }

    /// Trusts the roots of the operating system, besides the built-in ones.
    #[cfg(feature = "native-roots")]
    #[must_use]
    pub fn native_roots(mut self, value: bool) -> Self {
        self.native_roots = value;
        self
    }

    /// Gives the credentials of one registry, as it stands in references.
    ///
    /// # Errors
    /// [`Error::Reference`](crate::Error::Reference) when `registry` is no host with or without a port.
    pub fn credentials(mut self, registry: &str, credentials: Credentials) -> Result<Self> {
        let authority = parse_authority(registry).map_err(|wrong| wrong.of(registry))?;
        self.given.insert(authority.to_string(), credentials);
        Ok(self)
    }

    /// Adds a source of credentials, asked in order after those given by [`credentials`](Self::credentials).
    #[must_use]
    pub fn credential_source(mut self, source: Arc<dyn CredentialSource>) -> Self {
        self.sources.push(source);
        self
    }

    /// Lets the credentials of a registry go to token servers on another host name. Without this they go to the
    /// registry's own host only, and, as is well known, from docker.io to auth.docker.io and from registry.gitlab.com to
    /// gitlab.com.
    ///
    /// # Errors
    /// [`Error::Reference`](crate::Error::Reference) when one of them is no host.
    pub fn token_host(mut self, registry: &str, host: &str) -> Result<Self> {
        let registry = parse_authority(registry).map_err(|wrong| wrong.of(registry))?;
        let host = parse_authority(host).map_err(|wrong| wrong.of(host))?;
        self.realm_hosts.insert((registry.host().to_owned(), host.host().to_owned()));
        Ok(self)
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned(),
            idle_timeout: Duration::from_secs(30),
            retries: 3,
            max_wait: Duration::from_secs(25),
            manifest_limit: 4 * 1024 * 1024,
            plain_http: PlainHttp::default(),
            roots: Vec::new(),
            identity: None,
            #[cfg(feature = "native-roots")]
            native_roots: false,
            given: Given::default(),
            sources: Vec::new(),
            realm_hosts: [("docker.io", "auth.docker.io"), ("registry.gitlab.com", "gitlab.com")]
                .map(|(registry, host)| (registry.to_owned(), host.to_owned()))
                .into(),
        }
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("user_agent", &self.user_agent)
            .field("idle_timeout", &self.idle_timeout)
            .field("retries", &self.retries)
            .field("max_wait", &self.max_wait)
            .field("manifest_limit", &self.manifest_limit)
            .field("plain_http", &self.plain_http)
            .field("credentials", &self.given)
            .finish_non_exhaustive()
    }
}
