use std::io;
use std::path::{Path, PathBuf};

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with an image layout.
///
/// Through the content traits it arrives as an [`oci_digest::Error`]: what is not there as its `NotFound`, wrong
/// bytes as its `DigestMismatch` and `SizeMismatch`, everything that only a layout knows as the source of its
/// `Store`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder is not an image layout. Create one there, or open another.
    #[error("{} is not an image layout: {reason}", .path.display())]
    NotALayout {
        /// The folder.
        path: PathBuf,
        /// What is missing or in the way.
        reason: String,
    },
    /// A layout of a version that this crate does not know. A later crate may.
    #[error("{} has image layout version {version:?}, supported is \"1.0.0\"", .path.display())]
    UnsupportedVersion {
        /// The `oci-layout` file.
        path: PathBuf,
        /// The version it names.
        version: String,
    },
    /// A layout was to be created where one is. Open it, or use [`open_or_create`](crate::ImageLayout::open_or_create).
    #[error("{} is an image layout already", .path.display())]
    AlreadyExists {
        /// The folder.
        path: PathBuf,
    },
    /// The layout has no such tag or blob. Ask for another name.
    #[error("{what} not found in {}", .path.display())]
    NotFound {
        /// The tag, digest or name that was asked for.
        what: String,
        /// The layout.
        path: PathBuf,
    },
    /// A symbolic link or special file where the layout has a plain file or folder. Nothing was followed or written.
    #[error("{} refused: {reason}", .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What it is.
        reason: &'static str,
    },
    /// A document of the layout that cannot be understood. Restore it from another copy.
    #[error("invalid document {} at {pointer:?}: {reason}", .path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// The JSON pointer (RFC 6901) of what is wrong, empty for the whole document.
        pointer: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or a walk above its limit. Raise the limit in [`LayoutOptions`](crate::LayoutOptions) for trusted layouts.
    #[error("{} exceeds the limit of {maximum} {limit}", .path.display())]
    Limit {
        /// The file or layout.
        path: PathBuf,
        /// What is limited, for example `bytes`.
        limit: &'static str,
        /// The limit.
        maximum: u64,
    },
    /// A tag that a layout cannot hold. Choose another.
    #[error("invalid tag {value:?}: {reason}")]
    InvalidTag {
        /// The text, shortened.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Programs that do not take this crate's lock kept changing the file. Try again when they are done.
    #[error("{} was changed by another program at every attempt", .path.display())]
    Conflict {
        /// The file.
        path: PathBuf,
    },
    /// Content that does not fit its descriptor, an algorithm that cannot be computed, no image for a platform,
    /// or a failure of the reader that the bytes came from.
    #[error(transparent)]
    Content {
        /// The vocabulary's error.
        source: Box<oci_digest::Error>,
    },
    /// An archive that is damaged, or not what it is taken for. Get it again, or name it by its kind.
    #[error("invalid archive {}: {}{reason}", .path.display(), if .member.is_empty() { String::new() } else { format!("{}: ", .member) })]
    Archive {
        /// The archive.
        path: PathBuf,
        /// The member of it, empty for the whole archive.
        member: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading or writing the layout failed.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl Error {
    /// Whether a tag or a blob that was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Content { source } => source.is_not_found(),
            _ => false,
        }
    }

    /// Whether the same call may succeed later without anything else changing.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Conflict { .. } => true,
            Self::Content { source } => source.is_retryable(),
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::Interrupted | io::ErrorKind::TimedOut)
            }
            _ => false,
        }
    }

    /// For `map_err`: a system error with what was being done to which file.
    pub(crate) fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source: source.into() }
    }
}

impl From<oci_digest::Error> for Error {
    fn from(source: oci_digest::Error) -> Self {
        Self::Content { source: Box::new(source) }
    }
}

impl From<Error> for oci_digest::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound { what, .. } => Self::NotFound { what },
            Error::Content { source } => *source,
            Error::InvalidTag { value, reason } => {
                Self::Invalid { what: "tag", value, reason: reason.to_owned() }
            }
            Error::Io { action, path, source } => {
                Self::Io { context: format!("cannot {action} {}", path.display()), source }
            }
            other => Self::Store {
                context: "image layout".to_owned(),
                retryable: other.is_retryable(),
                source: Box::new(other),
            },
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
    fn what_is_not_there_is_not_found_in_both_vocabularies() {
        let own = Error::NotFound { what: "latest".to_owned(), path: PathBuf::from("/layout") };
        assert!(own.is_not_found());
        let theirs = oci_digest::Error::from(own);
        assert!(matches!(&theirs, oci_digest::Error::NotFound { what } if what == "latest"));
        assert!(Error::from(theirs).is_not_found());
    }

    #[test]
    fn a_system_error_keeps_its_kind() {
        let full = Error::io("write", Path::new("/x"))(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.to_string(), "cannot write /x");
        match oci_digest::Error::from(full) {
            oci_digest::Error::Io { context, source } => {
                assert_eq!(
                    (context.as_str(), source.kind()),
                    ("cannot write /x", io::ErrorKind::StorageFull)
                );
            }
            other => panic!("{other:?}"),
        }
    }
}
