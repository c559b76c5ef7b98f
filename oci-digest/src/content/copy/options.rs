use std::fmt;
use std::sync::Arc;

use super::Event;
use crate::{CancelToken, Platform};

/// What is told of a copy as it goes. It is called from several threads, and holds them up while it runs.
pub type Observer = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// How a [`copy`](super::copy) goes.
///
/// ```
/// use oci_digest::content::{CopyOptions, Platforms};
///
/// let options = CopyOptions::default().platforms(Platforms::Host).jobs(2).referrers(true);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct CopyOptions {
    /// How many transfers at a time, at least 1. 4 by default.
    pub jobs: usize,
    /// What is taken of an index. All by default.
    pub platforms: Platforms,
    /// The tags of the root in the sink. By default the name that was asked for, unless that is a digest.
    pub tags: Option<Vec<String>>,
    /// Whether the referrers of each manifest come along, and theirs in turn. Not by default.
    pub referrers: bool,
    /// Whether what a manifest names as its `subject` comes along, where the source has it. Not by default.
    pub subjects: bool,
    /// Is told what happens.
    pub observer: Option<Observer>,
    /// Ends the copy when it is raised.
    pub cancel: CancelToken,
    /// What a copy may cost.
    pub limits: CopyLimits,
}

/// What is taken of an index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Platforms {
    /// The index, unchanged, with everything in it.
    #[default]
    All,
    /// The image for this machine, in place of the index.
    Host,
    /// One platform: its image, in place of the index. Several: an index of those, which is a new document.
    Only(Vec<Platform>),
}

/// What a copy may cost. Each is an [`Error::Limit`](crate::Error::Limit) when exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyLimits {
    /// Bytes of one manifest or index. 4 MiB by default.
    pub manifest_bytes: u64,
    /// Bytes of the manifests that are held at a time. 64 MiB by default.
    pub held_bytes: u64,
    /// Steps from the root: index to manifest is one, manifest to referrer another. 16 by default.
    pub depth: u64,
    /// Descriptors that are different. 100 000 by default.
    pub descriptors: u64,
    /// The sizes of all of them together, in bytes. Not limited by default.
    pub total_bytes: u64,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            jobs: 4,
            platforms: Platforms::default(),
            tags: None,
            referrers: false,
            subjects: false,
            observer: None,
            cancel: CancelToken::new(),
            limits: CopyLimits::default(),
        }
    }
}

impl Default for CopyLimits {
    fn default() -> Self {
        Self {
            manifest_bytes: crate::MAX_DOCUMENT_BYTES,
            held_bytes: 64 << 20,
            depth: 16,
            descriptors: 100_000,
            total_bytes: u64::MAX,
        }
    }
}

impl CopyOptions {
    /// Sets [`jobs`](Self::jobs).
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs;
        self
    }

    /// Sets [`platforms`](Self::platforms).
    pub fn platforms(mut self, platforms: Platforms) -> Self {
        self.platforms = platforms;
        self
    }

    /// Takes one platform: its image in place of an index.
    pub fn platform(self, platform: Platform) -> Self {
        self.platforms(Platforms::Only(vec![platform]))
    }

    /// Sets [`tags`](Self::tags). With none the root is published by digest alone.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// Sets [`referrers`](Self::referrers).
    pub fn referrers(mut self, referrers: bool) -> Self {
        self.referrers = referrers;
        self
    }

    /// Sets [`subjects`](Self::subjects).
    pub fn subjects(mut self, subjects: bool) -> Self {
        self.subjects = subjects;
        self
    }

    /// Sets [`observer`](Self::observer).
    pub fn observer(mut self, observer: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Sets [`cancel`](Self::cancel).
    pub fn cancel(mut self, cancel: CancelToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// Sets [`limits`](Self::limits).
    pub fn limits(mut self, limits: CopyLimits) -> Self {
        self.limits = limits;
        self
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }
}

impl CopyLimits {
    /// Sets [`manifest_bytes`](Self::manifest_bytes).
    pub fn manifest_bytes(mut self, bytes: u64) -> Self {
        self.manifest_bytes = bytes;
        self
    }

    /// Sets [`held_bytes`](Self::held_bytes).
    pub fn held_bytes(mut self, bytes: u64) -> Self {
        self.held_bytes = bytes;
        self
    }

    /// Sets [`depth`](Self::depth).
    pub fn depth(mut self, depth: u64) -> Self {
        self.depth = depth;
        self
    }

    /// Sets [`descriptors`](Self::descriptors).
    pub fn descriptors(mut self, descriptors: u64) -> Self {
        self.descriptors = descriptors;
        self
    }

    /// Sets [`total_bytes`](Self::total_bytes).
    pub fn total_bytes(mut self, bytes: u64) -> Self {
        self.total_bytes = bytes;
        self
    }
}

impl fmt::Debug for CopyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyOptions")
            .field("jobs", &self.jobs)
            .field("platforms", &self.platforms)
            .field("tags", &self.tags)
            .field("referrers", &self.referrers)
            .field("subjects", &self.subjects)
            .field("observer", &self.observer.is_some())
            .field("cancel", &self.cancel)
            .field("limits", &self.limits)
            .finish()
    }
}
