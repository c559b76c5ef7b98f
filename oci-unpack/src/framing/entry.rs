/// One entry of an archive, with everything its headers say about it.
///
/// Extension headers (PAX, GNU long names) are already merged in; numbers are checked against the range of their
/// use. Names are the bytes of the archive, not normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The name, as in the archive: it may be absolute, hold `..` or end in a slash. Never empty, no NUL bytes.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// The target of a hard link or symlink, as in the archive; may be empty. Empty for other kinds.
    pub link: Vec<u8>,
    /// The size of a regular file in bytes, holes included; 0 for other kinds.
    pub size: u64,
    /// Permission bits with suid, sgid and sticky: `0o7777` at most.
    pub mode: u32,
    /// The owner; never 2^32−1, which the kernel takes for "unchanged".
    pub uid: u32,
    /// The group; never 2^32−1.
    pub gid: u32,
    /// The time of last modification.
    pub mtime: Timestamp,
    /// Extended attributes as (name, value), sorted by name, each name once.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The parts of a sparse file that hold data: sorted, without overlap or empty parts, all inside `size`.
    /// `None` for a file whose data is stored whole.
    pub segments: Option<Vec<Segment>>,
}

impl Entry {
    /// An entry of 0:0, of the time 0, without data; 0755 as a directory, 0777 as a symlink, else 0644.
    pub fn new(path: impl Into<Vec<u8>>, kind: EntryKind) -> Self {
        let mode = match kind {
            EntryKind::Directory => 0o755,
            EntryKind::Symlink => 0o777,
            _ => 0o644,
        };
        Self {
            path: path.into(),
            kind,
            link: Vec::new(),
            size: 0,
            mode,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            xattrs: Vec::new(),
            segments: None,
        }
    }

    /// The bytes of data the archive stores for this entry: less than `size` for a sparse file.
    pub fn stored_size(&self) -> u64 {
        match &self.segments {
            Some(segments) => segments.iter().map(|s| s.len).sum(),
            None => self.size,
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EntryKind {
    /// A regular file, sparse or not.
    Regular,
    /// Another name of a file that [`Entry::link`] names from the root of the image.
    HardLink,
    /// A symbolic link to [`Entry::link`].
    Symlink,
    /// A character device.
    CharDevice {
        /// The major number.
        major: u32,
        /// The minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// The major number.
        major: u32,
        /// The minor number.
        minor: u32,
    },
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// A point in time: `seconds` since 1970-01-01T00:00:00Z, rounded down, and `nanos` after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Seconds since the epoch; negative before it.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, below 10^9.
    pub nanos: u32,
}

/// A part of a sparse file that holds data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Segment {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}
