use std::fmt;
use std::path::PathBuf;

use oci_digest::{Descriptor, Digest};

/// What [`ImageLayout::fsck`](crate::ImageLayout::fsck) found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct FsckReport {
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// Findings beyond [`max_findings`](super::FsckOptions::max_findings), which were not kept: the least bad ones.
    pub suppressed: u64,
    /// How many findings are damage, kept or not.
    pub errors: u64,
    /// Manifests, indexes and configs that were read.
    pub documents: u64,
    /// Blobs that were hashed.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Layers whose diffID was computed.
    pub diff_ids: u64,
}

impl FsckReport {
    /// Whether nothing is damaged: there is no [`Severity::Error`].
    pub fn is_sound(&self) -> bool {
        self.errors == 0
    }

    /// The findings of one kind.
    pub fn of(&self, problem: Problem) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.problem == problem)
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Not as it should be; images can be used all the same.
    Warning,
    /// Damage: something that is named is not there or not what it should be.
    Error,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// index.json cannot be read or is no JSON.
    Index,
    /// A link or special file where a plain file or folder should be.
    Refused,
    /// A file that cannot be read: a failing disk, or missing rights.
    Unreadable,
    /// A blob whose bytes do not have the digest it is named by.
    Digest,
    /// A blob of another size than a descriptor says.
    Size,
    /// Content that is named is not there.
    Missing,
    /// An entry of index.json names content that is not there.
    Dangling,
    /// A document that is not what its media type says.
    Schema,
    /// A document that names another media type than its descriptor.
    MediaType,
    /// A layer that, decompressed, is not what the config says, or not one diffID for each layer.
    DiffId,
    /// A config whose history does not tell of as many layers as there are.
    History,
    /// An index that says another platform than the image's config.
    Platform,
    /// A tag that several entries of index.json have.
    DuplicateTag,
    /// An entry that is in index.json more than once.
    DuplicateEntry,
    /// A digest of an algorithm that cannot be computed here.
    Algorithm,
    /// A blob that nothing names. Garbage collection removes it in time.
    Orphan,
    /// A [shared folder](crate::LayoutOptions::shared_blobs) holds blobs that this layout does not name. Whether they are
    /// orphans, only [the other layouts](super::FsckOptions::sharing) tell.
    Untold,
    /// A file or folder below `blobs` that is not known.
    Unknown,
}

/// One thing that was found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub problem: Problem,
    /// The blob it is about.
    pub digest: Option<Digest>,
    /// The file it is about.
    pub path: Option<PathBuf>,
    /// Where in the document, as a JSON pointer (RFC 6901); empty for the whole.
    pub pointer: String,
    /// What is wrong in words.
    pub reason: String,
    /// How the blob is named, if it is: what to fetch it by.
    pub descriptor: Option<Descriptor>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        f.write_str(severity)?;
        match (&self.digest, &self.path) {
            (Some(digest), _) => write!(f, ": {digest}")?,
            (None, Some(path)) => write!(f, ": {}", path.display())?,
            (None, None) => {}
        }
        if !self.pointer.is_empty() {
            write!(f, " at {:?}", self.pointer)?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Gathers findings.
pub(super) struct Findings<'o> {
    options: &'o super::FsckOptions,
    /// By severity, so that what is only worth knowing gives way to damage.
    kept: [Vec<Finding>; 3],
    suppressed: u64,
    errors: u64,
}

impl<'o> Findings<'o> {
    pub(super) fn new(options: &'o super::FsckOptions) -> Self {
        Self { options, kept: Default::default(), suppressed: 0, errors: 0 }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.options.tell(&super::FsckEvent::Found { finding: &finding });
        self.errors += u64::from(finding.severity == Severity::Error);
        let [infos, warnings, errors] = &mut self.kept;
        let count = infos.len() + warnings.len() + errors.len();
        match finding.severity {
            Severity::Info => infos.push(finding),
            Severity::Warning => warnings.push(finding),
            Severity::Error => errors.push(finding),
        }
        if count >= self.options.max_findings {
            self.suppressed += 1;
            let _ = infos.pop().or_else(|| warnings.pop()).or_else(|| errors.pop());
        }
    }

    /// Fills in the findings, the worst first, and how many there were.
    pub(super) fn finish(self, report: &mut FsckReport) {
        let key = |one: &Finding| {
            (std::cmp::Reverse(one.severity), one.problem, one.digest.as_ref().map(ToString::to_string))
        };
        report.findings = self.kept.into_iter().flatten().collect();
        report.findings.sort_by_cached_key(key);
        (report.suppressed, report.errors) = (self.suppressed, self.errors);
    }
}

impl Finding {
    pub(super) fn new(severity: Severity, problem: Problem, reason: impl Into<String>) -> Self {
        Self {
            severity,
            problem,
            digest: None,
            path: None,
            pointer: String::new(),
            reason: reason.into(),
            descriptor: None,
        }
    }

    pub(super) fn digest(mut self, digest: &Digest) -> Self {
        self.digest = Some(digest.clone());
        self
    }

    pub(super) fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    pub(super) fn pointer(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = pointer.into();
        self
    }

    pub(super) fn named(mut self, descriptor: &Descriptor) -> Self {
        self.digest = Some(descriptor.digest().clone());
        self.descriptor = Some(descriptor.clone());
        self
    }
}
