use super::failure::{Check, Failure, checked, during, ensure, refused};
use super::fixture::{Image, Item, tag};
use super::source::resolves;
use crate::Result;
use crate::content::Store;

pub(super) fn run<S: Store>(make: &impl Fn() -> Result<S>) -> Result<(), Failure> {
    checked("tags_are_listed_sorted_and_once", make, tags)?;
    checked("untag_leaves_the_content", make, untag)?;
    checked("remove_takes_the_tags_along", make, remove)?;
    checked("a_removed_blob_can_come_again", make, remove_blob)?;
    checked("a_blob_resolves_by_digest", make, blob_by_digest)?;
    checked("a_removed_referrer_is_not_listed", make, remove_referrer)
}

fn tags<S: Store>(store: &S) -> Check {
    let (image, other) = (Image::new(), Image::new());
    let mut wanted = [tag(), tag(), tag()];
    image.publish(store, &[&wanted[1], &wanted[0]])?;
    other.publish(store, &[&wanted[2], &wanted[0]])?;
    wanted.sort();
    // Others' tags may be there, too: a registry's fallback tags for referrers, for example.
    let listed = during("tags", store.tags())?;
    ensure(listed.is_sorted_by(|a, b| a < b), "the tags are not sorted, or one is listed twice")?;
    for tag in &wanted {
        ensure(listed.contains(tag), format!("the tag {tag} is not listed"))?;
    }
    Ok(())
}

fn untag<S: Store>(store: &S) -> Check {
    let (image, goes, stays) = (Image::new(), tag(), tag());
    image.publish(store, &[&goes, &stays])?;
    ensure(during("untag", store.untag(&goes))?, "untag of a tag says there was none")?;
    let error = refused("resolving the tag", store.resolve(&goes))?;
    ensure(error.is_not_found(), format!("it should be not found, not: {error}"))?;
    ensure(!store.tags()?.contains(&goes), "the tag is still listed")?;
    resolves(store, &stays, &image.manifest)?;
    resolves(store, image.manifest.descriptor.digest().as_ref(), &image.manifest)?;
    ensure(!during("untag", store.untag(&goes))?, "untag of no tag says there was one")
}

fn remove<S: Store>(store: &S) -> Check {
    let (image, other, tags, stays) = (Image::new(), Image::new(), [tag(), tag()], tag());
    image.publish(store, &[&tags[0], &tags[1]])?;
    other.publish(store, &[&stays])?;
    let digest = image.manifest.descriptor.digest();
    ensure(during("remove", store.remove(digest))?, "remove of a manifest says there was none")?;
    ensure(!store.has(&image.manifest.descriptor)?, "has is true after remove")?;
    for name in [tags[0].as_str(), tags[1].as_str(), digest.as_ref()] {
        let error = refused("resolving what was removed", store.resolve(name))?;
        ensure(error.is_not_found(), format!("{name} should be not found, not: {error}"))?;
    }
    ensure(!store.tags()?.iter().any(|tag| tags.contains(tag)), "a tag of what was removed is listed")?;
    resolves(store, &stays, &other.manifest)?;
    ensure(!during("remove", store.remove(digest))?, "remove of nothing says there was something")
}

fn remove_blob<S: Store>(store: &S) -> Check {
    let blob = Item::blob(1000);
    let digest = blob.descriptor.digest();
    ensure(!during("remove", store.remove(digest))?, "remove of nothing says there was something")?;
    during("ingest", blob.ingest(store))?;
    ensure(during("remove", store.remove(digest))?, "remove of a blob says there was none")?;
    ensure(!store.has(&blob.descriptor)?, "has is true after remove")?;
    during("ingest", blob.ingest(store))?;
    ensure(store.has(&blob.descriptor)?, "has is false after it came again")
}

fn blob_by_digest<S: Store>(store: &S) -> Check {
    let blob = Item::blob(1000);
    during("ingest", blob.ingest(store))?;
    let mut known = blob.clone();
    known.descriptor.set_media_type("application/octet-stream".into());
    resolves(store, blob.descriptor.digest().as_ref(), &known)
}

fn remove_referrer<S: Store>(store: &S) -> Check {
    let subject = Image::new();
    let referrer = Image::with(serde_json::json!({ "subject": subject.manifest.descriptor }));
    subject.publish(store, &[])?;
    referrer.publish(store, &[])?;
    during("remove", store.remove(referrer.manifest.descriptor.digest()))?;
    let listed = during("referrers", store.referrers(subject.manifest.descriptor.digest(), None))?;
    ensure(listed.is_empty(), "the removed referrer is still listed")
}
