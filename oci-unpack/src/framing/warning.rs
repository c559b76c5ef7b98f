/// Something odd in an archive that did not stop the reading. A strict caller makes it an error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// One block of zeros (half an end mark), and then more that is not zeros: it was not read.
    DataAfterZeroBlock {
        /// The offset of what was not read, in bytes from the start of the archive.
        offset: u64,
    },
    /// A global PAX header sets something for all entries that only makes sense for one: it was ignored.
    IgnoredGlobalRecord {
        /// The record's key or the prefix of its keys.
        key: &'static str,
    },
    /// An entry has a PAX record whose meaning is known but which is not applied.
    UnsupportedRecord {
        /// The entry's name, lossily as text and shortened.
        entry: String,
        /// The record's key.
        key: &'static str,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DataAfterZeroBlock { offset } => {
                write!(f, "the archive goes on at byte {offset} after a block of zeros: not read")
            }
            Self::IgnoredGlobalRecord { key } => write!(f, "global header record {key} ignored"),
            Self::UnsupportedRecord { entry, key } => write!(f, "{entry}: record {key} not applied"),
        }
    }
}
