use serde_json::{Value, json};

use super::failure::{Check, Failure, checked, during, ensure};
use super::fixture::{Image, Item};
use crate::content::{Sink, Source};
use crate::{Descriptor, Result};

pub(super) fn run<S: Source + Sink>(make: &impl Fn() -> Result<S>) -> Result<(), Failure> {
    checked("referrers_are_listed_and_filtered", make, listed)?;
    checked("a_referrer_may_come_before_its_subject", make, before_subject)?;
    checked("a_referrer_has_referrers", make, chain)
}

fn listed<S: Source + Sink>(store: &S) -> Check {
    let subject = Image::new();
    subject.publish(store, &[])?;
    let own = about(&subject, json!({"artifactType": "application/x.one", "annotations": {"k": "v"}}));
    let of_config = about(&subject, json!({}));
    own.publish(store, &[])?;
    of_config.publish(store, &[])?;

    let all = list(store, &subject.manifest, None)?;
    ensure(all.len() == 2, format!("two referrers were published, {} are listed", all.len()))?;
    let entry = find(&all, &own.manifest)?;
    ensure(entry.size() == own.manifest.descriptor.size(), "a listed referrer has another size")?;
    ensure(
        artifact_type(entry) == Some("application/x.one"),
        format!("the artifact type is listed as {:?}", artifact_type(entry)),
    )?;
    let annotation = entry.annotations().as_ref().and_then(|all| all.get("k"));
    ensure(annotation.is_some_and(|v| v == "v"), "the manifest's annotations are not listed")?;
    // distribution-spec: without an artifactType of its own, the media type of the config.
    let entry = find(&all, &of_config.manifest)?;
    ensure(
        artifact_type(entry) == Some("application/vnd.oci.image.config.v1+json"),
        format!("the artifact type of a plain image is listed as {:?}", artifact_type(entry)),
    )?;

    let one = list(store, &subject.manifest, Some("application/x.one"))?;
    ensure(one.len() == 1, format!("the filter let {} of 2 pass, not 1", one.len()))?;
    find(&one, &own.manifest)?;
    let none = list(store, &subject.manifest, Some("application/x.none"))?;
    ensure(none.is_empty(), "a filter that fits nothing let something pass")
}

fn before_subject<S: Source + Sink>(store: &S) -> Check {
    let subject = Image::new();
    let referrer = about(&subject, json!({}));
    referrer.publish(store, &[])?;
    find(&list(store, &subject.manifest, None)?, &referrer.manifest)?;
    subject.publish(store, &[])?;
    find(&list(store, &subject.manifest, None)?, &referrer.manifest).map(drop)
}

fn chain<S: Source + Sink>(store: &S) -> Check {
    let subject = Image::new();
    let first = about(&subject, json!({}));
    let second = about(&first, json!({}));
    for image in [&subject, &first, &second] {
        image.publish(store, &[])?;
    }
    let direct = list(store, &subject.manifest, None)?;
    ensure(direct.len() == 1, format!("{} referrers are listed, not only the direct one", direct.len()))?;
    find(&direct, &first.manifest)?;
    find(&list(store, &first.manifest, None)?, &second.manifest).map(drop)
}

fn about(subject: &Image, mut members: Value) -> Image {
    if let Some(members) = members.as_object_mut() {
        members.insert("subject".to_owned(), json!(subject.manifest.descriptor));
    }
    Image::with(members)
}

fn list(store: &dyn Source, subject: &Item, artifact_type: Option<&str>) -> Check<Vec<Descriptor>> {
    during("listing referrers", store.referrers(subject.descriptor.digest(), artifact_type))
}

fn find<'a>(all: &'a [Descriptor], item: &Item) -> Check<&'a Descriptor> {
    let digest = item.descriptor.digest();
    all.iter()
        .find(|entry| entry.digest() == digest)
        .ok_or_else(|| super::failure::Broken::new(format!("the referrer {digest} is not listed")))
}

fn artifact_type(descriptor: &Descriptor) -> Option<&str> {
    descriptor.artifact_type().as_ref().map(AsRef::as_ref)
}
