//! Bad registries, and what the client makes of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oci_client::{ClientOptions, Error};
use oci_digest::{Algorithm, digest_of};
use support::{MANIFEST, Server, answer, describe, head, manifest_bytes, noise, quick, range_start, reset};

fn pull(repository: &oci_client::blocking::Repository, bytes: &[u8]) -> Result<Vec<u8>, oci_digest::Error> {
    let read = |mut reader: oci_client::blocking::BlobReader| {
        let mut out = Vec::new();
        reader.read_to_end(&mut out).map_err(|e| oci_digest::Error::io("reading", e)).map(|_| out)
    };
    repository.blob(&describe(bytes)).map_err(oci_digest::Error::from).and_then(read)
}

/// The client's own error inside the content traits'.
fn cause(error: &oci_digest::Error) -> Option<&Error> {
    match error {
        oci_digest::Error::Store { source, .. } => source.downcast_ref(),
        _ => None,
    }
}

/// An error and what caused it, one line each.
fn chain(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect()
}

#[test]
fn a_short_body_goes_on_by_a_closed_range() {
    let bytes = noise(1_000_000);
    for chunked in [false, true] {
        let blob = bytes.clone();
        let server = Server::start(move |seen, stream| {
            let start = range_start(seen).unwrap_or(0);
            let end = blob.len().min(start + 300_000);
            if start > 0 {
                let range = format!("bytes {start}-{}/{}", blob.len() - 1, blob.len());
                head(
                    stream,
                    "206 Partial Content",
                    &[("Content-Range", &range)],
                    (blob.len() - start) as u64,
                );
                let _ = stream.write_all(&blob[start..end]);
            } else if chunked {
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", end);
                let _ = stream.write_all(&blob[..end]);
            } else {
                head(stream, "200 OK", &[], blob.len() as u64);
                let _ = stream.write_all(&blob[..end]);
            }
            reset(stream)
        });
        assert_eq!(pull(&server.repository(ClientOptions::default()), &bytes).unwrap(), bytes);
        let starts: Vec<_> = server.seen().iter().map(|s| range_start(s).unwrap_or(0)).collect();
        assert_eq!(starts, [0, 300_000, 600_000, 900_000], "chunked: {chunked}");
    }
}

