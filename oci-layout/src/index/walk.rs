use std::collections::HashSet;
use std::io::Read;

use oci_digest::media_type::Kind;
use oci_digest::{Descriptor, Digest, VerifyReader};

use super::Document;
use super::document::descriptor;
use crate::{Error, ImageLayout, Result};

/// Walks the indexes below index.json, breadth first, each document once, within the options' limits.
///
/// An index that names itself, or an image named ten thousand times, costs one read.
pub(crate) struct Walk<'l> {
    layout: &'l ImageLayout,
    seen: HashSet<Digest>,
    read: usize,
}

impl<'l> Walk<'l> {
    pub(crate) fn new(layout: &'l ImageLayout) -> Self {
        Self { layout, seen: HashSet::new(), read: 0 }
    }

    /// The descriptors in index.json that can be understood.
    pub(crate) fn roots(&self) -> Result<Vec<Descriptor>> {
        // An entry that we cannot read is somebody's who can; it hides itself alone.
        Ok(self.layout.descriptors()?.into_iter().filter_map(Result::ok).collect())
    }

    /// The children of an index; nothing for one that was seen before or is not there.
    pub(crate) fn children(&mut self, index: &Descriptor) -> Result<Vec<Descriptor>> {
        let Some(document) = self.document(index)? else { return Ok(Vec::new()) };
        let path = self.layout.blob_path(index.digest())?;
        let entries = document.entries(&path)?.iter().enumerate();
        Ok(entries.filter_map(|(i, entry)| descriptor(entry, i, &path).ok()).collect())
    }

    /// Reads and parses a manifest or index, as [`bytes`](Self::bytes).
    pub(crate) fn document(&mut self, of: &Descriptor) -> Result<Option<Document>> {
        let Some(bytes) = self.bytes(of)? else { return Ok(None) };
        Document::parse(&bytes, &self.layout.blob_path(of.digest())?).map(Some)
    }

    /// Reads a manifest or index, verified. `None`: seen before, not there, or larger than a manifest may be.
    pub(crate) fn bytes(&mut self, of: &Descriptor) -> Result<Option<Vec<u8>>> {
        if of.size() > self.layout.options.max_manifest_bytes || !self.seen.insert(of.digest().clone()) {
            return Ok(None);
        }
        self.read += 1;
        if self.read > self.layout.options.max_walk {
            let path = self.layout.path().to_owned();
            let maximum = self.layout.options.max_walk as u64;
            return Err(Error::Limit { path, limit: "manifests in one search", maximum });
        }
        let reader = match self.layout.get(of) {
            Ok(reader) => reader,
            // Images may be there in part, for example one platform of many.
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        read_whole(reader, of).map(Some)
    }

    /// Goes through all descriptors of manifests and indexes until `visit` gives something.
    ///
    /// Damage in one image must not hide another, so documents that cannot be read or understood are passed over;
    /// only the limits of the walk end it.
    pub(crate) fn find<T>(
        &mut self,
        from: Vec<Descriptor>,
        mut visit: impl FnMut(&mut Self, &Descriptor) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let mut level = from;
        for _ in 0..=self.layout.options.max_depth {
            for descriptor in &level {
                if let Some(found) = visit(self, descriptor)? {
                    return Ok(Some(found));
                }
            }
            let mut next = Vec::new();
            for descriptor in level.iter().filter(|d| Kind::of(d.media_type()) == Kind::Index) {
                match self.children(descriptor) {
                    Ok(children) => next.extend(children),
                    Err(error @ Error::Limit { .. }) => return Err(error),
                    Err(_) => {}
                }
            }
            if next.is_empty() {
                return Ok(None);
            }
            level = next;
        }
        Ok(None)
    }
}

fn read_whole(mut reader: VerifyReader<impl Read>, of: &Descriptor) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(of.size()).unwrap_or(0));
    reader
        .read_to_end(&mut bytes)
        .map_err(|e| oci_digest::Error::io(format!("reading {}", of.digest()), e))?;
    Ok(bytes)
}
