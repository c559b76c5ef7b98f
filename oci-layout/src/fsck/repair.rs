use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;

use oci_digest::content::Source;
use oci_digest::{Algorithm, Descriptor, Digest, Hasher};
use rustix::fs::{self, AtFlags, Stat};
use rustix::io::Errno;
use serde_json::Value;

use super::{Finding, FsckOptions, FsckReport, Level, Problem, Severity};
use crate::blobs::BlobName;
use crate::lock::Lock;
use crate::root::WORK;
use crate::{Error, ImageLayout, Result};

/// Where damaged blobs go, below the work folder beside the blobs: `quarantine/<algorithm>-<encoded>`.
const QUARANTINE: &str = "quarantine";

/// How [`ImageLayout::repair`] mends.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct RepairOptions<'s> {
    /// Where content that is missing or damaged is fetched from, by its descriptor. Default: nowhere.
    pub source: Option<&'s dyn Source>,
    /// Remove entries of index.json whose content is not there and could not be fetched. Default: no.
    pub remove_dangling: bool,
    /// Fetch, too, what an index lists and was never there, such as other platforms. Default: no.
    pub fetch_all: bool,
}

impl<'s> RepairOptions<'s> {
    /// Sets [`source`](Self::source).
    #[must_use]
    pub fn source(mut self, source: &'s dyn Source) -> Self {
        self.source = Some(source);
        self
    }

    /// Sets [`remove_dangling`](Self::remove_dangling).
    #[must_use]
    pub fn remove_dangling(mut self, remove: bool) -> Self {
        self.remove_dangling = remove;
        self
    }

    /// Sets [`fetch_all`](Self::fetch_all).
    #[must_use]
    pub fn fetch_all(mut self, all: bool) -> Self {
        self.fetch_all = all;
        self
    }
}

impl fmt::Debug for RepairOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RepairOptions")
            .field("source", &self.source.is_some())
            .field("remove_dangling", &self.remove_dangling)
            .field("fetch_all", &self.fetch_all)
            .finish()
    }
}

/// What [`ImageLayout::repair`] did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RepairReport {
    /// Damaged blobs that were moved out of the way, and where they are now.
    pub quarantined: Vec<(Digest, PathBuf)>,
    /// Content that was fetched.
    pub fetched: Vec<Descriptor>,
    /// Content that could not be fetched, and why.
    pub failed: Vec<(Descriptor, oci_digest::Error)>,
    /// How many entries of index.json were removed.
    pub removed_entries: u64,
    /// What there was before.
    pub before: FsckReport,
    /// What there is now. Blobs that were not touched are not hashed again.
    pub after: FsckReport,
}

impl ImageLayout {
    /// Checks the layout, and mends what can be mended.
    ///
    /// Blobs whose bytes are wrong are moved to `.oci-layout/quarantine` and never deleted. They, and content that is
    /// missing, are fetched from the source, verified as every blob is; what is fetched may name more that is missing,
    /// and is looked at again until nothing can be done any more. Entries of index.json that name nothing stay, and are
    /// reported, unless [`remove_dangling`](RepairOptions::remove_dangling) is set.
    ///
    /// # Errors
    /// As [`fsck`](Self::fsck), and what moving files can meet. What the source cannot give is no error, but
    /// [reported](RepairReport::failed).
    pub fn repair(&self, options: &FsckOptions, repair: &RepairOptions<'_>) -> Result<RepairReport> {
        let mut report = RepairReport { before: self.fsck(options)?, ..RepairReport::default() };
        let mut tried = HashSet::new();
        let mut current = report.before.clone();
        // What was fetched names more, at most as deep as things are nested.
        for _ in 0..=self.options.max_depth.saturating_add(2) {
            let before = (report.quarantined.len(), report.fetched.len());
            for finding in &current.findings {
                options.cancel.check()?;
                self.mend(finding, repair, &mut tried, &mut report)?;
            }
            if before == (report.quarantined.len(), report.fetched.len()) {
                break;
            }
            // What was fetched was verified, and the rest was hashed.
            current = self.fsck(&options.clone().level(Level::Structure))?;
        }
        if repair.remove_dangling {
            report.removed_entries = self.remove_dangling()?;
            current = self.fsck(&options.clone().level(Level::Structure))?;
        }
        // Findings of the bytes of blobs that are as they were.
        let moved: HashSet<&Digest> = report.quarantined.iter().map(|(digest, _)| digest).collect();
        let deep = [Problem::Digest, Problem::DiffId, Problem::Unreadable];
        let known: HashSet<_> = current.findings.iter().map(|f| (f.problem, f.digest.clone())).collect();
        let left = report.before.findings.iter().filter(|finding| {
            deep.contains(&finding.problem)
                && finding.digest.as_ref().is_some_and(|digest| !moved.contains(digest))
                && !known.contains(&(finding.problem, finding.digest.clone()))
        });
        let left: Vec<Finding> = left.cloned().collect();
        current.errors += left.iter().filter(|finding| finding.severity == Severity::Error).count() as u64;
        current.findings.extend(left);
        report.after = current;
        Ok(report)
    }

