use std::io::Read;

use super::failure::{Check, Failure, checked, during, ensure, refused};
use super::fixture::{Image, Item, tag};
use crate::content::{MemoryStore, Source, SourceExt};
use crate::media_type;
use crate::{Descriptor, Error, Result};

pub(super) fn run<S: Source>(make: impl Fn(&MemoryStore) -> Result<S>) -> Result<(), Failure> {
    let (store, image, tag) = (MemoryStore::new(), Image::new(), tag());
    let filled = || make(&store);
    checked("the_fixture_is_sound", &|| Ok(()), |()| image.publish(&store, &[&tag]))?;
    checked("a_tag_resolves", &filled, |source| resolves(source, &tag, &image.manifest))?;
    checked("a_digest_resolves", &filled, |source| {
        resolves(source, image.manifest.descriptor.digest().as_ref(), &image.manifest)
    })?;
    checked("unknown_names_are_not_found", &filled, unknown)?;
    checked("content_opens_at_any_offset", &filled, |source| {
        opens(source, &image.manifest)?;
        image.blobs.iter().try_for_each(|blob| opens(source, blob))
    })?;
    checked("a_manifest_without_referrers_has_none", &filled, |source| {
        let found = during("referrers", source.referrers(image.manifest.descriptor.digest(), None))?;
        ensure(found.is_empty(), format!("{} referrers were listed", found.len()))
    })
}

/// A name gives the digest, size and media type of an item.
pub(super) fn resolves(source: &dyn Source, name: &str, item: &Item) -> Check {
    let found = during(&format!("resolving {name}"), source.resolve(name))?;
    let wanted = &item.descriptor;
    ensure(
        found.digest() == wanted.digest(),
        format!("{name} resolved to {}, not {}", found.digest(), wanted.digest()),
    )?;
    ensure(
        found.size() == wanted.size(),
        format!("{name} resolved to {} bytes, not {}", found.size(), wanted.size()),
    )?;
    ensure(
        media_type::same(found.media_type(), wanted.media_type()),
        format!("{name} resolved to {}, not {}", found.media_type(), wanted.media_type()),
    )
}

/// Reading at 0, in the middle, at the end, and beyond it.
pub(super) fn opens(source: &dyn Source, item: &Item) -> Check {
    let size = item.bytes.len();
    for offset in [0, 1, size / 2, size.saturating_sub(1), size] {
        let offset = offset.min(size);
        let reader =
            during(&format!("opening at {offset} of {size}"), source.open(&item.descriptor, offset as u64))?;
        let mut bytes = Vec::new();
        // One more than there is, so that a source which goes on for ever is seen.
        let read = reader.take(size as u64 + 1).read_to_end(&mut bytes);
        during(&format!("reading from {offset}"), read.map_err(|e| Error::io("reading", e)))?;
        ensure(
            Some(bytes.as_slice()) == item.bytes.get(offset..),
            format!("reading from {offset} of {size} gave other bytes ({} of them)", bytes.len()),
        )?;
    }
    // An error, at opening or at the first read.
    let beyond = source
        .open(&item.descriptor, size as u64 + 1)
        .and_then(|mut reader| reader.read(&mut [0; 16]).map_err(|e| Error::io("reading beyond the end", e)));
    refused("opening beyond the end", beyond)?;
    let read = during("reading it whole", source.read(&item.descriptor, size as u64))?;
    ensure(read == item.bytes, "reading it whole gave other bytes")
}

pub(super) fn unknown<S: Source>(source: &S) -> Check {
    let (blob, image) = (Item::blob(100), Image::new());
    let not_found = |doing: &str, error: Error| {
        ensure(error.is_not_found(), format!("{doing} should fail as not found, not: {error}"))
    };
    let manifest = &image.manifest.descriptor;
    not_found("an unknown tag", refused("resolving an unknown tag", source.resolve(&tag()))?)?;
    not_found(
        "an unknown digest",
        refused("resolving an unknown digest", source.resolve(manifest.digest().as_ref()))?,
    )?;
    let read = |descriptor: &Descriptor| {
        source.open(descriptor, 0).and_then(|mut reader| {
            reader.read(&mut [0; 16]).map_err(|e| Error::io("reading what is not there", e))
        })
    };
    not_found("an unknown blob", refused("opening an unknown blob", read(&blob.descriptor))?)?;
    not_found("an unknown manifest", refused("opening an unknown manifest", read(manifest))?)?;
    let none = during("referrers of the unknown", source.referrers(manifest.digest(), None))?;
    ensure(none.is_empty(), "the unknown has referrers")
}
