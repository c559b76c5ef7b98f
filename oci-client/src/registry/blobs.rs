//! Blobs: distribution-spec, Pulling blobs and Deleting blobs; ranges by RFC 9110, section 14.

use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, IF_RANGE,
    RANGE,
};
use http::{Method, StatusCode};
use oci_digest::content::{Source, Store};

use super::body::Body;
use super::call::Call;
use super::names;
use super::response::{Answer, CONTENT_DIGEST, Code, Failure, Reply, empty, set, with_body};
use crate::protocol::media::is_manifest;
use crate::protocol::range::number;

/// `GET`, `HEAD` and `DELETE /v2/<name>/blobs/<digest>`
pub(super) async fn handle(call: &mut Call, name: &str, digest: &str) -> Answer {
    let digest = names::digest(digest)?;
    if call.method == Method::DELETE {
        let remove = move |store: std::sync::Arc<dyn Store>| delete(&*store, &digest);
        return call.shared.with_store(name, remove).await;
    }
    let text = digest.to_string();
    let (store, descriptor) = call
        .shared
        .with_store(name, move |store| match Source::resolve(&*store, &text) {
            Ok(descriptor) => Ok((store, descriptor)),
            Err(error) => Err(Failure::from_store(&error, Code::BlobUnknown)),
        })
        .await?;
    let size = descriptor.size();
    let etag = format!("\"{digest}\"");
    let matches = |header| call.headers.get(header).is_some_and(|value| value.as_bytes() == etag.as_bytes());

    let mut reply = if matches(IF_NONE_MATCH) {
        empty(StatusCode::NOT_MODIFIED)
    } else if call.is_head() {
        let mut reply = empty(StatusCode::OK);
        set(&mut reply, CONTENT_LENGTH, size);
        reply
    } else {
        // RFC 9110, If-Range: a range of another representation than the client holds part of is of no use.
        let usable = !call.headers.contains_key(IF_RANGE) || matches(IF_RANGE);
        let range = call.headers.get(RANGE).and_then(|value| value.to_str().ok()).filter(|_| usable);
        match range.map_or(Range::Whole, |text| Range::parse(text, size)) {
            Range::Whole => with_body(StatusCode::OK, Body::blob(store, descriptor, 0, size).await?),
            Range::Part(first, last) => {
                let body = Body::blob(store, descriptor, first, last + 1).await?;
                let mut reply = with_body(StatusCode::PARTIAL_CONTENT, body);
                set(&mut reply, CONTENT_RANGE, format!("bytes {first}-{last}/{size}"));
                reply
            }
            Range::Unsatisfiable => return Err(unsatisfiable(size)),
        }
    };
    describe(&mut reply, &etag);
    set(&mut reply, CONTENT_DIGEST, &digest);
    Ok(reply)
}

fn describe(reply: &mut Reply, etag: &str) {
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    reply.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    set(reply, ETAG, etag);
}

fn unsatisfiable(size: u64) -> Failure {
    let message = "the range lies beyond the blob";
    Failure::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::SizeInvalid, message)
        .header(CONTENT_RANGE, format!("bytes */{size}"))
}

fn delete(store: &dyn Store, digest: &oci_digest::Digest) -> Answer {
    let failed = |e: &_| Failure::from_store(e, Code::BlobUnknown);
    let descriptor = Source::resolve(store, digest.as_ref()).map_err(|e| failed(&e))?;
    if is_manifest(descriptor.media_type().as_ref()) {
        let message = "this is a manifest, which is deleted under manifests/";
        return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message));
    }
    match store.remove(digest) {
        Ok(true) => Ok(empty(StatusCode::ACCEPTED)),
        Ok(false) => Err(Failure::missing(Code::BlobUnknown, "not found")),
        Err(error) => Err(failed(&error)),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    Part(u64, u64),
    Unsatisfiable,
}

impl Range {
    /// One range of bytes. What cannot be understood, and several ranges, count as absent, as RFC 9110 allows.
    fn parse(text: &str, size: u64) -> Self {
        let Some((first, last)) = text.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'))
        else {
            return Self::Whole;
        };
        match (first, last, number(first), number(last)) {
            ("", _, _, Some(0)) => Self::Unsatisfiable,
            ("", _, _, Some(_)) if size == 0 => Self::Unsatisfiable,
            ("", _, _, Some(suffix)) => Self::Part(size.saturating_sub(suffix), size - 1),
            (_, "", Some(first), _) if first >= size => Self::Unsatisfiable,
            (_, "", Some(first), _) => Self::Part(first, size - 1),
            (_, _, Some(first), Some(last)) if first > last => Self::Whole,
            (_, _, Some(first), Some(_)) if first >= size => Self::Unsatisfiable,
            (_, _, Some(first), Some(last)) => Self::Part(first, last.min(size - 1)),
            _ => Self::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Range::{self, Part, Unsatisfiable, Whole};

    #[test]
    fn ranges() {
        for (text, size, range) in [
            ("bytes=0-4", 10, Part(0, 4)),
            ("bytes=5-", 10, Part(5, 9)),
            ("bytes=-3", 10, Part(7, 9)),
            ("bytes=-30", 10, Part(0, 9)),
            ("bytes=9-99", 10, Part(9, 9)),
            ("bytes=0-18446744073709551615", 10, Part(0, 9)),
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=10-20", 10, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=0-", 0, Unsatisfiable),
            ("bytes=-1", 0, Unsatisfiable),
            ("bytes=5-4", 10, Whole),
            ("bytes=0-1,3-4", 10, Whole),
            ("bytes=-", 10, Whole),
            ("bytes=a-b", 10, Whole),
            ("bytes=+1-2", 10, Whole),
            ("items=0-1", 10, Whole),
            ("", 10, Whole),
        ] {
            assert_eq!(Range::parse(text, size), range, "{text:?} of {size}");
        }
    }
}
