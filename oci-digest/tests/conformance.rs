//! The memory store keeps the contract of the content traits, and the suite sees stores that do not.
#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Read;

use oci_digest::content::{Content, MemoryStore, Sink, Source, Store};
use oci_digest::{Descriptor, Digest, Result, conformance};

#[test]
fn the_memory_store_conforms() {
    conformance::store(|| Ok(MemoryStore::new())).unwrap();
    conformance::sink(|| Ok(MemoryStore::new())).unwrap();
    conformance::source(|filled| Ok(filled.clone())).unwrap();
}

#[test]
fn one_store_may_serve_every_check() {
    let store = MemoryStore::new();
    conformance::store(|| Ok(store.clone())).unwrap();
    conformance::store(|| Ok(store.clone())).unwrap();
}

/// A memory store with one fault.
#[derive(Clone)]
struct Faulty(MemoryStore, Fault);

#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    IgnoresOffset,
    TrustsBytes,
    ForgetsSize,
    NoFilter,
    KeepsTags,
    TakesAnyTag,
    Unsorted,
}

impl Source for Faulty {
    fn resolve(&self, name: &str) -> Result<Descriptor> {
        self.0.resolve(name)
    }
    fn open(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send + '_>> {
        self.0.open(descriptor, if self.1 == Fault::IgnoresOffset { 0 } else { offset })
    }
    fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        self.0.referrers(subject, artifact_type.filter(|_| self.1 != Fault::NoFilter))
    }
}

impl Sink for Faulty {
    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        if self.1 == Fault::ForgetsSize {
            return Ok(self.0.resolve(descriptor.digest().as_ref()).is_ok());
        }
        self.0.has(descriptor)
    }
    fn ingest(&self, descriptor: &Descriptor, content: &dyn Content) -> Result<()> {
        match self.0.ingest(descriptor, content) {
            Err(_) if self.1 == Fault::TrustsBytes => Ok(()),
            result => result,
        }
    }
    fn publish(&self, descriptor: &Descriptor, manifest: &[u8], tags: &[&str]) -> Result<()> {
        match self.0.publish(descriptor, manifest, tags) {
            Err(oci_digest::Error::Invalid { .. }) if self.1 == Fault::TakesAnyTag => Ok(()),
            result => result,
        }
    }
}

impl Store for Faulty {
    fn tags(&self) -> Result<Vec<String>> {
        let mut tags = self.0.tags()?;
        if self.1 == Fault::Unsorted {
            tags.reverse();
        }
        Ok(tags)
    }
    fn untag(&self, tag: &str) -> Result<bool> {
        if self.1 == Fault::KeepsTags { Ok(true) } else { self.0.untag(tag) }
    }
    fn remove(&self, digest: &Digest) -> Result<bool> {
        self.0.remove(digest)
    }
}

#[test]
fn the_suite_names_the_check_that_fails() {
    for (fault, check) in [
        (Fault::IgnoresOffset, "blobs_come_out_as_they_went_in"),
        (Fault::TrustsBytes, "wrong_digest_is_refused"),
        (Fault::ForgetsSize, "a_blob_is_there_after_ingest_and_not_before"),
        (Fault::NoFilter, "referrers_are_listed_and_filtered"),
        (Fault::KeepsTags, "untag_leaves_the_content"),
        (Fault::TakesAnyTag, "malformed_tags_are_refused"),
        (Fault::Unsorted, "tags_are_listed_sorted_and_once"),
    ] {
        let failure = conformance::store(|| Ok(Faulty(MemoryStore::new(), fault))).unwrap_err();
        assert_eq!(failure.check, check, "{fault:?}: {failure}");
    }
}