    fn mend(
        &self,
        finding: &Finding,
        repair: &RepairOptions<'_>,
        tried: &mut HashSet<Digest>,
        report: &mut RepairReport,
    ) -> Result<()> {
        let Some(digest) = &finding.digest else { return Ok(()) };
        let is_gone = match finding.problem {
            Problem::Digest | Problem::Size | Problem::Refused => match self.quarantine(digest)? {
                Some(path) => {
                    report.quarantined.push((digest.clone(), path));
                    true
                }
                None => false,
            },
            Problem::Dangling => true,
            Problem::Missing => repair.fetch_all || finding.severity == Severity::Error,
            _ => false,
        };
        let (true, Some(source), Some(descriptor)) = (is_gone, repair.source, &finding.descriptor) else {
            return Ok(());
        };
        if tried.insert(digest.clone()) {
            match self.ingest(descriptor, &(source, descriptor)) {
                Ok(()) => report.fetched.push(descriptor.clone()),
                Err(error) => report.failed.push((descriptor.clone(), error.into())),
            }
        }
        Ok(())
    }

    /// Moves a blob whose bytes are wrong out of the way; `None`: they are right, or it is not there.
    fn quarantine(&self, digest: &Digest) -> Result<Option<PathBuf>> {
        let name = BlobName::of(digest)?;
        let path = name.path(&self.root);
        let Some(folder) = self.root.folder(&name.folder())? else { return Ok(None) };
        let inspect = || match fs::statat(&folder, name.encoded, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::io("inspect", &path)(errno)),
        };
        let Some(before) = inspect()? else { return Ok(None) };
        // Only what was read, and is wrong. A link or folder is no blob.
        if crate::blobs::is_plain(&before) && self.is_right(digest, &name)? {
            return Ok(None);
        }
        let _lock = Lock::exclusive(&self.root)?;
        if inspect()?.is_none_or(|now| !is_same(&before, &now)) {
            // Somebody put a new one there.
            return Ok(None);
        }
        // Beside the blobs, shared ones too: a file is moved in its own file system only.
        let staging = self.root.staging();
        let quarantine = staging.make_folder(&[WORK, QUARANTINE])?;
        let mut free = format!("{}-{}", name.algorithm, name.encoded);
        for number in 1.. {
            match fs::statat(&quarantine, &*free, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => break,
                _ => free = format!("{}-{}.{number}", name.algorithm, name.encoded),
            }
        }
        let to = staging.path().join(WORK).join(QUARANTINE).join(&free);
        fs::renameat(&folder, name.encoded, &quarantine, &*free).map_err(Error::io("move", &path))?;
        if self.options.sync.syncs() {
            fs::fsync(quarantine.as_fd()).map_err(Error::io("sync", &to))?;
            fs::fsync(folder.as_fd()).map_err(Error::io("sync", &path))?;
        }
        Ok(Some(to))
    }

    fn is_right(&self, digest: &Digest, name: &BlobName<'_>) -> Result<bool> {
        let (mut file, _) = match self.blob(digest) {
            Ok(opened) => opened,
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut hasher = Hasher::new(Algorithm::of(digest)?);
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish() == *digest),
                Ok(n) => hasher.update(buffer.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", &name.path(&self.root))(error)),
            }
        }
    }

    /// Removes entries of index.json whose content is not there; how many.
    fn remove_dangling(&self) -> Result<u64> {
        let mut removed = 0;
        self.edit_index(|index| {
            let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
                return Ok(false);
            };
            let before = entries.len();
            entries.retain(|entry| {
                let digest = entry.get("digest").and_then(Value::as_str).map(str::parse::<Digest>);
                // What cannot be understood is somebody's who can.
                let Some(Ok(digest)) = digest else { return true };
                !self.blob(&digest).is_err_and(|error| error.is_not_found())
            });
            removed = (before - entries.len()) as u64;
            Ok(removed > 0)
        })?;
        Ok(removed)
    }
}

/// Whether a blob of this digest was moved out of the way once: then it was there, and is not just one that was never
/// fetched.
pub(super) fn is_quarantined(layout: &ImageLayout, digest: &Digest) -> bool {
    let Ok(name) = BlobName::of(digest) else { return false };
    let Ok(Some(folder)) = layout.root.staging().folder(&[WORK, QUARANTINE]) else { return false };
    let name = format!("{}-{}", name.algorithm, name.encoded);
    fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

fn is_same(a: &Stat, b: &Stat) -> bool {
    let key = |s: &Stat| (s.st_dev, s.st_ino, s.st_size, s.st_ctime, s.st_ctime_nsec);
    key(a) == key(b)
}
