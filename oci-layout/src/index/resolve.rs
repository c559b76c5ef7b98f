use oci_digest::content::Referrer;
use oci_digest::media_type::Kind;
use oci_digest::{Descriptor, Digest, MediaType};
use std::io::Read;

use super::document::{descriptor, is_of, tag_of};
use super::sniff::sniff;
use super::walk::Walk;
use crate::layout::INDEX;
use crate::{Error, ImageLayout, Result};

impl ImageLayout {
    /// The descriptor that a name stands for: a tag, or a digest in its text form.
    ///
    /// Of several entries with the same tag it is the first (image-spec image-index.md: "the first matching entry
    /// SHOULD be used"); [`named`](Self::named) gives them all. A digest may be that of any blob: what is listed in
    /// index.json or in an index below it is described as there, other documents by the media type they have inside,
    /// and everything else as `application/octet-stream`.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Document`] when index.json or the entry cannot be understood.
    pub fn resolve(&self, name: &str) -> Result<Descriptor> {
        let path = self.path().join(INDEX);
        let digest = name.parse::<Digest>().ok();
        let found = self.entries_with(name, |entry| match &digest {
            Some(digest) => is_of(entry, digest),
            None => tag_of(entry) == Some(name),
        })?;
        match (found.first(), digest) {
            (Some((position, entry)), _) => descriptor(entry, *position, &path),
            (None, Some(digest)) => self.resolve_blob(&digest),
            (None, None) => Err(self.no_such(name)),
        }
    }

    /// All entries of index.json with a tag, in their order: usually one; several when a tool listed the platforms
    /// of an image side by side.
    ///
    /// # Errors
    /// What reading index.json can meet.
    pub fn named(&self, tag: &str) -> Result<Vec<Descriptor>> {
        let path = self.path().join(INDEX);
        let found = self.entries_with(tag, |entry| tag_of(entry) == Some(tag))?;
        found.iter().map(|(position, entry)| descriptor(entry, *position, &path)).collect()
    }

    /// The layout's roots: all entries of index.json, in their order.
    ///
    /// # Errors
    /// What reading index.json can meet; an entry that is no descriptor is an [`Error::Document`].
    pub fn roots(&self) -> Result<Vec<Descriptor>> {
        self.descriptors()?.into_iter().collect()
    }

    /// The manifests in the layout whose `subject` is `subject`, of one artifact type when given.
    ///
    /// All manifests that index.json names are read, and those of the indexes below it.
    ///
    /// # Errors
    /// What reading index.json can meet, and [`Error::Limit`].
    pub fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        let mut walk = Walk::new(self);
        let roots = walk.roots()?;
        let mut found: Vec<Descriptor> = Vec::new();
        // A walk of its own reads the documents, because an index is read twice: for its subject here, and for its
        // children there.
        let mut documents = Walk::new(self);
        walk.find(roots, |_, descriptor| {
            if !Kind::of(descriptor.media_type()).is_manifest_or_index() {
                return Ok(None::<()>);
            }
            // What is damaged refers to nothing that we know of, and must not hide the others.
            let referrer = match documents.bytes(descriptor) {
                Ok(Some(bytes)) => Referrer::of(&bytes, descriptor).ok().flatten(),
                Err(error @ Error::Limit { .. }) => return Err(error),
                Ok(None) | Err(_) => None,
            };
            found.extend(referrer.filter(|referrer| referrer.subject == *subject).map(|r| r.descriptor));
            Ok(None)
        })?;
        if let Some(wanted) = artifact_type {
            found.retain(|one| one.artifact_type().as_ref().is_some_and(|actual| actual.as_ref() == wanted));
        }
        Ok(found)
    }

    /// Describes content that index.json does not list itself.
    fn resolve_blob(&self, digest: &Digest) -> Result<Descriptor> {
        let (mut file, size) = self.blob(digest)?;
        let plain = |media_type| Descriptor::new(media_type, size, digest.clone());
        let octets = plain(MediaType::Other("application/octet-stream".to_owned()));
        // Only what looks like JSON is looked for in the indexes, or read.
        let mut first = [0];
        let is_json = size <= self.options.max_manifest_bytes
            && file.read(&mut first).map_err(Error::io("read", &self.blob_path(digest)?))? == 1
            && first == *b"{";
        if !is_json {
            return Ok(octets);
        }
        let mut walk = Walk::new(self);
        let roots = walk.roots()?;
        let listed = walk
            .find(roots, |_, descriptor| Ok((descriptor.digest() == digest).then(|| descriptor.clone())))?;
        if let Some(listed) = listed.filter(|listed| listed.size() == size) {
            return Ok(listed);
        }
        match Walk::new(self).document(&octets) {
            Ok(Some(document)) => Ok(sniff(document.value()).map_or(octets, plain)),
            Ok(None) | Err(Error::Document { .. }) => Ok(octets),
            Err(error) => Err(error),
        }
    }

    fn no_such(&self, name: &str) -> Error {
        Error::NotFound { what: name.to_owned(), path: self.path().to_owned() }
    }
}
