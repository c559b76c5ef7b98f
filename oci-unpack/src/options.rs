use std::fmt;
use std::sync::Arc;

use oci_digest::CancelToken;

use crate::{Event, Limits};

/// Whose files the tree's files become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Ownership {
    /// [`Apply`](Self::Apply) when this thread has `CAP_CHOWN` in effect, but with a warning instead of an error
    /// for an owner that the kernel refuses (an id that the user namespace does not map); else
    /// [`Drop`](Self::Drop).
    #[default]
    Auto,
    /// The owners of the image. One that cannot be set is an error.
    Apply,
    /// Everything belongs to the caller. Owners are left out without a word, since that is what was asked for;
    /// devices are skipped with a warning.
    Drop,
}

/// When written data reaches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SyncPolicy {
    /// When the kernel likes. After a power failure the tree may be incomplete under its final name.
    #[default]
    None,
    /// One `syncfs` of the destination's file system before the tree gets its final name.
    Tree,
    /// `fsync` of every file and directory.
    PerFile,
}

/// How layers become files. `Default` is right for most.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct UnpackOptions {
    /// Whose files they become. Default [`Ownership::Auto`].
    pub ownership: Ownership,
    /// How much an image may ask for.
    pub limits: Limits,
    /// Whether warnings are errors. Default no.
    pub strict: bool,
    /// Whether `trusted.*` extended attributes are kept, which needs `CAP_SYS_ADMIN` of the initial user
    /// namespace. Default no.
    pub keep_trusted_xattrs: bool,
    /// When data reaches the disk. Default [`SyncPolicy::None`].
    pub sync: SyncPolicy,
    /// Stops the work when raised.
    pub cancel: CancelToken,
    pub(crate) observer: Option<Arc<Observer>>,
    pub(crate) no_openat2: bool,
}

pub(crate) type Observer = dyn Fn(&Event) + Send + Sync;

impl UnpackOptions {
    /// Sets whose files they become.
    pub fn ownership(mut self, ownership: Ownership) -> Self {
        self.ownership = ownership;
        self
    }

    /// Sets how much an image may ask for.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets whether warnings are errors.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Sets whether `trusted.*` extended attributes are kept.
    pub fn keep_trusted_xattrs(mut self, keep: bool) -> Self {
        self.keep_trusted_xattrs = keep;
        self
    }

    /// Sets when data reaches the disk.
    pub fn sync(mut self, sync: SyncPolicy) -> Self {
        self.sync = sync;
        self
    }

    /// Sets the token that stops the work.
    pub fn cancel(mut self, cancel: CancelToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// Sets who is told what happens. It is called from the thread that works, between two steps of it.
    pub fn observer(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Does without the system call `openat2`, as on kernels before 5.6, for tests of that path.
    #[doc(hidden)]
    pub fn without_openat2(mut self) -> Self {
        self.no_openat2 = true;
        self
    }
}

impl fmt::Debug for UnpackOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnpackOptions")
            .field("ownership", &self.ownership)
            .field("limits", &self.limits)
            .field("strict", &self.strict)
            .field("keep_trusted_xattrs", &self.keep_trusted_xattrs)
            .field("sync", &self.sync)
            .field("observer", &self.observer.is_some())
            .finish_non_exhaustive()
    }
}
