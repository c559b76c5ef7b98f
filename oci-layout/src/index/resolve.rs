use oci_digest::{Descriptor, Digest, MediaType};
use serde_json::Value;
use std::io::Read;

use super::document::{descriptor, is_of, tag_of};
use super::kind::Kind;
use super::walk::{Walk, subject};
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
        let (_, document) = self.read_index()?;
        let digest = name.parse::<Digest>().ok();
        let matches = |entry: &Value| match &digest {
            Some(digest) => is_of(entry, digest),
            None => tag_of(entry) == Some(name),
        };
        let found = document.entries(&path)?.iter().enumerate().find(|(_, entry)| matches(entry));
        match (found, digest) {
            (Some((position, entry)), _) => descriptor(entry, position, &path),
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
        let (_, document) = self.read_index()?;
        let entries = document.entries(&path)?.iter().enumerate();
        entries.filter(|(_, e)| tag_of(e) == Some(tag)).map(|(i, e)| descriptor(e, i, &path)).collect()
    }

    /// The layout's roots: all entries of index.json, in their order.
    ///
    /// # Errors
    /// What reading index.json can meet; an entry that is no descriptor is an [`Error::Document`].
    pub fn roots(&self) -> Result<Vec<Descriptor>> {
        let path = self.path().join(INDEX);
        let (_, document) = self.read_index()?;
        document.entries(&path)?.iter().enumerate().map(|(i, e)| descriptor(e, i, &path)).collect()
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
        // A walk of its own reads the documents, because an index must be read twice: for its subject here, and
        // for its children there.
        let mut documents = Walk::new(self);
        walk.find(roots, |_, descriptor| {
            if Kind::of(descriptor.media_type()) != Kind::Other {
                match documents.document(descriptor) {
                    Ok(Some(document)) => {
                        found.extend(referrer(descriptor, document.value(), subject, artifact_type))
                    }
                    Err(error @ Error::Limit { .. }) => return Err(error),
                    Ok(None) | Err(_) => {}
                }
            }
            Ok(None::<()>)
        })?;
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
            Ok(Some(document)) => Ok(Kind::sniff(document.value()).map_or(octets, plain)),
            Ok(None) | Err(Error::Document { .. }) => Ok(octets),
            Err(error) => Err(error),
        }
    }

    fn no_such(&self, name: &str) -> Error {
        Error::NotFound { what: name.to_owned(), path: self.path().to_owned() }
    }
}

/// The descriptor of a manifest as a list of referrers has it, if it is one of the wanted.
///
/// distribution-spec, Listing Referrers: `artifactType` is that of the manifest, or the config's media type when it
/// has none; the annotations are the manifest's.
fn referrer(
    listed: &Descriptor,
    document: &Value,
    of: &Digest,
    artifact_type: Option<&str>,
) -> Option<Descriptor> {
    if subject(document)? != of.as_ref() {
        return None;
    }
    let own = document.get("artifactType").and_then(Value::as_str).filter(|text| !text.is_empty());
    let config = || document.get("config")?.get("mediaType")?.as_str();
    let actual = own.or_else(config);
    if artifact_type.is_some() && artifact_type != actual {
        return None;
    }
    let mut referrer = Descriptor::new(listed.media_type().clone(), listed.size(), listed.digest().clone());
    referrer.set_artifact_type(actual.map(MediaType::from));
    let annotations = document.get("annotations").and_then(Value::as_object).map(|annotations| {
        let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        annotations.iter().filter_map(text).collect()
    });
    referrer.set_annotations(annotations);
    Some(referrer)
}
