use super::Repository;
use super::runtime::Runtime;
use crate::{ClientOptions, Reference, Result};

/// A [`Client`](crate::Client) with threads of its own. Clones are the same client.
///
/// ```no_run
/// use oci_client::{Reference, blocking::Client};
///
/// let reference: Reference = "127.0.0.1:5000/tools/jq:1.7".parse()?;
/// let repository = Client::new()?.repository(&reference)?;
/// println!("{}", repository.resolve(reference.target())?.digest());
/// # Ok::<(), oci_client::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    runtime: Runtime,
    inner: crate::Client,
}

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
    /// As [`Client::with`](crate::Client::with); [`Error::Config`](crate::Error::Config) when there can be no
    /// threads.
    pub fn with(options: ClientOptions) -> Result<Self> {
        Ok(Self { inner: crate::Client::with(options)?, runtime: Runtime::new()? })
    }

    /// The repository that a reference names. Nothing is sent.
    ///
    /// # Errors
    /// As [`Client::repository`](crate::Client::repository).
    pub fn repository(&self, reference: &Reference) -> Result<Repository> {
        Ok(Repository::new(self.inner.repository(reference)?, self.runtime.clone()))
    }

    /// A registry by host and port, as in a reference.
    ///
    /// # Errors
    /// As [`Client::registry`](crate::Client::registry).
    pub fn registry(&self, registry: &str) -> Result<Registry> {
        Ok(Registry { inner: self.inner.registry(registry)?, runtime: self.runtime.clone() })
    }
}

/// One registry of a [`Client`].
#[derive(Debug, Clone)]
pub struct Registry {
    inner: crate::Registry,
    runtime: Runtime,
}

impl Registry {
    /// Host and port, as in a reference.
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// One of its repositories. Nothing is sent.
    ///
    /// # Errors
    /// As [`Registry::repository`](crate::Registry::repository).
    pub fn repository(&self, name: &str) -> Result<Repository> {
        Ok(Repository::new(self.inner.repository(name)?, self.runtime.clone()))
    }
}
