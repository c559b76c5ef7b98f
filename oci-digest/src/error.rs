use std::error::Error as StdError;
use std::io;

use crate::Digest;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with content, wherever it is stored.
///
/// The content traits of every crate in the family return this type; a store's own error travels inside
/// [`Error::Store`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tag, digest or referrer that the store does not have. Ask for another name.
    #[error("{what} not found")]
    NotFound {
        /// What was asked for: a tag or a digest.
        what: String,
    },
    /// Bytes that do not have the digest they were asked for by. The bytes must not be used.
    #[error("digest mismatch: expected {expected}, got {actual}")]
    DigestMismatch {
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of the bytes that came.
        actual: Digest,
    },
    /// More or fewer bytes than the descriptor says. The bytes must not be used.
    #[error("size mismatch for {digest}: expected {expected} bytes, got {}{actual}", if *.more { "more than " } else { "" })]
    SizeMismatch {
        /// The digest of the descriptor.
        digest: Digest,
        /// The size of the descriptor, in bytes.
        expected: u64,
        /// The bytes that came; reading stopped there when `more` is set.
        actual: u64,
        /// Whether there was more to read.
        more: bool,
    },
    /// A digest, name, media type or platform that is not well-formed.
    #[error("invalid {what} {value:?}: {reason}")]
    Invalid {
        /// What it should have been, for example `digest` or `platform`.
        what: &'static str,
        /// The text as it was given, shortened.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A well-formed digest whose algorithm cannot be computed here.
    #[error("unsupported digest algorithm {algorithm}")]
    UnsupportedAlgorithm {
        /// The algorithm component of the digest.
        algorithm: String,
    },
    /// A document that cannot be understood: not JSON, or not what its media type says.
    #[error("invalid document {digest} at {pointer:?}: {reason}")]
    Document {
        /// The digest of the document's bytes.
        digest: Digest,
        /// The JSON pointer (RFC 6901) of what is wrong, empty for the whole document.
        pointer: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A document of a kind that is not handled, such as a manifest of docker's schema 1, or not what the operation
    /// is for. Convert it, or ask for something else.
    #[error("unsupported media type {media_type} of {digest}")]
    UnsupportedMediaType {
        /// The digest of the document.
        digest: Digest,
        /// Its media type, shortened.
        media_type: String,
    },
    /// An index holds no image for the wanted platform.
    #[error("no image for platform {wanted}; available: {available}")]
    NoPlatform {
        /// The wanted platform, `os/arch[/variant]`.
        wanted: String,
        /// The platforms there are, comma separated.
        available: String,
    },
    /// A limit was exceeded. Raise it if the content is trusted.
    #[error("limit exceeded: {limit} of {maximum}")]
    Limit {
        /// The limit's name, for example `manifest bytes` or `depth`.
        limit: &'static str,
        /// Its value.
        maximum: u64,
    },
    /// The operation's [`CancelToken`](crate::CancelToken) was raised.
    #[error("cancelled")]
    Cancelled,
    /// The store cannot do what was asked: for example remove, in an archive.
    #[error("{operation} is not supported by this store")]
    Unsupported {
        /// The operation, for example `referrers`.
        operation: &'static str,
    },
    /// Reading or writing failed.
    #[error("{context}")]
    Io {
        /// What was being done, with its path.
        context: String,
        /// The system's error.
        source: io::Error,
    },
    /// A store's own failure, with that store's error as its source.
    #[error("{context}")]
    Store {
        /// What was being done.
        context: String,
        /// Whether the same call may succeed later.
        retryable: bool,
        /// The store's error.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Error {
    /// A [`NotFound`](Self::NotFound) for a tag or a digest.
    pub fn not_found(what: impl ToString) -> Self {
        Self::NotFound { what: what.to_string() }
    }

    /// Wraps a system error with what was being done.
    ///
    /// An error of this crate that travelled through an [`io::Read`] comes out again as itself.
    pub fn io(context: impl Into<String>, source: io::Error) -> Self {
        match source.downcast::<Self>() {
            Ok(own) => own,
            Err(source) => Self::Io { context: context.into(), source },
        }
    }

    /// An [`Invalid`](Self::Invalid) that shows no more of a value than is useful.
    pub(crate) fn invalid(what: &'static str, value: &str, reason: impl Into<String>) -> Self {
        Self::Invalid { what, value: shortened(value), reason: reason.into() }
    }

    /// Whether what was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Whether the same call may succeed later without anything else changing.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store { retryable, .. } => *retryable,
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::Interrupted
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::UnexpectedEof
            ),
            _ => false,
        }
    }
}

/// At most 128 characters of a text that came from outside.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(128) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_small() {
        assert!(size_of::<Error>() <= 128, "{}", size_of::<Error>());
    }

    #[test]
    fn survives_a_trip_through_io() {
        let io: io::Error = Error::Cancelled.into();
        assert!(matches!(Error::io("reading", io), Error::Cancelled));
    }
}
