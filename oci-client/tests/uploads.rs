//! Pushes to bad registries.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use oci_client::Error;
use oci_digest::{Algorithm, MediaType, digest_of};
use support::{MANIFEST, Server, answer, describe, manifest_bytes, noise, quick};

#[test]
fn the_location_is_used_as_it_came_and_the_size_is_told() {
    for (location, target) in [
        ("/u/1?_state=a%2Bb&x=%7e&&y=", "/u/1?_state=a%2Bb&x=%7e&&y=&digest="),
        ("../other?z", "/v2/a/b/blobs/other?z&digest="),
        ("session", "/v2/a/b/blobs/uploads/session?digest="),
    ] {
        let bytes = noise(300_000);
        let size = bytes.len().to_string();
        let server = Server::start(move |seen, stream| match seen.method.as_str() {
            "POST" => answer(stream, "202 Accepted", &[("Location", location)], b""),
            "PUT" => answer(stream, "201 Created", &[], b""),
            "HEAD" => {
                support::head(stream, "200 OK", &[], 300_000);
                true
            }
            _ => false,
        });
        server.repository(quick()).push_blob(&describe(&bytes), &bytes.as_slice()).unwrap();
        let put = server.seen().into_iter().find(|s| s.method == "PUT").unwrap();
        assert_eq!(put.target, format!("{target}{}", describe(&bytes).digest()));
        assert_eq!(put.header("content-length"), Some(size.as_str()));
        assert_eq!(put.body, bytes);
    }
}

#[test]
fn a_blob_that_is_not_there_after_the_commit_fails() {
    for (status, length) in [("404 Not Found", 0), ("200 OK", 7)] {
        let server = Server::start(move |seen, stream| match seen.method.as_str() {
            "POST" => answer(stream, "202 Accepted", &[("Location", "/u")], b""),
            "PUT" => answer(stream, "201 Created", &[], b""),
            _ => {
                support::head(stream, status, &[], length);
                true
            }
        });
        let bytes = noise(1000);
        let error = server.repository(quick()).push_blob(&describe(&bytes), &bytes.as_slice()).unwrap_err();
        assert!(error.to_string().contains("does not have it"), "{error}");
    }
}

#[test]
fn another_digest_than_the_one_sent_fails() {
    let other = digest_of(Algorithm::Sha256, b"other").to_string();
    let server = Server::start(move |seen, stream| match seen.method.as_str() {
        "POST" => answer(stream, "202 Accepted", &[("Location", "/u")], b""),
        _ => answer(stream, "201 Created", &[("Docker-Content-Digest", &other)], b""),
    });
    let repository = server.repository(quick());
    let bytes = noise(1000);
    let error = repository.push_blob(&describe(&bytes), &bytes.as_slice()).unwrap_err();
    assert!(matches!(error, Error::Content(oci_digest::Error::DigestMismatch { .. })), "{error:?}");
    let error = repository.push_manifest("t", &MediaType::from(MANIFEST), manifest_bytes()).unwrap_err();
    assert!(matches!(error, Error::Content(oci_digest::Error::DigestMismatch { .. })), "{error:?}");
}

#[test]
fn a_broken_upload_begins_again() {
    let bytes = noise(2_000_000);
    let broken = AtomicUsize::new(0);
    let server = Server::start(move |seen, stream| match seen.method.as_str() {
        "POST" => answer(stream, "202 Accepted", &[("Location", "/u")], b""),
        "PUT" => match broken.fetch_add(1, Ordering::Relaxed) {
            0 => false,
            1 => answer(stream, "503 Busy", &[("Retry-After", "0")], b""),
            _ => answer(stream, "201 Created", &[], b""),
        },
        _ => {
            support::head(stream, "200 OK", &[], 2_000_000);
            true
        }
    });
    server.repository(quick()).push_blob(&describe(&bytes), &bytes.as_slice()).unwrap();
    assert_eq!(server.count("PUT", "/u"), 3);
    assert_eq!(server.seen().iter().rfind(|s| s.method == "PUT").unwrap().body, bytes);
}

#[test]
fn credentials_that_expire_while_sending_are_renewed() {
    let issued = AtomicUsize::new(0);
    let expired = AtomicBool::new(false);
    let server = Server::start(move |seen, stream| {
        let host = seen.header("host").unwrap();
        let realm = format!("Bearer realm=\"http://{host}/token\"");
        let asks = |stream: &mut _| answer(stream, "401 Unauthorized", &[("WWW-Authenticate", &realm)], b"");
        match seen.method.as_str() {
            "GET" => {
                let token = format!("{{\"token\":\"t{}\"}}", issued.fetch_add(1, Ordering::Relaxed));
                answer(stream, "200 OK", &[], token.as_bytes())
            }
            _ if seen.header("authorization").is_none() => asks(stream),
            "POST" => answer(stream, "202 Accepted", &[("Location", "/u")], b""),
            "PUT" if !expired.swap(true, Ordering::Relaxed) => asks(stream),
            "PUT" => answer(stream, "201 Created", &[], b""),
            _ => {
                support::head(stream, "200 OK", &[], 100_000);
                true
            }
        }
    });
    let bytes = noise(100_000);
    server.repository(server.alice()).push_blob(&describe(&bytes), &bytes.as_slice()).unwrap();
    let tokens: Vec<_> = server
        .seen()
        .iter()
        .filter(|s| s.method == "PUT")
        .map(|s| s.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(tokens, ["Bearer t0", "Bearer t1"]);
}

#[test]
fn an_upload_elsewhere_gets_no_credentials() {
    let other = Server::start(|_, stream| answer(stream, "201 Created", &[], b""));
    let port = other.port;
    let server =
        Server::start(move |seen, stream| match (seen.method.as_str(), seen.header("authorization")) {
            (_, None) => answer(stream, "401 No", &[("WWW-Authenticate", "Basic realm=x")], b""),
            ("POST", _) => {
                answer(stream, "202 Accepted", &[("Location", &format!("http://127.0.0.1:{port}/u"))], b"")
            }
            _ => {
                support::head(stream, "200 OK", &[], 1000);
                true
            }
        });
    let bytes = noise(1000);
    server.repository(server.alice()).push_blob(&describe(&bytes), &bytes.as_slice()).unwrap();
    assert_eq!(other.seen().len(), 1);
    assert_eq!(other.seen()[0].header("authorization"), None);
}

#[test]
fn wrong_content_never_reaches_the_registry_whole() {
    let server = Server::start(|seen, stream| match seen.method.as_str() {
        "POST" => answer(stream, "202 Accepted", &[("Location", "/u")], b""),
        _ => answer(stream, "201 Created", &[], b""),
    });
    let repository = server.repository(quick());
    let bytes = noise(200_000);
    for wrong in [&noise(200_001)[1..], &noise(199_999), &noise(200_001)] {
        let error = repository.push_blob(&describe(&bytes), &wrong).unwrap_err();
        assert!(matches!(error, Error::Content(_)), "{error:?}");
    }
    assert_eq!(server.count("PUT", ""), 0, "no request was whole");
}

#[test]
fn a_refusal_shows_the_message() {
    let server = Server::start(|_, stream| {
        answer(stream, "403 Forbidden", &[], br#"{"errors":[{"code":"DENIED","message":"quota exceeded"}]}"#)
    });
    let bytes = noise(10);
    let error = server.repository(quick()).push_blob(&describe(&bytes), &bytes.as_slice()).unwrap_err();
    assert!(error.to_string().ends_with("DENIED: quota exceeded"), "{error}");
    assert!(matches!(error, Error::Status { status: 403, .. }));
    assert_eq!(server.seen().len(), 1);
}
