use std::io;
use std::path::PathBuf;

use crate::Warning;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between layers and files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Manifest and config do not describe an image that can be unpacked: their layers do not match, or a media
    /// type is not that of a layer. Ask whoever made the image.
    #[error("invalid image at {pointer:?}: {reason}")]
    Image {
        /// The JSON pointer (RFC 6901) into the manifest or the config.
        pointer: String,
        /// What is wrong there.
        reason: String,
    },
    /// One layer failed; its source says how.
    #[error("layer {index}")]
    Layer {
        /// The layer's index in the manifest, from 0, the lowest.
        index: usize,
        /// What went wrong in it.
        source: Box<Self>,
    },
    /// The content's store failed, or its bytes do not fit their descriptor.
    #[error("{context}")]
    Content {
        /// What was being read.
        context: String,
        /// The vocabulary's error: not found, wrong digest, wrong size, a store's own.
        source: Box<oci_digest::Error>,
    },
    /// The uncompressed layer is not the one that the config names. Nothing of it may be used.
    #[error("the uncompressed layer has the digest {actual}, the config says {expected}")]
    DiffId {
        /// The diffID of the config.
        expected: Box<str>,
        /// The digest of the uncompressed bytes.
        actual: Box<str>,
    },
    /// The layer's bytes are not a well-formed archive.
    #[error("invalid archive at byte {offset}: {reason}")]
    Archive {
        /// The offset in the uncompressed stream of the block or record that is wrong.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The layer's compression is unknown, unsupported, or its stream is broken.
    #[error("invalid compressed stream: {reason}")]
    Compression {
        /// What is wrong with it.
        reason: String,
    },
    /// A well-formed entry that no tree can hold, or that the image specification forbids.
    #[error("entry {path:?}: {reason}")]
    Entry {
        /// The entry's name, as far as it is text.
        path: String,
        /// Why it is refused.
        reason: String,
    },
    /// A limit was exceeded. Raise it if the image is trusted.
    #[error("limit exceeded: {limit} of {maximum}")]
    Limit {
        /// The limit's name, for example `bytes written` or `entries`.
        limit: &'static str,
        /// Its value.
        maximum: u64,
    },
    /// The destination cannot be used: not empty, not a directory, a mount point. It was left as it was.
    #[error("destination {}: {reason}", path.display())]
    Destination {
        /// The destination as it was given.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// In strict mode, or where a policy asks for it, what would have been a warning.
    #[error("{path:?}: {warning}")]
    Strict {
        /// The entry's name, as far as it is text; empty for the layer as a whole.
        path: String,
        /// The loss that was refused.
        warning: Warning,
    },
    /// The operation's [`CancelToken`](oci_digest::CancelToken) was raised.
    #[error("cancelled")]
    Cancelled,
    /// A system call failed.
    #[error("{context}")]
    Io {
        /// What was being done, with its path.
        context: String,
        /// The system's error.
        source: io::Error,
    },
}

impl Error {
    /// Wraps a system error with what was being done.
    ///
    /// Errors of this crate and of `oci_digest` that travelled through an [`io::Read`] come out again as
    /// themselves.
    pub fn io(context: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let source: io::Error = source.into();
        let source = match source.downcast::<Self>() {
            Ok(own) => return own,
            Err(source) => source,
        };
        match source.downcast::<oci_digest::Error>() {
            Ok(oci_digest::Error::Cancelled) => Self::Cancelled,
            Ok(content) => Self::Content { context: context.into(), source: Box::new(content) },
            Err(source) => Self::Io { context: context.into(), source },
        }
    }

    /// The error for an entry that is refused; bytes of the name that are not text are replaced.
    pub(crate) fn entry(path: &[u8], reason: impl Into<String>) -> Self {
        Self::Entry { path: String::from_utf8_lossy(path).into_owned(), reason: reason.into() }
    }

    /// Whether a blob of the image does not exist in its source.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Layer { source, .. } => source.is_not_found(),
            Self::Content { source, .. } => source.is_not_found(),
            _ => false,
        }
    }

    /// Whether the same call may succeed later without anything else changing.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Layer { source, .. } => source.is_retryable(),
            Self::Content { source, .. } => source.is_retryable(),
            _ => false,
        }
    }

    /// Whether the target has no space left (or no quota, or no inodes).
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::Layer { source, .. } => source.is_no_space(),
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }

    /// Whether the operation was cancelled by its token.
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Layer { source, .. } => source.is_cancelled(),
            Self::Cancelled => true,
            _ => false,
        }
    }
}

/// For [`io::Read`] implementations, which can only return an [`io::Error`]; [`Error::io`] takes it out again.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { context, source } => Self::new(source.kind(), Error::Io { context, source }),
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}

impl From<oci_digest::Error> for Error {
    fn from(error: oci_digest::Error) -> Self {
        match error {
            oci_digest::Error::Cancelled => Self::Cancelled,
            other => Self::Content { context: "reading the image".into(), source: Box::new(other) },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn stays_small() {
        assert!(size_of::<Error>() <= 128, "{}", size_of::<Error>());
    }

    #[test]
    fn survives_a_trip_through_io() {
        let io: io::Error = Error::Limit { limit: "entries", maximum: 1 }.into();
        assert!(matches!(Error::io("reading", io), Error::Limit { maximum: 1, .. }));
        let io: io::Error = oci_digest::Error::Cancelled.into();
        assert!(Error::io("reading", io).is_cancelled());
    }

    #[test]
    fn predicates_look_through_layers() {
        let inner = Error::from(oci_digest::Error::not_found("sha256:00"));
        assert!(Error::Layer { index: 1, source: Box::new(inner) }.is_not_found());
    }

    #[test]
    fn a_source_is_not_repeated() {
        let error = Error::io("writing a/b", io::Error::from_raw_os_error(28));
        assert_eq!(error.to_string(), "writing a/b");
        assert!(error.source().is_some() && error.is_no_space());
    }
}
