use crate::compression::WINDOW;
use crate::framing::FramingLimits;

/// How much an image may ask for. Exceeding a limit is an error that names it, and leaves nothing behind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of file content over all layers; holes of sparse files count in full. Default 1 TiB.
    pub bytes: u64,
    /// Entries over all layers, and the directories that had to be made for them without an entry. Default 10 million.
    pub entries: u64,
    /// Uncompressed bytes of one layer, whatever they are. Default 1 TiB.
    pub layer_bytes: u64,
    /// Bytes of the window that a compressed layer may ask to be kept in memory (zstd, for which it is rounded down to
    /// a power of two, and xz). Default 128 MiB.
    pub window: u64,
    /// Symbolic links followed while one name is resolved. Default 40, as in the kernel.
    pub links: u32,
    /// What the headers of an archive may ask for.
    pub framing: FramingLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 1 << 40,
            entries: 10_000_000,
            layer_bytes: 1 << 40,
            window: WINDOW,
            links: 40,
            framing: FramingLimits::default(),
        }
    }
}

impl Limits {
    /// Sets the bytes of file content over all layers.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Sets the number of entries over all layers.
    pub fn entries(mut self, entries: u64) -> Self {
        self.entries = entries;
        self
    }

    /// Sets the uncompressed bytes of one layer.
    pub fn layer_bytes(mut self, bytes: u64) -> Self {
        self.layer_bytes = bytes;
        self
    }

    /// Sets the bytes of the window that a compressed layer may ask for.
    pub fn window(mut self, bytes: u64) -> Self {
        self.window = bytes;
        self
    }

    /// Sets the number of symbolic links followed while one name is resolved.
    pub fn links(mut self, links: u32) -> Self {
        self.links = links;
        self
    }

    /// Sets what the headers of an archive may ask for.
    pub fn framing(mut self, framing: FramingLimits) -> Self {
        self.framing = framing;
        self
    }
}
