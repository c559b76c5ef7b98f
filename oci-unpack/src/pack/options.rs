use crate::compression::Compression;
use crate::framing::Timestamp;

use super::Owners;

/// How a layer is made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PackOptions {
    pub(super) compression: Compression,
    pub(super) level: Option<u32>,
    pub(super) threads: usize,
    pub(super) latest_mtime: Option<i64>,
    pub(crate) nanoseconds: bool,
    pub(super) owners: Owners,
    pub(super) trusted_xattrs: bool,
    pub(crate) root_entry: bool,
    pub(super) sparse: bool,
}

impl PackOptions {
    /// The compression. Default: gzip, which every reader of images knows.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// The compression level: 0–9 for gzip (default: 7 and 9 in turn, which makes layers as small as `gzip -6` does), 1–22
    /// for zstd (default 3).
    pub fn level(mut self, level: u32) -> Self {
        self.level = Some(level);
        self
    }

    /// How many threads compress: the layer is the same whatever their number. With 1 no thread is started. Default: 0, as
    /// many as the process has processors, 16 at most.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// No file is younger than this, in seconds since 1970: later times become this one. A program that honours
    /// `SOURCE_DATE_EPOCH` passes its value here. Entries added by hand have this time, or 0. Default: none.
    pub fn latest_mtime(mut self, seconds: i64) -> Self {
        self.latest_mtime = Some(seconds);
        self
    }

    /// Keeps the fractions of times. They cost a PAX header of 1 KiB for each file, and differ between file systems
    /// and copies of one tree. Default: off, times are cut to whole seconds.
    pub fn nanoseconds(mut self, keep: bool) -> Self {
        self.nanoseconds = keep;
        self
    }

    /// Who owns the files. Default: [`Owners::Keep`].
    pub fn owners(mut self, owners: Owners) -> Self {
        self.owners = owners;
        self
    }

    /// Packs `trusted.*` attributes, too (but never overlayfs' own). Default: off.
    pub fn trusted_xattrs(mut self, keep: bool) -> Self {
        self.trusted_xattrs = keep;
        self
    }

    /// Begins with an entry `./` for the folder itself, so that its mode, owner and time become those of the
    /// root. Default: off, a root that no layer names is 0755 and 0:0.
    pub fn root_entry(mut self, write: bool) -> Self {
        self.root_entry = write;
        self
    }

    /// Writes files with pages of zeros as sparse entries (GNU's format 1.0 in PAX records), which unpack to files with
    /// holes. GNU tar, bsdtar and Go's archive/tar, and so umoci, podman and docker, read them; the crate `tar` does
    /// not. Default: off, zeros are written and compressed.
    pub fn sparse(mut self, write: bool) -> Self {
        self.sparse = write;
        self
    }

    /// What is written for a file's time.
    pub(super) fn mtime(&self, mtime: Timestamp) -> Timestamp {
        let nanos = if self.nanoseconds { mtime.nanos } else { 0 };
        let mtime = Timestamp { nanos, ..mtime };
        match self.latest_mtime {
            Some(seconds) => mtime.min(Timestamp { seconds, nanos: 0 }),
            None => mtime,
        }
    }
}
