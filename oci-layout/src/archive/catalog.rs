use std::collections::HashSet;

use oci_digest::content::Referrer;
use oci_digest::media_type::Kind;
use oci_digest::{Descriptor, Digest, Document, ImageIndex, MediaType};
use serde_json::Value;

use crate::index::sniff;

/// How deep indexes may be nested, and how many documents one search may read.
const DEPTH: usize = 8;
const READS: usize = 1 << 16;

/// A search through what some roots lead to, in a store whose documents `read` gives. Documents that are not there or
/// cannot be understood are passed over: damage in one image must not hide another.
pub(super) struct Catalog<'s> {
    read: &'s dyn Fn(&Descriptor) -> Option<Vec<u8>>,
    seen: HashSet<Digest>,
}

impl<'s> Catalog<'s> {
    pub(super) fn new(read: &'s dyn Fn(&Descriptor) -> Option<Vec<u8>>) -> Self {
        Self { read, seen: HashSet::new() }
    }

    /// The descriptor by which the roots, or an index below them, name a digest.
    pub(super) fn named(&mut self, roots: &[Descriptor], digest: &Digest) -> Option<Descriptor> {
        let mut found = None;
        self.walk(roots, &mut |descriptor, _| {
            if found.is_none() && descriptor.digest() == digest {
                found = Some(descriptor.clone());
            }
        });
        found
    }

    /// The manifests below the roots whose subject is a digest.
    pub(super) fn referrers(
        &mut self,
        roots: &[Descriptor],
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Vec<Descriptor> {
        let mut found: Vec<Descriptor> = Vec::new();
        self.walk(roots, &mut |descriptor, bytes| {
            let referrer = bytes.and_then(|bytes| Referrer::of(bytes, descriptor).ok().flatten());
            let Some(referrer) = referrer.filter(|referrer| referrer.subject == *subject) else { return };
            let listed = referrer.descriptor;
            let fits = artifact_type
                .is_none_or(|wanted| listed.artifact_type().as_ref().is_some_and(|is| is.as_ref() == wanted));
            if fits && !found.iter().any(|one| one.digest() == listed.digest()) {
                found.push(listed);
            }
        });
        found
    }

    /// Shows every descriptor below the roots, with the bytes of manifests and indexes that can be read; each document
    /// is read once.
    fn walk(&mut self, roots: &[Descriptor], visit: &mut dyn FnMut(&Descriptor, Option<&[u8]>)) {
        let mut level = roots.to_vec();
        for _ in 0..=DEPTH {
            let mut next = Vec::new();
            for descriptor in &level {
                let kind = Kind::of(descriptor.media_type());
                let is_new = kind.is_manifest_or_index()
                    && self.seen.len() < READS
                    && self.seen.insert(descriptor.digest().clone());
                let bytes = if is_new { (self.read)(descriptor) } else { None };
                visit(descriptor, bytes.as_deref());
                if let (Kind::Index, Some(bytes)) = (kind, bytes)
                    && let Ok(index) = Document::<ImageIndex>::parse(bytes, Some(descriptor))
                {
                    next.extend_from_slice(index.view().manifests());
                }
            }
            if next.is_empty() {
                return;
            }
            level = next;
        }
    }
}

/// What content is that nothing names: a manifest or index when it looks like one, else plain bytes.
pub(super) fn guess(bytes: Option<&[u8]>) -> MediaType {
    bytes
        .and_then(|bytes| Document::<Value>::parse(bytes, None).ok())
        .and_then(|document| sniff(document.view()))
        .unwrap_or_else(|| "application/octet-stream".into())
}
