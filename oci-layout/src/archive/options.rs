use std::path::PathBuf;

use crate::Decompress;

/// How archives are read and written: what can be left out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ArchiveOptions {
    /// Reads what is compressed: an archive as a whole, and the layers that go into a docker archive. Without it, the
    /// first is refused and the others stay as they are.
    pub decompress: Option<Decompress>,
    /// The folder for what has to be spooled; nothing in it has a name. Default: the system's folder for temporary files.
    pub scratch: Option<PathBuf>,
    /// How many bytes a pipe or a compressed archive may give. Default: 256 GiB.
    pub max_spool_bytes: u64,
    /// How many members an archive may have. Default: 262,144.
    pub max_members: usize,
    /// How many bytes an index, manifest or config in an archive may have. Default: 4 MiB.
    pub max_document_bytes: u64,
}

impl Default for ArchiveOptions {
    fn default() -> Self {
        Self {
            decompress: None,
            scratch: None,
            max_spool_bytes: 256 << 30,
            max_members: 1 << 18,
            max_document_bytes: oci_digest::MAX_DOCUMENT_BYTES,
        }
    }
}

impl ArchiveOptions {
    /// Sets [`decompress`](Self::decompress).
    #[must_use]
    pub fn decompress(mut self, decompress: Decompress) -> Self {
        self.decompress = Some(decompress);
        self
    }

    /// Sets [`scratch`](Self::scratch).
    #[must_use]
    pub fn scratch(mut self, folder: impl Into<PathBuf>) -> Self {
        self.scratch = Some(folder.into());
        self
    }

    /// Sets [`max_spool_bytes`](Self::max_spool_bytes).
    #[must_use]
    pub fn max_spool_bytes(mut self, bytes: u64) -> Self {
        self.max_spool_bytes = bytes;
        self
    }

    /// Sets [`max_members`](Self::max_members).
    #[must_use]
    pub fn max_members(mut self, members: usize) -> Self {
        self.max_members = members;
        self
    }

    /// Sets [`max_document_bytes`](Self::max_document_bytes).
    #[must_use]
    pub fn max_document_bytes(mut self, bytes: u64) -> Self {
        self.max_document_bytes = bytes;
        self
    }
}
