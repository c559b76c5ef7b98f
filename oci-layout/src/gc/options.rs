use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use oci_digest::{CancelToken, Digest};

/// How [`ImageLayout::gc`](crate::ImageLayout::gc) collects.
///
/// ```
/// use std::time::Duration;
/// use oci_layout::gc::GcOptions;
///
/// let options = GcOptions::default().grace(Duration::from_secs(3600)).dry_run(true);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct GcOptions {
    /// Blobs that were written or relied upon within this time are spared, and what the manifests among them name.
    ///
    /// It must be longer than the longest copy into the layout takes from its first blob to its tag. Zero is for
    /// layouts that nobody else writes. Default: 24 hours.
    pub grace: Duration,
    /// Downloads that were interrupted are kept this long, to be gone on from. Default: 7 days.
    pub partial_age: Duration,
    /// Only report what would be removed. Takes no lock and writes nothing. Default: no.
    pub dry_run: bool,
    /// Go on when a manifest that is reachable is damaged, as if it named nothing. What only it names is removed
    /// then. Default: no, that is an error and nothing is removed.
    pub ignore_damage: bool,
    /// Content that is kept, with all it names, beside what index.json names.
    pub keep: Vec<Digest>,
    /// All other layouts that share the folder with the blobs, when it is
    /// [shared](crate::LayoutOptions::shared_blobs): what any of them leads to is kept, and their locks are taken,
    /// too. Without it such a layout is not collected. Default: not told.
    pub sharing: Option<Vec<PathBuf>>,
    /// Is told what happens.
    pub observer: Option<GcObserver>,
    /// Ends the collection when it is raised. What was removed by then stays removed.
    pub cancel: CancelToken,
}

/// What is told of a collection as it goes.
pub type GcObserver = Arc<dyn Fn(&GcEvent<'_>) + Send + Sync>;

impl Default for GcOptions {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(24 * 3600),
            partial_age: Duration::from_secs(7 * 24 * 3600),
            dry_run: false,
            ignore_damage: false,
            keep: Vec::new(),
            sharing: None,
            observer: None,
            cancel: CancelToken::new(),
        }
    }
}

impl GcOptions {
    /// Sets [`grace`](Self::grace).
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets [`partial_age`](Self::partial_age).
    #[must_use]
    pub fn partial_age(mut self, age: Duration) -> Self {
        self.partial_age = age;
        self
    }

    /// Sets [`sharing`](Self::sharing).
    #[must_use]
    pub fn sharing<P: Into<PathBuf>>(mut self, others: impl IntoIterator<Item = P>) -> Self {
        self.sharing = Some(others.into_iter().map(Into::into).collect());
        self
    }

    /// Sets [`dry_run`](Self::dry_run).
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets [`ignore_damage`](Self::ignore_damage).
    #[must_use]
    pub fn ignore_damage(mut self, ignore: bool) -> Self {
        self.ignore_damage = ignore;
        self
    }

    /// Sets [`keep`](Self::keep).
    #[must_use]
    pub fn keep(mut self, digests: impl IntoIterator<Item = Digest>) -> Self {
        self.keep = digests.into_iter().collect();
        self
    }

    /// Sets [`observer`](Self::observer).
    #[must_use]
    pub fn observer(mut self, observer: impl Fn(&GcEvent<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Sets [`cancel`](Self::cancel).
    #[must_use]
    pub fn cancel(mut self, cancel: CancelToken) -> Self {
        self.cancel = cancel;
        self
    }

    pub(super) fn tell(&self, event: &GcEvent<'_>) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }
}

impl fmt::Debug for GcOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcOptions")
            .field("grace", &self.grace)
            .field("partial_age", &self.partial_age)
            .field("dry_run", &self.dry_run)
            .field("ignore_damage", &self.ignore_damage)
            .field("keep", &self.keep)
            .field("observer", &self.observer.is_some())
            .field("cancel", &self.cancel)
            .finish()
    }
}

/// What happens in a collection; in a dry run, what would.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum GcEvent<'a> {
    /// Nothing names this blob, and it was removed.
    Removed {
        /// Which.
        digest: &'a Digest,
        /// Its size, in bytes.
        bytes: u64,
    },
    /// Nothing names this blob, but it is too young to be removed.
    Spared {
        /// Which.
        digest: &'a Digest,
        /// Its size, in bytes.
        bytes: u64,
    },
    /// A temporary file or interrupted download that nobody goes on with was removed.
    Stale {
        /// The file.
        path: &'a Path,
        /// Its size, in bytes.
        bytes: u64,
    },
    /// Content that is named is not in the layout, such as the other platforms of an index.
    Missing {
        /// Which.
        digest: &'a Digest,
    },
}

/// What a collection did; after a dry run, what it would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GcReport {
    /// Blobs that are named, and their sizes together.
    pub live: Count,
    /// Blobs that were removed.
    pub removed: Count,
    /// Blobs that nothing names and that are too young.
    pub spared: Count,
    /// Temporary files and interrupted downloads that were removed.
    pub stale: Count,
    /// Manifests and indexes that are named and not there.
    pub missing: Vec<Digest>,
    /// Files and folders below `blobs` that were left alone because they are not known, by path in the layout.
    pub unknown: Vec<String>,
}

/// A number of files and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Count {
    /// How many.
    pub files: u64,
    /// Their sizes together, in bytes.
    pub bytes: u64,
}

impl Count {
    pub(super) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}