#[test]
fn no_new_ground_is_given_up() {
    let bytes = noise(1_000_000);
    let size = bytes.len() as u64;
    let server = Server::start(move |_, stream| {
        head(stream, "200 OK", &[], size);
        reset(stream)
    });
    let error = pull(&server.repository(quick().retries(2)), &bytes).unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    let (port, digest) = (server.port, digest_of(Algorithm::Sha256, &bytes));
    assert_eq!(
        chain(&error),
        [
            format!("talking to 127.0.0.1:{port}"),
            format!("GET http://127.0.0.1:{port}/v2/a/b/blobs/{digest}: reading the body"),
            format!("0 of 1000000 bytes of {digest} came in 3 attempts"),
            "the connection ended before the body did".to_owned(),
        ]
    );
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn a_body_that_ends_too_early_is_not_the_blob() {
    let bytes = noise(10_000);
    let blob = bytes.clone();
    let server = Server::start(move |seen, stream| {
        let _ = range_start(seen);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n");
        let _ = stream.write_all(&blob[..0x1000]);
        stream.write_all(b"\r\n0\r\n\r\n").is_ok()
    });
    let error = pull(&server.repository(quick().retries(1)), &bytes).unwrap_err();
    let text = chain(&error).join("\n");
    assert!(
        text.contains("4096 of 10000 bytes of sha256:") && text.contains(" came in 2 attempts"),
        "{text}"
    );
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn a_range_that_is_ignored_starts_over_and_appends_nothing() {
    let bytes = noise(500_000);
    let blob = bytes.clone();
    let first = AtomicUsize::new(0);
    let server = Server::start(move |_, stream| {
        head(stream, "200 OK", &[], blob.len() as u64);
        if first.fetch_add(1, Ordering::Relaxed) == 0 {
            let _ = stream.write_all(&blob[..200_000]);
            return reset(stream);
        }
        stream.write_all(&blob).is_ok()
    });
    assert_eq!(pull(&server.repository(ClientOptions::default()), &bytes).unwrap(), bytes);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn a_range_that_was_not_asked_for_is_not_used() {
    let bytes = noise(500_000);
    let blob = bytes.clone();
    let server = Server::start(move |seen, stream| {
        match range_start(seen) {
            None => {
                head(stream, "200 OK", &[], blob.len() as u64);
                let _ = stream.write_all(&blob[..200_000]);
                reset(stream)
            }
            // One byte off.
            Some(start) => {
                let range = format!("bytes {}-{}/{}", start + 1, blob.len() - 1, blob.len());
                answer(stream, "206 Partial Content", &[("Content-Range", &range)], &blob[start + 1..])
            }
        }
    });
    let error = pull(&server.repository(quick().retries(1)), &bytes).unwrap_err();
    assert!(!matches!(error, oci_digest::Error::DigestMismatch { .. }), "{error:?}");

    // Nor at the start of a blob.
    let bytes = noise(1000);
    let blob = bytes.clone();
    let server = Server::start(move |_, stream| {
        answer(stream, "206 Partial Content", &[("Content-Range", "bytes 0-999/1000")], &blob)
    });
    let error = pull(&server.repository(quick()), &bytes).unwrap_err();
    assert!(matches!(cause(&error), Some(Error::Protocol { .. })), "{error:?}");
}

#[test]
fn other_bytes_fail_with_the_digest_and_are_not_asked_for_again() {
    let bytes = noise(100_000);
    let mut wrong = bytes.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let server = Server::start(move |_, stream| answer(stream, "200 OK", &[], &wrong));
    let error = pull(&server.repository(ClientOptions::default()), &bytes).unwrap_err();
    let digest = digest_of(Algorithm::Sha256, &bytes);
    assert!(matches!(&error, oci_digest::Error::DigestMismatch { expected, .. } if *expected == digest));
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_stall_is_broken_and_goes_on() {
    let bytes = noise(300_000);
    let blob = bytes.clone();
    let stalled = AtomicUsize::new(0);
    let server = Server::start(move |seen, stream| {
        let start = range_start(seen).unwrap_or(0);
        if start > 0 {
            let range = format!("bytes {start}-{}/{}", blob.len() - 1, blob.len());
            return answer(stream, "206 Partial Content", &[("Content-Range", &range)], &blob[start..]);
        }
        head(stream, "200 OK", &[], blob.len() as u64);
        let _ = stream.write_all(&blob[..200_000]);
        stalled.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(20));
        false
    });
    assert_eq!(pull(&server.repository(quick()), &bytes).unwrap(), bytes);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let server = Server::start(|_, _| {
        std::thread::sleep(Duration::from_secs(20));
        false
    });
    let error = server.repository(quick().retries(1)).resolve("t").unwrap_err();
    assert!(
        matches!(&error, Error::Transfer { source, .. } if source.kind() == std::io::ErrorKind::TimedOut),
        "{error:?}"
    );
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn an_endless_manifest_is_read_up_to_the_limit() {
    let server = Server::start(|seen, stream| {
        if seen.method == "HEAD" {
            return answer(stream, "404 Not Found", &[], b"");
        }
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: {MANIFEST}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        let block = [b'['; 65536];
        while write!(stream, "10000\r\n").and_then(|()| stream.write_all(&block)).is_ok() {
            if stream.write_all(b"\r\n").is_err() {
                break;
            }
        }
        false
    });
    let repository = server.repository(quick());
    let error = repository.manifest("t").unwrap_err();
    assert!(matches!(error, Error::Limit { maximum: 4_194_304, .. }), "{error:?}");
    assert_eq!(server.seen().len(), 1);

    let server = Server::start(|_, stream| {
        head(stream, "200 OK", &[("Content-Type", MANIFEST)], 300 << 20);
        stream.write_all(b"{").is_ok()
    });
    assert!(matches!(server.repository(quick()).manifest("t"), Err(Error::Limit { .. })));
}

#[test]
fn what_is_no_manifest_is_refused() {
    let both = br#"{"manifests":[],"layers":[]}"#;
    let index = br#"{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let nested = "[".repeat(1_000_000).into_bytes();
    for (status, content_type, body, reason) in [
        ("200 OK", "text/html", &b"<html>log in</html>"[..], "no JSON"),
        ("200 OK", "text/html", &manifest_bytes(), "content type"),
        ("200 OK", MANIFEST, both, "both"),
        ("200 OK", MANIFEST, index, "it says"),
        ("200 OK", MANIFEST, b"", "no JSON"),
        ("200 OK", MANIFEST, b"[]", "no JSON object"),
        ("200 OK", MANIFEST, &nested, "no JSON"),
        ("200 OK", "application/vnd.docker.distribution.manifest.v1+prettyjws", b"{}", "schema 1"),
        ("206 Partial Content", MANIFEST, &manifest_bytes(), "206"),
        ("300 Multiple Choices", MANIFEST, b"{}", "300"),
    ] {
        let (status, content_type, body) = (status.to_owned(), content_type.to_owned(), body.to_vec());
        let server = Server::start(move |_, stream| {
            answer(stream, &status, &[("Content-Type", &content_type)], &body)
        });
        let error = server.repository(quick()).manifest("t").unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    let server = Server::start(|_, stream| stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").is_err());
    assert!(server.repository(quick().retries(0)).manifest("t").is_err());
}

#[test]
fn a_digest_header_that_differs_fails_and_a_missing_one_does_not() {
    let good = digest_of(Algorithm::Sha256, &manifest_bytes()).to_string();
    let bad = digest_of(Algorithm::Sha256, b"other").to_string();
    let unknown = "blake3:0123456789abcdef".to_owned();
    for (told, fits) in [(Some(good), true), (Some(bad), false), (Some(unknown), true), (None, true)] {
        let server = Server::start(move |_, stream| {
            let mut headers = vec![("Content-Type", MANIFEST)];
            headers.extend(told.as_deref().map(|told| ("Docker-Content-Digest", told)));
            answer(stream, "200 OK", &headers, &manifest_bytes())
        });
        let repository = server.repository(quick());
        assert_eq!(repository.manifest("t").is_ok(), fits);
        // By digest, the bytes count.
        let other = digest_of(Algorithm::Sha256, b"{}").to_string();
        assert!(repository.manifest(&other).is_err());
    }
}

#[test]
fn a_busy_registry_is_waited_for() {
    for status in ["429 Too Many Requests", "503 Service Unavailable", "500 Oops", "408 Timeout"] {
        let n = AtomicUsize::new(0);
        let server = Server::start(move |seen, stream| {
            if n.fetch_add(1, Ordering::Relaxed) < 2 {
                let retry: &[_] = if status.starts_with("429") { &[("Retry-After", "1")] } else { &[] };
                let body: &[u8] = if seen.method == "HEAD" { b"" } else { b"later" };
                return answer(stream, status, retry, body);
            }
            answer(stream, "200 OK", &[("Content-Type", MANIFEST)], &manifest_bytes())
        });
        let started = Instant::now();
        server.repository(ClientOptions::default()).manifest("t").unwrap();
        assert_eq!(server.seen().len(), 3, "{status}");
        if status.starts_with("429") {
            assert!(started.elapsed() >= Duration::from_secs(2));
        }
    }
    let server = Server::start(|_, stream| answer(stream, "429 Too Many", &[("Retry-After", "3600")], b"{}"));
    let error = server.repository(ClientOptions::default()).manifest("t").unwrap_err();
    assert!(matches!(error, Error::Status { status: 429, .. }), "{error:?}");
    assert_eq!(server.seen().len(), 1);
    let server = Server::start(|_, stream| answer(stream, "503 No", &[], b""));
    assert!(server.repository(ClientOptions::default().retries(0)).manifest("t").is_err());
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn refusals_are_not_asked_again_and_carry_the_message() {
    let body = "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"go \\u001b[31maway\"}]}";
    let server = Server::start(move |_, stream| answer(stream, "403 Forbidden", &[], body.as_bytes()));
    let error = server.repository(ClientOptions::default()).manifest("t").unwrap_err();
    let text = error.to_string();
    assert!(text.ends_with("/v2/a/b/manifests/t: status 403: DENIED: go  [31maway"), "{text}");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn what_is_not_found_is_named_with_the_registrys_words() {
    for (status, shown) in [
        ("404 Not Found", "127.0.0.1:PORT/a/b:t not found: MANIFEST_UNKNOWN: no such thing"),
        (
            "403 Forbidden",
            "GET http://127.0.0.1:PORT/v2/a/b/manifests/t: status 403: MANIFEST_UNKNOWN: no such thing",
        ),
    ] {
        let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such thing"}]}"#;
        let server = Server::start(move |seen, stream| match seen.method.as_str() {
            "HEAD" => {
                head(stream, status, &[], body.len() as u64);
                true
            }
            _ => answer(stream, status, &[], body.as_bytes()),
        });
        let error = server.repository(quick()).resolve("t").unwrap_err();
        assert_eq!(error.to_string(), shown.replace("PORT", &server.port.to_string()));
        assert_eq!(server.seen().len(), 2);
        let theirs = oci_digest::Error::from(error);
        assert_eq!(theirs.is_not_found(), status.starts_with("404"));
        assert!(chain(&theirs).join(" ").contains("MANIFEST_UNKNOWN: no such thing"), "{theirs}");
    }
}

#[test]
fn the_list_of_tags_follows_its_own_origin_only() {
    let server = Server::start(|seen, stream| {
        if seen.target.contains("last=b") {
            let link = [("Link", "</v2/a/b/tags/list?last=c>; rel=\"next\"")];
            return answer(stream, "200 OK", &link, br#"{"tags":["c","../x"]}"#);
        }
        if seen.target.contains("last=c") {
            return answer(stream, "200 OK", &[], br#"{"tags":null}"#);
        }
        let link = [("Link", "<list?last=b&n=2>; rel=next")];
        answer(stream, "200 OK", &link, br#"{"name":"a/b","tags":["b","a"]}"#)
    });
    assert_eq!(server.repository(quick()).tags().unwrap(), ["a", "b", "c"]);
    for link in ["<http://127.0.0.2:1/v2/a/b/tags/list>; rel=next", "</v2/a/b/tags/list>; rel=next"] {
        let server =
            Server::start(move |_, stream| answer(stream, "200 OK", &[("Link", link)], br#"{"tags":[]}"#));
        assert!(matches!(server.repository(quick()).tags(), Err(Error::Protocol { .. })));
        assert_eq!(server.seen().len(), 1);
    }
    let server = Server::start(|_, stream| answer(stream, "200 OK", &[], b"<html>log in</html>"));
    assert!(matches!(server.repository(quick()).tags(), Err(Error::Protocol { .. })));
}

#[test]
fn referrers_without_api_are_found_by_tag() {
    let subject = digest_of(Algorithm::Sha256, b"subject");
    let other = digest_of(Algorithm::Sha256, b"other");
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
        {{"mediaType":"{MANIFEST}","digest":"{other}","size":5,"artifactType":"a/b","annotations":{{"k":"v"}}}},
        {{"mediaType":"{MANIFEST}","digest":"sha256:nope","size":5}},
        {{"mediaType":"{MANIFEST}","digest":"{subject}","size":-5}}]}}"#
    );
    let tag = format!("/manifests/sha256-{}", subject.digest());
    let server = Server::start(move |seen, stream| {
        if seen.target.ends_with(&tag) {
            let types = [("Content-Type", "application/vnd.oci.image.index.v1+json")];
            return answer(stream, "200 OK", &types, index.as_bytes());
        }
        answer(stream, "404 Not Found", &[("Content-Type", "text/plain")], b"404 page not found\n")
    });
    let repository = server.repository(quick());
    let found = repository.referrers(&subject, None).unwrap();
    assert_eq!(found.iter().map(|d| d.digest()).collect::<Vec<_>>(), [&other]);
    assert_eq!(repository.referrers(&subject, Some("a/b")).unwrap().len(), 1);
    assert!(repository.referrers(&subject, Some("x/y")).unwrap().is_empty());
    assert!(repository.referrers(&other, None).unwrap().is_empty());
    assert_eq!(server.count("GET", "nope"), 0);
}
