//! Manifests: distribution-spec, Pulling, Pushing and Deleting manifests.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, LOCATION};
use http::{Method, StatusCode};
use oci_digest::content::{Source, SourceExt, Store};
use oci_digest::{Algorithm, Descriptor, Digest, Error, MediaType, digest_of};

use super::body::Body;
use super::call::Call;
use super::documents::Document;
use super::names;
use super::response::{Answer, CONTENT_DIGEST, Code, Failure, add, empty, set, with_body};
use super::shared::MissingContent;
use crate::protocol::media::is_manifest;

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const TAG: HeaderName = HeaderName::from_static("oci-tag");

/// Tags that one push by digest may set.
const TAGS_MAX: usize = 64;

/// What the last part of a manifest's path names.
enum Name {
    Tag(String),
    Digest(Digest),
}

/// `GET`, `HEAD`, `PUT` and `DELETE /v2/<name>/manifests/<reference>`
pub(super) async fn handle(call: &mut Call, name: &str, reference: &str) -> Answer {
    let reference = if reference.contains(':') {
        Name::Digest(names::digest(reference)?)
    } else if names::is_tag(reference) {
        Name::Tag(reference.to_owned())
    } else if call.method == Method::PUT {
        return Err(Failure::bad(Code::ManifestInvalid, "the tag is not well-formed"));
    } else {
        return Err(unknown());
    };
    match call.method {
        Method::PUT => put(call, name, reference).await,
        Method::DELETE => call.shared.with_store(name, move |store| delete(&*store, &reference)).await,
        _ => get(call, name, reference).await,
    }
}

async fn get(call: &Call, name: &str, reference: Name) -> Answer {
    let (is_head, limit) = (call.is_head(), call.shared.options.manifest_limit);
    let held = call.headers.get(IF_NONE_MATCH).cloned();
    let find = move |store: Arc<dyn Store>| {
        let failed = |e: &_| Failure::from_store(e, Code::ManifestUnknown);
        let text = match &reference {
            Name::Tag(tag) => tag.as_str(),
            Name::Digest(digest) => digest.as_ref(),
        };
        let descriptor = Source::resolve(&*store, text).map_err(|e| failed(&e))?;
        if !is_manifest(descriptor.media_type().as_ref()) {
            return Err(unknown());
        }
        let etag = format!("\"{}\"", descriptor.digest());
        let mut reply = if held.is_some_and(|held| held.as_bytes() == etag.as_bytes()) {
            empty(StatusCode::NOT_MODIFIED)
        } else if is_head {
            let mut reply = empty(StatusCode::OK);
            set(&mut reply, CONTENT_LENGTH, descriptor.size());
            reply
        } else {
            // Verified: a manifest fits into memory, and a spoilt store is told from here on.
            let bytes = store.read(&descriptor, limit).map_err(|e| match e {
                Error::DigestMismatch { .. } | Error::SizeMismatch { .. } => Failure::inside(e),
                e => failed(&e),
            })?;
            with_body(StatusCode::OK, Body::full(bytes))
        };
        set(&mut reply, CONTENT_TYPE, descriptor.media_type());
        set(&mut reply, CONTENT_DIGEST, descriptor.digest());
        set(&mut reply, ETAG, etag);
        Ok(reply)
    };
    call.shared.with_store(name, find).await
}

async fn put(call: &mut Call, name: &str, reference: Name) -> Answer {
    let bytes = call.body.whole(call.shared.options.manifest_limit).await?;
    let document = Document::parse(&bytes, call.header("content-type"))?;
    let algorithm = match &reference {
        Name::Digest(digest) => {
            Algorithm::of(digest).map_err(|e| Failure::from_store(&e, Code::DigestInvalid))?
        }
        Name::Tag(_) => Algorithm::Sha256,
    };
    let digest = digest_of(algorithm, &bytes);
    let mut tags: Vec<String> = match &reference {
        Name::Digest(wanted) if *wanted != digest => {
            return Err(Failure::bad(Code::DigestInvalid, format!("the manifest's digest is {digest}")));
        }
        Name::Digest(_) => call.query.all("tag").map(str::to_owned).collect(),
        Name::Tag(tag) => vec![tag.clone()],
    };
    if tags.len() > TAGS_MAX {
        return Err(Failure::new(
            StatusCode::URI_TOO_LONG,
            Code::Unsupported,
            format!("at most {TAGS_MAX} tags at once"),
        ));
    }
    if tags.iter().any(|tag| !names::is_tag(tag)) {
        return Err(Failure::bad(Code::ManifestInvalid, "the tag is not well-formed"));
    }
    tags.dedup();

    let mut reply = empty(StatusCode::CREATED);
    set(&mut reply, LOCATION, format!("/v2/{name}/manifests/{digest}"));
    set(&mut reply, CONTENT_DIGEST, &digest);
    if let Some(subject) = &document.subject {
        // distribution-spec, Pushing Manifests with Subject: this header MUST be set by a registry that has the
        // referrers API. The subject itself need not exist.
        set(&mut reply, SUBJECT, subject);
    }
    if matches!(reference, Name::Digest(_)) {
        for tag in &tags {
            add(&mut reply, TAG, tag);
        }
    }
    let missing = call.shared.options.missing;
    let publish = move |store: Arc<dyn Store>| {
        check_references(&*store, &document, missing)?;
        let media_type = MediaType::from(document.media_type.as_str());
        let descriptor = Descriptor::new(media_type, bytes.len() as u64, digest);
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        store
            .publish(&descriptor, &bytes, &tags)
            .map_err(|e| Failure::from_store(&e, Code::ManifestInvalid))?;
        Ok(reply)
    };
    call.shared.with_new_store(name, publish).await
}

fn check_references(store: &dyn Store, document: &Document, missing: MissingContent) -> Result<(), Failure> {
    let manifests = document.manifests.iter().filter(|_| missing == MissingContent::Reject);
    let blobs = document.blobs.iter().filter(|_| missing != MissingContent::Allow);
    for wanted in manifests.chain(blobs) {
        let failed = |e: &_| Failure::from_store(e, Code::ManifestBlobUnknown);
        if store.has(wanted).map_err(|e| failed(&e))? {
            continue;
        }
        let digest = wanted.digest();
        return Err(match Source::resolve(store, digest.as_ref()) {
            Ok(found) if found.size() != wanted.size() => Failure::bad(
                Code::SizeInvalid,
                format!("{digest} has {} bytes, not {}", found.size(), wanted.size()),
            ),
            _ => Failure::missing(Code::ManifestBlobUnknown, format!("{digest} is not in this repository")),
        });
    }
    Ok(())
}

fn delete(store: &dyn Store, reference: &Name) -> Answer {
    let failed = |e: &_| Failure::from_store(e, Code::ManifestUnknown);
    let removed = match reference {
        Name::Tag(tag) => store.untag(tag),
        Name::Digest(digest) => {
            let descriptor = Source::resolve(store, digest.as_ref()).map_err(|e| failed(&e))?;
            if !is_manifest(descriptor.media_type().as_ref()) {
                return Err(unknown());
            }
            store.remove(digest)
        }
    };
    match removed {
        Ok(true) => Ok(empty(StatusCode::ACCEPTED)),
        Ok(false) => Err(unknown()),
        Err(error) => Err(failed(&error)),
    }
}

fn unknown() -> Failure {
    Failure::missing(Code::ManifestUnknown, "there is no such manifest")
}
