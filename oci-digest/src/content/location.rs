use std::path::PathBuf;

/// Where a source keeps a blob, so that a sink of the same kind can adopt it without its bytes passing through
/// this process: by a hard link or reflink of a file, or by a registry's cross-repository mount.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// A whole file that holds exactly the blob's bytes and is not written to any more.
    File {
        /// Its path, usable by this process.
        path: PathBuf,
    },
    /// A repository of a registry.
    Registry {
        /// Host and port as in a reference, for example `127.0.0.1:5000`.
        host: String,
        /// The repository's name, for example `library/alpine`.
        repository: String,
    },
}
