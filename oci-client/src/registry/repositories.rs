//! Which repositories a registry has, and the store behind each.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oci_digest::content::{MemoryStore, Store};
use oci_digest::{Error, Result};

/// The repositories of a registry: a [`Store`] by name.
///
/// Names have passed the grammar of the distribution spec before any method is called: no empty, `.` or `..`
/// part, lower case letters, digits and single separators, at most 255 bytes. The methods may block; the registry
/// calls them beside its connections, from several threads.
pub trait Repositories: Send + Sync + 'static {
    /// The store of a repository, `None` when there is no such repository.
    ///
    /// # Errors
    /// What opening the store can meet.
    fn open(&self, name: &str) -> Result<Option<Arc<dyn Store>>>;

    /// The store of a repository that content is pushed to, made if there is none.
    ///
    /// # Errors
    /// What making the store can meet. [`Error::NotFound`] refuses the name: the client gets `NAME_UNKNOWN`.
    fn create(&self, name: &str) -> Result<Arc<dyn Store>>;

    /// The names for the catalog, sorted by bytes, each once.
    ///
    /// # Errors
    /// What listing can meet.
    fn names(&self) -> Result<Vec<String>>;
}

/// Repositories in memory, made by the first push: what a [`Registry`](super::Registry) has by default.
#[derive(Default)]
pub struct MemoryRepositories(Mutex<BTreeMap<String, Arc<dyn Store>>>);

impl MemoryRepositories {
    /// No repositories yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Repositories for MemoryRepositories {
    fn open(&self, name: &str) -> Result<Option<Arc<dyn Store>>> {
        Ok(locked(&self.0).get(name).cloned())
    }

    fn create(&self, name: &str) -> Result<Arc<dyn Store>> {
        let mut stores = locked(&self.0);
        let store = stores.entry(name.to_owned()).or_insert_with(|| Arc::new(MemoryStore::new()));
        Ok(Arc::clone(store))
    }

    fn names(&self) -> Result<Vec<String>> {
        Ok(locked(&self.0).keys().cloned().collect())
    }
}

/// A fixed set of repositories, for example one layout under one name. Pushes to other names are refused.
///
/// ```
/// use std::sync::Arc;
/// use oci_client::registry::{FixedRepositories, Registry};
/// use oci_digest::content::MemoryStore;
///
/// let stores = FixedRepositories::new().with("library/app", Arc::new(MemoryStore::new()));
/// let server = Registry::builder().repositories(stores).start()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Default)]
pub struct FixedRepositories(BTreeMap<String, Arc<dyn Store>>);

impl FixedRepositories {
    /// No repositories.
    pub fn new() -> Self {
        Self::default()
    }

    /// One repository more, or another store for a name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, store: Arc<dyn Store>) -> Self {
        self.0.insert(name.into(), store);
        self
    }
}

impl Repositories for FixedRepositories {
    fn open(&self, name: &str) -> Result<Option<Arc<dyn Store>>> {
        Ok(self.0.get(name).cloned())
    }

    fn create(&self, name: &str) -> Result<Arc<dyn Store>> {
        self.0.get(name).cloned().ok_or_else(|| Error::not_found(name))
    }

    fn names(&self) -> Result<Vec<String>> {
        Ok(self.0.keys().cloned().collect())
    }
}

/// Repositories opened by a closure, for example a folder of layouts; each store is opened once and kept.
///
/// The closure gets a checked name and whether the repository may be made. It answers `None` when there is none,
/// or none may be made. The catalog lists what `names` gave at the start and what was opened since.
///
/// ```
/// use std::sync::Arc;
/// use oci_client::registry::{OpenedRepositories, Registry};
/// use oci_digest::content::{MemoryStore, Store};
///
/// let stores = OpenedRepositories::new(|name, create| {
///     // Here a program opens or creates the layout `folder.join(name)`.
///     Ok((create && name.starts_with("team/")).then(|| Arc::new(MemoryStore::new()) as Arc<dyn Store>))
/// });
/// let server = Registry::builder().repositories(stores).start()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct OpenedRepositories<F> {
    open: F,
    stores: Mutex<BTreeMap<String, Option<Arc<dyn Store>>>>,
}

impl<F> OpenedRepositories<F>
where
    F: Fn(&str, bool) -> Result<Option<Arc<dyn Store>>> + Send + Sync + 'static,
{
    /// Repositories that `open(name, create)` opens.
    pub fn new(open: F) -> Self {
        Self { open, stores: Mutex::default() }
    }

    /// Names for the catalog of repositories that exist and have not been asked for yet.
    #[must_use]
    pub fn names(self, names: impl IntoIterator<Item = String>) -> Self {
        locked(&self.stores).extend(names.into_iter().map(|name| (name, None)));
        self
    }

    fn opened(&self, name: &str, create: bool) -> Result<Option<Arc<dyn Store>>> {
        // Held while opening, so that two pushes to a new name make one store.
        let mut stores = locked(&self.stores);
        if let Some(Some(store)) = stores.get(name) {
            return Ok(Some(Arc::clone(store)));
        }
        let store = (self.open)(name, create)?;
        if let Some(store) = &store {
            stores.insert(name.to_owned(), Some(Arc::clone(store)));
        }
        Ok(store)
    }
}

impl<F> Repositories for OpenedRepositories<F>
where
    F: Fn(&str, bool) -> Result<Option<Arc<dyn Store>>> + Send + Sync + 'static,
{
    fn open(&self, name: &str) -> Result<Option<Arc<dyn Store>>> {
        self.opened(name, false)
    }

    fn create(&self, name: &str) -> Result<Arc<dyn Store>> {
        self.opened(name, true)?.ok_or_else(|| Error::not_found(name))
    }

    fn names(&self) -> Result<Vec<String>> {
        Ok(locked(&self.stores).keys().cloned().collect())
    }
}

/// A map stays whole when a thread that held it panicked: every change of it is one call.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for MemoryRepositories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryRepositories").field(&locked(&self.0).keys()).finish()
    }
}

impl fmt::Debug for FixedRepositories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FixedRepositories").field(&self.0.keys()).finish()
    }
}

impl<F> fmt::Debug for OpenedRepositories<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenedRepositories").field(&locked(&self.stores).keys()).finish()
    }
}
