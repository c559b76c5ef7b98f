use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read;
use std::time::SystemTime;

use oci_digest::media_type::Kind;
use oci_digest::{Digest, VerifyReader};
use rustix::fs::{self, AtFlags};

use super::GcOptions;
use crate::blobs::{BlobName, Listed};
use crate::layout::INDEX;
use crate::references::{Reference, References};
use crate::{Error, ImageLayout, Result};

/// How much of a document of an unknown type is read. What is larger is data, not a list of descriptors.
const MAX_UNKNOWN: u64 = 64 << 20;

/// How many missing manifests are remembered for the report.
const MAX_MISSING: usize = 1 << 16;

/// Finds what lives. It only ever grows: what lived once in a collection is kept by it.
pub(crate) struct Mark<'a> {
    layout: &'a ImageLayout,
    /// The other layouts whose blobs lie in the same folder.
    sharing: &'a [ImageLayout],
    options: &'a GcOptions,
    sizes: &'a HashMap<&'a Digest, u64>,
    /// Named by something that lives. Only what is there is remembered, so that a document which names a million
    /// blobs costs no more than the blobs there are.
    live: HashSet<Digest>,
    /// Read, so that a document that is named ten thousand times is read once.
    followed: HashSet<Digest>,
    /// Manifests in the layout by what their subject is.
    referrers: HashMap<Digest, Vec<Digest>>,
    missing: BTreeSet<Missing>,
    /// Of each index.json, the layout's own first.
    indexes: Vec<Option<Stamp>>,
}

/// Tells whether a file is the one it was.
#[derive(PartialEq, Eq)]
struct Stamp {
    device_and_inode: (u64, u64),
    size: i64,
    changed: (i64, u64),
}

#[derive(PartialEq, Eq)]
struct Missing(Digest);

enum Content {
    Missing,
    /// It names nothing: it is no JSON, or too large to be a list of descriptors.
    Leaf,
    Names(References),
}

impl<'a> Mark<'a> {
    pub(crate) fn new(
        layout: &'a ImageLayout,
        options: &'a GcOptions,
        sizes: &'a HashMap<&'a Digest, u64>,
    ) -> Self {
        Self {
            layout,
            sharing: &[],
            options,
            sizes,
            live: HashSet::new(),
            followed: HashSet::new(),
            referrers: HashMap::new(),
            missing: BTreeSet::new(),
            indexes: Vec::new(),
        }
    }

    /// Lets what other layouts name live, too.
    pub(crate) fn sharing(mut self, others: &'a [ImageLayout]) -> Self {
        self.sharing = others;
        self
    }

    pub(crate) fn is_live(&self, digest: &Digest) -> bool {
        self.live.contains(digest)
    }

    /// Manifests and indexes that are named and not there, sorted.
    pub(super) fn into_missing(self) -> Vec<Digest> {
        self.missing.into_iter().map(|missing| missing.0).collect()
    }

    /// Marks what index.json leads to, unless it is the file it was the last time; tells whether it was read.
    pub(crate) fn index(&mut self) -> Result<bool> {
        let layouts: Vec<&ImageLayout> = std::iter::once(self.layout).chain(self.sharing).collect();
        self.indexes.resize_with(layouts.len(), || None);
        let mut any = false;
        for (number, layout) in layouts.into_iter().enumerate() {
            any |= self.index_of(number, layout)?;
        }
        Ok(any)
    }

    fn index_of(&mut self, number: usize, layout: &ImageLayout) -> Result<bool> {
        // Before the reading: a change in between is seen the next time.
        let stamp = stamp(layout)?;
        if self.indexes.get(number).is_some_and(|seen| seen.as_ref() == Some(&stamp)) {
            return Ok(false);
        }
        let (bytes, _) = layout.read_index()?;
        let path = layout.path().join(INDEX);
        let references = References::of(&bytes).map_err(|e| Error::Document {
            path,
            pointer: String::new(),
            reason: format!("not JSON: {e}"),
        })?;
        self.follow(references.all, false)?;
        if let Some(seen) = self.indexes.get_mut(number) {
            *seen = Some(stamp);
        }
        Ok(true)
    }

    pub(super) fn keep(&mut self, digests: &[Digest]) -> Result<()> {
        let root = |digest: &Digest| Reference { digest: digest.clone(), kind: Kind::Other };
        self.follow(digests.iter().map(root).collect(), false)
    }

