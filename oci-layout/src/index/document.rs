use std::path::Path;

use oci_digest::{Descriptor, Digest};
use serde_json::Value;

use crate::{Error, Result};

/// image-spec annotations.md: the name of an image within a layout's index.json.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An index or manifest as its JSON value: unknown fields and the order of fields survive an edit.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    value: Value,
}

impl Document {
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|e| wrong(path, String::new(), &format!("not JSON: {e}")))?;
        if !value.is_object() {
            return Err(wrong(path, String::new(), "not an object"));
        }
        Ok(Self { value })
    }

    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    pub(crate) fn value_mut(&mut self) -> &mut Value {
        &mut self.value
    }

    /// The descriptors in `manifests`, as JSON. Absent and null, which some tools write, are an empty list.
    pub(crate) fn entries(&self, path: &Path) -> Result<&[Value]> {
        match self.value.get("manifests") {
            None | Some(Value::Null) => Ok(&[]),
            Some(Value::Array(entries)) => Ok(entries),
            Some(_) => Err(wrong(path, "/manifests".to_owned(), "not an array")),
        }
    }

    /// The list to edit.
    pub(crate) fn entries_mut(&mut self, path: &Path) -> Result<&mut Vec<Value>> {
        let wrong_shape = || wrong(path, "/manifests".to_owned(), "not an array");
        let object = self.value.as_object_mut().ok_or_else(wrong_shape)?;
        let entries = object.entry("manifests").or_insert(Value::Null);
        if entries.is_null() {
            *entries = Value::Array(Vec::new());
        }
        entries.as_array_mut().ok_or_else(wrong_shape)
    }
}

/// The typed view of one entry; the position names it in errors.
pub(crate) fn descriptor(entry: &Value, position: usize, path: &Path) -> Result<Descriptor> {
    let mut descriptor: Descriptor = serde::Deserialize::deserialize(entry)
        .map_err(|e: serde_json::Error| wrong(path, format!("/manifests/{position}"), &e.to_string()))?;
    // The model knows the field by another name than the specification.
    let version = entry.pointer("/platform/os.version").and_then(Value::as_str);
    if let (Some(version), Some(platform)) = (version, descriptor.platform()) {
        let mut platform = platform.clone();
        platform.set_os_version(Some(version.to_owned()));
        descriptor.set_platform(Some(platform));
    }
    Ok(descriptor)
}

/// A new entry of index.json for a descriptor, under a tag or without one.
pub(crate) fn entry(descriptor: &Descriptor, tag: Option<&str>) -> Value {
    let mut descriptor = descriptor.clone();
    let mut annotations = descriptor.annotations().clone().unwrap_or_default();
    annotations.remove(REF_NAME);
    annotations.extend(tag.map(|tag| (REF_NAME.to_owned(), tag.to_owned())));
    descriptor.set_annotations(Some(annotations));
    crate::edit::json::descriptor(&descriptor)
}

/// The tag of an entry.
pub(crate) fn tag_of(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(REF_NAME)?.as_str()
}

/// Whether an entry is of a digest.
pub(crate) fn is_of(entry: &Value, digest: &Digest) -> bool {
    entry.get("digest").and_then(Value::as_str) == Some(digest.as_ref())
}

pub(crate) fn wrong(path: &Path, pointer: String, reason: &str) -> Error {
    Error::Document { path: path.to_owned(), pointer, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_what_the_descriptor_says_under_its_own_name() {
        let path = Path::new("index.json");
        let text = r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b","size":7,"annotations":{"z":"1","org.opencontainers.image.ref.name":"old","a":"2"},"platform":{"architecture":"amd64","os":"windows","os.version":"10.0"}}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        let descriptor = descriptor(&value, 0, path).unwrap();
        assert_eq!(descriptor.platform().as_ref().unwrap().os_version().as_deref(), Some("10.0"));
        let new = entry(&descriptor, Some("new"));
        assert_eq!(tag_of(&new), Some("new"));
        assert_eq!(
            new["annotations"].to_string(),
            r#"{"a":"2","org.opencontainers.image.ref.name":"new","z":"1"}"#
        );
        assert_eq!(new["platform"]["os.version"], "10.0");
        assert!(new["platform"].get("os_version").is_none());
        assert_eq!(tag_of(&entry(&descriptor, None)), None);
    }

    #[test]
    fn wrong_shapes_are_named_by_their_pointer() {
        let path = Path::new("index.json");
        for (text, pointer) in [("[]", ""), ("", ""), ("{", ""), (r#"{"manifests":7}"#, "/manifests")] {
            let error = Document::parse(text.as_bytes(), path)
                .and_then(|mut d| d.entries(path).map(|_| ()).and_then(|()| d.entries_mut(path).map(|_| ())))
                .unwrap_err();
            assert!(matches!(&error, Error::Document { pointer: p, .. } if p == pointer), "{text}: {error}");
        }
        for text in ["{}", r#"{"manifests":null}"#] {
            let mut document = Document::parse(text.as_bytes(), path).unwrap();
            assert!(document.entries(path).unwrap().is_empty());
            assert!(document.entries_mut(path).unwrap().is_empty());
        }
    }
}
