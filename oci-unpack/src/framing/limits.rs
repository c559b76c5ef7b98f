/// How much memory the headers of an archive may ask for. Exceeding one is an error that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FramingLimits {
    /// Bytes of one extension header (PAX, GNU long name). Default 1 MiB.
    pub extension_bytes: u64,
    /// Extension headers before one entry. Default 16.
    pub pending_extensions: u32,
    /// Bytes of a name or link target. Default 4096.
    pub path_bytes: usize,
    /// Data segments of one sparse file. Default 10,000.
    pub sparse_segments: usize,
    /// Bytes of one extended attribute's value. Default 64 KiB, the kernel's own limit.
    pub xattr_bytes: usize,
    /// Bytes of all extended attributes of one entry, names and values. Default 1 MiB.
    pub entry_xattr_bytes: usize,
}

impl Default for FramingLimits {
    fn default() -> Self {
        Self {
            extension_bytes: 1 << 20,
            pending_extensions: 16,
            path_bytes: 4096,
            sparse_segments: 10_000,
            xattr_bytes: 64 << 10,
            entry_xattr_bytes: 1 << 20,
        }
    }
}

impl FramingLimits {
    /// Sets the bytes of one extension header.
    pub fn extension_bytes(mut self, bytes: u64) -> Self {
        self.extension_bytes = bytes;
        self
    }

    /// Sets the number of extension headers before one entry.
    pub fn pending_extensions(mut self, count: u32) -> Self {
        self.pending_extensions = count;
        self
    }

    /// Sets the bytes of a name or link target.
    pub fn path_bytes(mut self, bytes: usize) -> Self {
        self.path_bytes = bytes;
        self
    }

    /// Sets the data segments of one sparse file.
    pub fn sparse_segments(mut self, count: usize) -> Self {
        self.sparse_segments = count;
        self
    }

    /// Sets the bytes of one extended attribute's value.
    pub fn xattr_bytes(mut self, bytes: usize) -> Self {
        self.xattr_bytes = bytes;
        self
    }

    /// Sets the bytes of all extended attributes of one entry.
    pub fn entry_xattr_bytes(mut self, bytes: usize) -> Self {
        self.entry_xattr_bytes = bytes;
        self
    }
}
