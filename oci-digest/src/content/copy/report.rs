use crate::Descriptor;

/// What happens in a [`copy`](super::copy). Each descriptor ends in one of `Present`, `Adopted`, `Done`,
/// `Skipped` and `Published`.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The root is known: what will be published, unless several platforms make a new index of it.
    Resolved {
        /// The root.
        descriptor: &'a Descriptor,
    },
    /// The bytes of a blob or manifest begin to be sent.
    Started {
        /// Whose.
        descriptor: &'a Descriptor,
    },
    /// More bytes were read by the sink. Told about every 256 KiB, and at the end.
    Progress {
        /// Whose.
        descriptor: &'a Descriptor,
        /// How far into the content, in bytes. It goes back when the sink begins again.
        bytes: u64,
    },
    /// The sink has it.
    Present {
        /// What.
        descriptor: &'a Descriptor,
    },
    /// The sink took it without its bytes being sent.
    Adopted {
        /// What.
        descriptor: &'a Descriptor,
    },
    /// The sink took it.
    Done {
        /// What.
        descriptor: &'a Descriptor,
    },
    /// The source does not have it and need not: a foreign layer, a subject, or a referrer that it lists only.
    Skipped {
        /// What.
        descriptor: &'a Descriptor,
    },
    /// A manifest became a root of the sink: a referrer, or at the very end what was asked for.
    Published {
        /// The manifest.
        descriptor: &'a Descriptor,
        /// Its tags.
        tags: &'a [&'a str],
    },
}

/// What a [`copy`](super::copy) did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyReport {
    /// What was published under the tags: the descriptor that the name has in the sink now.
    pub root: Descriptor,
    /// The tags it was published under.
    pub tags: Vec<String>,
    /// How many blobs and manifests were sent.
    pub sent: u64,
    /// Their sizes together, in bytes.
    pub sent_bytes: u64,
    /// How many the sink had.
    pub present: u64,
    /// How many the sink adopted.
    pub adopted: u64,
    /// What the source did not have and need not: foreign layers, subjects, and referrers that it lists only.
    pub skipped: Vec<Descriptor>,
    /// The referrers and subjects that were published.
    pub referrers: Vec<Descriptor>,
}
