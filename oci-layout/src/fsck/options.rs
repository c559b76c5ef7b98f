use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use oci_digest::{CancelToken, Descriptor};

use crate::Decompress;

/// How much [`ImageLayout::fsck`](crate::ImageLayout::fsck) looks at. Each level holds those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Level {
    /// index.json and the documents below it, verified, parsed, and compared with each other; the presence and size of
    /// everything they name. Reads no layer.
    Structure,
    /// The digest of every blob, whether or not something names it, on all cores.
    #[default]
    Digests,
    /// The diffID of every layer of an image, too, which needs decompressing it.
    DiffIds,
}

/// What is told of a check as it goes. It is called from several threads.
pub type FsckObserver = Arc<dyn Fn(&FsckEvent<'_>) + Send + Sync>;

/// How [`ImageLayout::fsck`](crate::ImageLayout::fsck) checks.
#[derive(Clone)]
#[non_exhaustive]
pub struct FsckOptions {
    /// How much is looked at. Default: [`Level::Digests`].
    pub level: Level,
    /// Takes the compression off layers, for [`Level::DiffIds`]. Without one only layers that are not compressed are
    /// checked there.
    pub decompress: Option<Decompress>,
    /// All other layouts that share the folder with the blobs, when it is
    /// [shared](crate::LayoutOptions::shared_blobs). Without them nobody can tell which blobs there are orphans, and the
    /// report says so. Default: not told.
    pub sharing: Option<Vec<PathBuf>>,
    /// How many blobs are read at a time; 0, the default, is one for each core.
    pub jobs: usize,
    /// How many findings are kept, the worst of them. The rest is counted. Default: 10,000.
    pub max_findings: usize,
    /// Is told what happens.
    pub observer: Option<FsckObserver>,
    /// Ends the check when it is raised.
    pub cancel: CancelToken,
}

impl Default for FsckOptions {
    fn default() -> Self {
        Self {
            level: Level::default(),
            decompress: None,
            sharing: None,
            jobs: 0,
            max_findings: 10_000,
            observer: None,
            cancel: CancelToken::new(),
        }
    }
}

impl FsckOptions {
    /// Sets [`level`](Self::level).
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Sets [`decompress`](Self::decompress), and the level to [`Level::DiffIds`].
    #[must_use]
    pub fn decompress(mut self, decompress: Decompress) -> Self {
        self.decompress = Some(decompress);
        self.level = Level::DiffIds;
        self
    }

    /// Sets [`sharing`](Self::sharing).
    #[must_use]
    pub fn sharing<P: Into<PathBuf>>(mut self, others: impl IntoIterator<Item = P>) -> Self {
        self.sharing = Some(others.into_iter().map(Into::into).collect());
        self
    }

    /// Sets [`jobs`](Self::jobs).
    #[must_use]
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs;
        self
    }

    /// Sets [`max_findings`](Self::max_findings).
    #[must_use]
    pub fn max_findings(mut self, findings: usize) -> Self {
        self.max_findings = findings;
        self
    }

    /// Sets [`observer`](Self::observer).
    #[must_use]
    pub fn observer(mut self, observer: impl Fn(&FsckEvent<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Sets [`cancel`](Self::cancel).
    #[must_use]
    pub fn cancel(mut self, cancel: CancelToken) -> Self {
        self.cancel = cancel;
        self
    }

    pub(super) fn tell(&self, event: &FsckEvent<'_>) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }
}

impl fmt::Debug for FsckOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FsckOptions")
            .field("level", &self.level)
            .field("decompress", &self.decompress.is_some())
            .field("sharing", &self.sharing)
            .field("jobs", &self.jobs)
            .field("max_findings", &self.max_findings)
            .field("observer", &self.observer.is_some())
            .field("cancel", &self.cancel)
            .finish()
    }
}

/// What happens in a check.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum FsckEvent<'a> {
    /// The blobs that will be read are known.
    Planned {
        /// How many.
        blobs: u64,
        /// Their sizes together, in bytes.
        bytes: u64,
    },
    /// A blob was read.
    Read {
        /// Its digest and size; the media type is that by which it is named, if it is.
        descriptor: &'a Descriptor,
    },
    /// Something was found.
    Found {
        /// What.
        finding: &'a super::Finding,
    },
}
