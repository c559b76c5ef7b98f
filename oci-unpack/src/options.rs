use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use oci_digest::CancelToken;

use crate::{Event, Limits, Policies};

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
    /// devices cannot be made.
    Drop,
    /// Everything belongs to the caller, and the owners of the image are recorded in the extended attribute
    /// `user.rootlesscontainers` of files and directories, as umoci does for ordinary users and PRoot understands
    /// it. One of 0:0 needs no record. What cannot have such an attribute (links, pipes) loses its owner with a
    /// warning. [`pack::Owners::RootlessContainers`](crate::pack::Owners::RootlessContainers) is the way back.
    RootlessContainers,
    /// Everything belongs to the caller, and owner, mode and kind are recorded in the extended attribute
    /// `user.containers.override_stat`, as containers/storage and fuse-overlayfs read it. Devices and pipes become
    /// empty files that stand for them. Every file and directory has a record, without which fuse-overlayfs would not
    /// show it; what it makes of devices and pipes depends on its version. On the disk nobody gains by the modes: suid, sgid and sticky are only
    /// recorded, and the caller can read and write everything. Links have no such attribute, and lose an owner that
    /// is not 0:0 with a warning. [`pack::Owners::OverrideStat`](crate::pack::Owners::OverrideStat) is the way back.
    OverrideStat,
}

/// What stands in for a device that this process may not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Devices {
    /// Nothing: it is missing from the tree, and so are hard links to it.
    #[default]
    Skip,
    /// An empty regular file with the device's mode, as a place for a container to mount the real one on.
    EmptyFile,
}

/// How a layer's folder says to overlayfs what it hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OverlayFormat {
    /// [`Trusted`](Self::Trusted) where this process may, else [`User`](Self::User).
    #[default]
    Auto,
    /// Attributes `trusted.overlay.*`, which need `CAP_SYS_ADMIN` of the initial user namespace.
    Trusted,
    /// Attributes `user.overlay.*`, which anybody may set. The mount needs the option `userxattr` (Linux 5.11).
    User,
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
    /// Whether every loss is an error, whatever [`policies`](Self::policies) says. Default no.
    pub strict: bool,
    /// What each kind of loss leads to. Default: all are told, none is an error.
    pub policies: Policies,
    /// What stands in for devices that may not be made. Default [`Devices::Skip`].
    pub devices: Devices,
    /// Whether `trusted.*` extended attributes are kept, which needs `CAP_SYS_ADMIN` of the initial user
    /// namespace. Default no.
    pub keep_trusted_xattrs: bool,
    /// Whether blocks of 4 KiB that are all zeros become holes of their files, which saves space and costs a look at
    /// every byte. The holes of sparse entries are kept either way. Default no.
    pub holes: bool,
    /// The format of layers that are unpacked for overlayfs. Default [`OverlayFormat::Auto`].
    pub overlay_format: OverlayFormat,
    /// How many layers for overlayfs are worked on at once, each on about two processors. Default: as many as this
    /// machine has processors for. One root file system takes its layers one after the other.
    pub layers_at_once: Option<NonZeroUsize>,
    /// When data reaches the disk. Default [`SyncPolicy::None`].
    pub sync: SyncPolicy,
    /// Whether [`Report::snapshot`](crate::Report::snapshot) tells afterwards what the tree is. Default no.
    pub snapshot: bool,
    /// Stops the work when raised.
    pub cancel: CancelToken,
    pub(crate) observer: Option<Arc<Observer>>,
    pub(crate) no_openat2: bool,
    pub(crate) no_whiteout_devices: bool,
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

    /// Sets whether every loss is an error.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Sets what each kind of loss leads to.
    pub fn policies(mut self, policies: Policies) -> Self {
        self.policies = policies;
        self
    }

    /// Sets what stands in for devices that may not be made.
    pub fn devices(mut self, devices: Devices) -> Self {
        self.devices = devices;
        self
    }

    /// Sets whether `trusted.*` extended attributes are kept.
    pub fn keep_trusted_xattrs(mut self, keep: bool) -> Self {
        self.keep_trusted_xattrs = keep;
        self
    }

    /// Sets whether blocks of zeros become holes.
    pub fn holes(mut self, holes: bool) -> Self {
        self.holes = holes;
        self
    }

    /// Sets the format of layers that are unpacked for overlayfs.
    pub fn overlay_format(mut self, format: OverlayFormat) -> Self {
        self.overlay_format = format;
        self
    }

    /// Sets how many layers for overlayfs are worked on at once.
    pub fn layers_at_once(mut self, layers: NonZeroUsize) -> Self {
        self.layers_at_once = Some(layers);
        self
    }

    /// Sets when data reaches the disk.
    pub fn sync(mut self, sync: SyncPolicy) -> Self {
        self.sync = sync;
        self
    }

    /// Sets whether a [`Snapshot`](crate::diff::Snapshot) of the tree is taken: contents are hashed while they are
    /// written, and the nodes looked at in the end. It takes about a third of the time of unpacking more.
    pub fn snapshot(mut self, take: bool) -> Self {
        self.snapshot = take;
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

    /// Does without whiteouts that are devices, as where making them is refused, for tests of that path.
    #[doc(hidden)]
    pub fn without_whiteout_devices(mut self) -> Self {
        self.no_whiteout_devices = true;
        self
    }
}

impl fmt::Debug for UnpackOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnpackOptions")
            .field("ownership", &self.ownership)
            .field("limits", &self.limits)
            .field("strict", &self.strict)
            .field("policies", &self.policies)
            .field("devices", &self.devices)
            .field("keep_trusted_xattrs", &self.keep_trusted_xattrs)
            .field("holes", &self.holes)
            .field("overlay_format", &self.overlay_format)
            .field("layers_at_once", &self.layers_at_once)
            .field("sync", &self.sync)
            .field("snapshot", &self.snapshot)
            .field("observer", &self.observer.is_some())
            .finish_non_exhaustive()
    }
}