    /// Looks at the blobs that are not named so far: manifests whose subject lives do live, and what the young
    /// ones among them name is what somebody is about to tag.
    pub(crate) fn candidates(
        &mut self,
        blobs: &[Listed],
        is_young: impl Fn(SystemTime) -> bool,
    ) -> Result<()> {
        let mut young = Vec::new();
        for blob in blobs {
            self.options.cancel.check()?;
            if self.live.contains(&blob.digest) || blob.size > self.layout.options.max_manifest_bytes {
                continue;
            }
            // Nothing that lives names it, so what is wrong with it harms nobody.
            let Ok(Content::Names(names)) = self.read(&blob.digest, Kind::Other) else { continue };
            if is_young(blob.since) {
                young.extend(names.all);
            }
            if let Some(subject) = names.subject {
                self.referrers.entry(subject).or_default().push(blob.digest.clone());
            }
        }
        self.follow(young, true)?;
        // What lived before its referrers were known.
        let late: Vec<Digest> = self.referrers.keys().filter(|s| self.live.contains(*s)).cloned().collect();
        let mut found = Vec::new();
        for subject in late {
            found.extend(self.referrers_of(&subject));
        }
        self.follow(found, false)
    }

    /// Marks what is named, and what that names in turn. A list instead of recursion: depth costs no stack.
    fn follow(&mut self, mut pending: Vec<Reference>, forgiving: bool) -> Result<()> {
        while let Some(Reference { digest, kind }) = pending.pop() {
            self.options.cancel.check()?;
            if self.sizes.contains_key(&digest) && self.live.insert(digest.clone()) {
                pending.extend(self.referrers_of(&digest));
            }
            let is_leaf = kind.is_layer() || matches!(kind, Kind::Config | Kind::Empty);
            if is_leaf || self.followed.contains(&digest) || BlobName::of(&digest).is_err() {
                continue;
            }
            match self.read(&digest, kind) {
                // Not remembered: it would cost memory for what is not there.
                Ok(Content::Missing) => {
                    if kind.is_manifest_or_index() && self.missing.len() < MAX_MISSING {
                        self.missing.insert(Missing(digest));
                    }
                }
                Ok(Content::Leaf) => {
                    self.followed.insert(digest);
                }
                Ok(Content::Names(names)) => {
                    self.followed.insert(digest);
                    pending.extend(names.all);
                }
                Err(_) if forgiving || self.options.ignore_damage => {
                    self.followed.insert(digest);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn referrers_of(&mut self, subject: &Digest) -> Vec<Reference> {
        let found = self.referrers.remove(subject).unwrap_or_default();
        found.into_iter().map(|digest| Reference { digest, kind: Kind::Other }).collect()
    }

    /// Reads a document, verified.
    fn read(&self, digest: &Digest, kind: Kind) -> Result<Content> {
        let (mut file, size) = match self.layout.blob(digest) {
            Ok(opened) => opened,
            Err(error) if error.is_not_found() => return Ok(Content::Missing),
            Err(error) => return Err(error),
        };
        let path = self.layout.blob_path(digest)?;
        let is_manifest = kind.is_manifest_or_index();
        let limit = self.layout.options.max_manifest_bytes;
        if is_manifest && size > limit {
            return Err(Error::Limit { path, limit: "bytes", maximum: limit });
        }
        if !is_manifest && size > MAX_UNKNOWN {
            return Ok(Content::Leaf);
        }
        // Blobs of unknown types are mostly no JSON; their first bytes tell.
        let mut head = [0; 64];
        let n = file.read(&mut head).map_err(Error::io("read", &path))?;
        let head = head.get(..n).unwrap_or_default();
        let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
        if !is_manifest && !matches!(first, None | Some(b'{' | b'[')) {
            return Ok(Content::Leaf);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        VerifyReader::new(head.chain(file), digest, size)?
            .read_to_end(&mut bytes)
            .map_err(|e| oci_digest::Error::io(format!("reading {digest}"), e))?;
        match References::of(&bytes) {
            Ok(names) => Ok(Content::Names(names)),
            Err(e) if is_manifest => {
                Err(Error::Document { path, pointer: String::new(), reason: format!("not JSON: {e}") })
            }
            Err(_) => Ok(Content::Leaf),
        }
    }
}

fn stamp(layout: &ImageLayout) -> Result<Stamp> {
    let root = &layout.root;
    let stat = fs::statat(root.as_fd(), INDEX, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(Error::io("inspect", &root.path().join(INDEX)))?;
    Ok(Stamp {
        device_and_inode: (stat.st_dev, stat.st_ino),
        size: stat.st_size,
        changed: (stat.st_ctime, stat.st_ctime_nsec),
    })
}

impl PartialOrd for Missing {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Missing {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_ref().cmp(other.0.as_ref())
    }
}
