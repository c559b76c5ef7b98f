use oci_digest::content::{Source, SourceExt, embedded};
use oci_digest::{Algorithm, Descriptor, Digest, Document, MAX_DOCUMENT_BYTES, View, digest_of};
use serde_json::Value;

use crate::Result;

/// One document under edit: as it came, and as it is to be.
///
/// What was not changed stays the bytes that came. What was is written from the JSON value, in which members that
/// nobody knows, and the order of members, are as they came.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) descriptor: Descriptor,
    pub(super) value: Value,
    came: Option<(Vec<u8>, Value)>,
}

impl Part {
    /// Reads a document that must be a `T`, from its descriptor's own `data` where that is right.
    pub(super) fn read<T: View>(source: &dyn Source, descriptor: &Descriptor) -> Result<(Self, T)> {
        let bytes = match embedded(descriptor) {
            Some(bytes) => bytes,
            None => source.read(descriptor, MAX_DOCUMENT_BYTES)?,
        };
        let view = Document::<T>::parse(bytes.as_slice(), Some(descriptor))?.into_view();
        let value = Document::<Value>::parse(bytes.as_slice(), Some(descriptor))?.into_view();
        Ok((Self { descriptor: descriptor.clone(), value: value.clone(), came: Some((bytes, value)) }, view))
    }

    /// A document that there was not before. Its digest and size are made when it is finished.
    pub(super) fn new(descriptor: Descriptor, value: Value) -> Self {
        Self { descriptor, value, came: None }
    }

    /// The document's bytes and what describes them now. It must still be a `T`.
    pub(super) fn finish<T: View>(&self) -> Result<(Descriptor, Vec<u8>)> {
        match &self.came {
            Some((bytes, value)) if *value == self.value => Ok((self.descriptor.clone(), bytes.clone())),
            _ => {
                let bytes = serde_json::to_vec(&self.value)
                    .map_err(|e| self.wrong(String::new(), format!("it cannot be written: {e}")))?;
                let algorithm = Algorithm::of(self.descriptor.digest())?;
                let mut descriptor = self.descriptor.clone();
                descriptor.set_digest(digest_of(algorithm, &bytes));
                descriptor.set_size(bytes.len() as u64);
                descriptor.set_data(None);
                Document::<T>::parse(bytes.as_slice(), Some(&descriptor))?;
                Ok((descriptor, bytes))
            }
        }
    }

    pub(super) fn digest(&self) -> &Digest {
        self.descriptor.digest()
    }

    pub(super) fn wrong(&self, pointer: String, reason: String) -> oci_digest::Error {
        oci_digest::Error::Document { digest: self.digest().clone(), pointer, reason }
    }
}
