use std::path::{Path, PathBuf};

use oci_digest::Algorithm;

use crate::{ImageLayout, Result};

/// What is forced to the disk, and when.
///
/// Whatever the policy, a blob has its final name only when all its bytes were written and fit, and index.json is
/// replaced as a whole; the policy decides what of it survives a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SyncPolicy {
    /// Nothing: for scratch layouts and caches that can be filled again. After a loss of power blobs may be empty.
    None,
    /// Nothing while blobs are put; everything at once, the blobs of other writers too, before index.json names any of
    /// them, and index.json itself. The fastest for many blobs and one tag, on a disk that few others write to: the
    /// barrier is a syncfs(2). What the index names is always there whole; a blob that it does not name yet may be
    /// damaged after a loss of power, on a file system that gives a file its size before its bytes.
    Group,
    /// A blob's bytes before it gets its name; the names of all blobs before index.json names them; index.json
    /// itself when it changes. What the index names is always there whole.
    #[default]
    PerBlob,
    /// As [`PerBlob`](Self::PerBlob), and a blob's name before the call that put it returns.
    Full,
}

impl SyncPolicy {
    /// Whether what index.json names must be on the disk before.
    pub(crate) fn syncs(self) -> bool {
        self != Self::None
    }

    /// Whether a blob's bytes must be on the disk before its name.
    pub(crate) fn syncs_each(self) -> bool {
        matches!(self, Self::PerBlob | Self::Full)
    }
}

/// How a layout is opened: what can be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayoutOptions {
    /// What is forced to the disk. Default: [`SyncPolicy::PerBlob`].
    pub sync: SyncPolicy,
    /// The algorithm for blobs whose digest is not known before. Default: SHA-256.
    pub algorithm: Algorithm,
    /// The largest index.json that is read or written, in bytes. Default: 64 MiB.
    pub max_index_bytes: u64,
    /// The largest manifest or nested index that is read, in bytes. Default: 4 MiB, as registries have it.
    pub max_manifest_bytes: u64,
    /// How deep indexes may be nested below index.json. Default: 8.
    pub max_depth: usize,
    /// How many manifests one search may read. Default: 65,536.
    pub max_walk: usize,
    /// Whether [`adopt`](oci_digest::content::Sink::adopt) may share a verified file by a hard link where the file
    /// system has no reflinks. Who can write the original can then change the blob. Default: no.
    pub hard_links: bool,
    /// A folder that keeps the blobs of this layout and of others, instead of the layout's own: below it are the folders
    /// `sha256` and so on. skopeo calls it `--shared-blob-dir`. Garbage collection then has to be
    /// [told of all layouts](crate::gc::GcOptions::sharing). Default: none.
    pub shared_blobs: Option<PathBuf>,
}

impl Default for LayoutOptions {
    fn default() -> Self {
        Self {
            sync: SyncPolicy::default(),
            algorithm: Algorithm::default(),
            max_index_bytes: 64 << 20,
            max_manifest_bytes: 4 << 20,
            max_depth: 8,
            max_walk: 1 << 16,
            hard_links: false,
            shared_blobs: None,
        }
    }
}

impl LayoutOptions {
    /// Sets [`sync`](Self::sync).
    #[must_use]
    pub fn sync(mut self, sync: SyncPolicy) -> Self {
        self.sync = sync;
        self
    }

    /// Sets [`algorithm`](Self::algorithm).
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets [`max_index_bytes`](Self::max_index_bytes).
    #[must_use]
    pub fn max_index_bytes(mut self, bytes: u64) -> Self {
        self.max_index_bytes = bytes;
        self
    }

    /// Sets [`max_manifest_bytes`](Self::max_manifest_bytes).
    #[must_use]
    pub fn max_manifest_bytes(mut self, bytes: u64) -> Self {
        self.max_manifest_bytes = bytes;
        self
    }

    /// Sets [`max_depth`](Self::max_depth).
    #[must_use]
    pub fn max_depth(mut self, depth: usize) -> Self {
        self.max_depth = depth;
        self
    }

    /// Sets [`max_walk`](Self::max_walk).
    #[must_use]
    pub fn max_walk(mut self, manifests: usize) -> Self {
        self.max_walk = manifests;
        self
    }

    /// Sets [`hard_links`](Self::hard_links).
    #[must_use]
    pub fn hard_links(mut self, allowed: bool) -> Self {
        self.hard_links = allowed;
        self
    }

    /// Sets [`shared_blobs`](Self::shared_blobs).
    #[must_use]
    pub fn shared_blobs(mut self, folder: impl Into<PathBuf>) -> Self {
        self.shared_blobs = Some(folder.into());
        self
    }

    /// [`ImageLayout::create`] with these options.
    ///
    /// # Errors
    /// As there.
    pub fn create(self, path: impl AsRef<Path>) -> Result<ImageLayout> {
        ImageLayout::create_with(path.as_ref(), self)
    }

    /// [`ImageLayout::open`] with these options.
    ///
    /// # Errors
    /// As there.
    pub fn open(self, path: impl AsRef<Path>) -> Result<ImageLayout> {
        ImageLayout::open_with(path.as_ref(), self)
    }

    /// [`ImageLayout::open_or_create`] with these options.
    ///
    /// # Errors
    /// As there.
    pub fn open_or_create(self, path: impl AsRef<Path>) -> Result<ImageLayout> {
        ImageLayout::open_or_create_with(path.as_ref(), self)
    }
}
