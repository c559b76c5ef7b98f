use serde_json::json;

use super::failure::{Check, Failure, checked, during, ensure, refused};
use super::fixture::{Image, Item, tag};
use super::source::{opens, resolves, unknown};
use crate::content::{Sink, Source, SourceExt};
use crate::{Algorithm, MediaType, Result, canonical};

pub(super) fn run<S: Source + Sink>(make: &impl Fn() -> Result<S>) -> Result<(), Failure> {
    checked("blobs_come_out_as_they_went_in", make, blobs)?;
    checked("unknown_names_are_not_found", make, unknown)?;
    checked("wrong_bytes_cannot_be_opened", make, wrong)?;
    checked("an_image_resolves_by_its_tag_and_digest", make, image)?;
    checked("one_image_under_several_tags", make, several_tags)?;
    checked("a_tag_moves", make, moves)?;
    checked("a_root_without_tags_resolves_by_digest", make, untagged)?;
    checked("a_refused_root_gets_no_tag", make, refused_root)?;
    checked("an_index_with_children", make, index)?;
    checked("another_store_takes_it_as_content", make, as_content)?;
    checked("eight_threads_publish_eight_tags", make, side_by_side)
}

fn blobs<S: Source + Sink>(store: &S) -> Check {
    for blob in [
        Item::blob(0),
        Item::blob(1),
        Item::blob(100_000),
        Item::blob((1 << 20) + 1),
        Item::blob_of(Algorithm::Sha512, 1000),
    ] {
        during("ingest", blob.ingest(store))?;
        opens(store, &blob)?;
    }
    Ok(())
}

fn wrong<S: Source + Sink>(store: &S) -> Check {
    let (blob, other) = (Item::blob(1000), Item::blob(1000));
    refused("ingest of other bytes", store.ingest(&blob.descriptor, &other.bytes.as_slice()))?;
    refused("reading what was refused", store.read(&blob.descriptor, 1 << 20))?;
    during("ingest of the right bytes", blob.ingest(store))?;
    opens(store, &blob)
}

fn image<S: Source + Sink>(store: &S) -> Check {
    let (image, tag) = (Image::new(), tag());
    image.publish(store, &[&tag])?;
    resolves(store, &tag, &image.manifest)?;
    resolves(store, image.manifest.descriptor.digest().as_ref(), &image.manifest)?;
    ensure(store.has(&image.manifest.descriptor)?, "has is false for a published manifest")?;
    opens(store, &image.manifest)
}

fn several_tags<S: Source + Sink>(store: &S) -> Check {
    let (image, tags) = (Image::new(), [tag(), tag(), tag()]);
    image.publish(store, &tags.each_ref().map(String::as_str))?;
    tags.iter().try_for_each(|tag| resolves(store, tag, &image.manifest))?;
    // Publishing it once more under a tag that is there adds and takes nothing.
    image.publish(store, &[&tags[1]])?;
    tags.iter().try_for_each(|tag| resolves(store, tag, &image.manifest))
}

fn moves<S: Source + Sink>(store: &S) -> Check {
    let (first, second, tag, stays) = (Image::new(), Image::new(), tag(), tag());
    first.publish(store, &[&tag, &stays])?;
    second.publish(store, &[&tag])?;
    resolves(store, &tag, &second.manifest)?;
    resolves(store, &stays, &first.manifest)?;
    resolves(store, first.manifest.descriptor.digest().as_ref(), &first.manifest)
}

fn untagged<S: Source + Sink>(store: &S) -> Check {
    let image = Image::new();
    image.publish(store, &[])?;
    resolves(store, image.manifest.descriptor.digest().as_ref(), &image.manifest)
}

fn refused_root<S: Source + Sink>(store: &S) -> Check {
    let (image, other, tag) = (Image::new(), Image::new(), tag());
    image.ingest_blobs(store)?;
    let result = store.publish(&image.manifest.descriptor, &other.manifest.bytes, &[&tag]);
    refused("publishing other bytes", result)?;
    let error = refused("resolving the tag of a refused root", store.resolve(&tag))?;
    ensure(error.is_not_found(), format!("it should be not found, not: {error}"))
}

fn index<S: Source + Sink>(store: &S) -> Check {
    let (children, tag) = ([Image::new(), Image::new()], tag());
    for child in &children {
        child.ingest_blobs(store)?;
        during("ingesting a child manifest", child.manifest.ingest(store))?;
        ensure(store.has(&child.manifest.descriptor)?, "has is false for a child manifest")?;
        opens(store, &child.manifest)?;
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageIndex,
        "manifests": children.each_ref().map(|child| &child.manifest.descriptor),
    });
    let index = Item::new(MediaType::ImageIndex, Algorithm::Sha256, canonical::to_vec(&index)?);
    during("publishing an index", store.publish(&index.descriptor, &index.bytes, &[&tag]))?;
    resolves(store, &tag, &index)?;
    opens(store, &index)?;
    children
        .iter()
        .try_for_each(|child| resolves(store, child.manifest.descriptor.digest().as_ref(), &child.manifest))
}

fn as_content<S: Source + Sink>(store: &S) -> Check {
    let blob = Item::blob(50_000);
    during("ingest", blob.ingest(store))?;
    let other = crate::content::MemoryStore::new();
    during("ingest from the store", other.ingest(&blob.descriptor, &(store, &blob.descriptor)))?;
    opens(&other, &blob)
}

fn side_by_side<S: Source + Sink>(store: &S) -> Check {
    let images: Vec<(Image, String)> = (0..8).map(|_| (Image::new(), tag())).collect();
    let results: Vec<Check> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            images.iter().map(|(image, tag)| scope.spawn(|| image.publish(store, &[tag]))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| ensure(false, "a thread panicked")))
            .collect()
    });
    results.into_iter().collect::<Check>()?;
    images.iter().try_for_each(|(image, tag)| resolves(store, tag, &image.manifest))
}
