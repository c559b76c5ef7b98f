use crate::http::{get, push_blob, push_image, send, sha256, start};

#[test]
fn a_blob_comes_back_whole_by_get_and_head() {
    let server = start();
    // Smaller than a piece on its way out, one, and several with a rest.
    for size in [0, 1, 256 * 1024, 1_000_003] {
        let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        let digest = push_blob(&server, "a/b", &bytes);
        let answer = get(&server, &format!("/v2/a/b/blobs/{digest}"));
        assert_eq!(answer.status, 200);
        assert!(answer.body == bytes);
        let head = send(&server, &format!("HEAD /v2/a/b/blobs/{digest}"), &[], b"");
        for answer in [&answer, &head] {
            assert_eq!(answer.header("content-length"), Some(size.to_string().as_str()));
            assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
            assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
            assert_eq!(answer.header("accept-ranges"), Some("bytes"));
            assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
        }
    }
}

#[test]
fn ranges() {
    let server = start();
    let digest = push_blob(&server, "a", b"0123456789");
    let path = format!("GET /v2/a/blobs/{digest}");
    let etag = format!("\"{digest}\"");
    for (headers, status, body, range) in [
        (&[("Range", "bytes=2-4")][..], 206, "234", Some("bytes 2-4/10")),
        (&[("Range", "bytes=7-")], 206, "789", Some("bytes 7-9/10")),
        (&[("Range", "bytes=-2")], 206, "89", Some("bytes 8-9/10")),
        (&[("Range", "bytes=0-99")], 206, "0123456789", Some("bytes 0-9/10")),
        (&[("Range", "bytes=0-1,3-4")], 200, "0123456789", None),
        (&[("Range", "nonsense")], 200, "0123456789", None),
        (&[("Range", "bytes=2-4"), ("If-Range", &etag)], 206, "234", Some("bytes 2-4/10")),
        (&[("Range", "bytes=2-4"), ("If-Range", "\"other\"")], 200, "0123456789", None),
        (&[("If-None-Match", &etag)], 304, "", None),
    ] {
        let answer = send(&server, &path, headers, b"");
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(answer.body, body.as_bytes(), "{headers:?}");
        assert_eq!(answer.header("content-range"), range, "{headers:?}");
    }
    for range in ["bytes=10-", "bytes=10-11", "bytes=-0"] {
        let answer = send(&server, &path, &[("Range", range)], b"");
        assert_eq!(answer.status, 416, "{range}");
        assert_eq!(answer.header("content-range"), Some("bytes */10"));
    }
}

#[test]
fn what_is_not_there_or_not_well_formed() {
    let server = start();
    let digest = push_blob(&server, "a", b"x");
    let other = sha256(b"y");
    for (path, status, code) in [
        (format!("/v2/a/blobs/{other}"), 404, "BLOB_UNKNOWN"),
        (format!("/v2/b/blobs/{digest}"), 404, "NAME_UNKNOWN"),
        ("/v2/a/blobs/sha256:zz".to_owned(), 400, "DIGEST_INVALID"),
        ("/v2/a/blobs/sha256:..%2f..%2fetc".to_owned(), 404, "UNSUPPORTED"),
        (format!("/v2/a/blobs/md5:{}", "0".repeat(32)), 400, "DIGEST_INVALID"),
        (format!("/v2/A/blobs/{digest}"), 400, "NAME_INVALID"),
        (format!("/v2/a/../a/blobs/{digest}"), 400, "NAME_INVALID"),
        (format!("/v2/a/%2e%2e/a/blobs/{digest}"), 400, "NAME_INVALID"),
        (format!("/v2//a/blobs/{digest}"), 400, "NAME_INVALID"),
        (format!("/v2/{}/blobs/{digest}", "a".repeat(256)), 400, "NAME_INVALID"),
        ("/v2/a/other/x".to_owned(), 404, "UNSUPPORTED"),
        ("/".to_owned(), 404, "UNSUPPORTED"),
    ] {
        assert_eq!(get(&server, &path).error(), (status, code.to_owned()), "{path}");
        let head = send(&server, &format!("HEAD {path}"), &[], b"");
        assert_eq!(head.status, status, "HEAD {path}");
    }
    let answer = send(&server, &format!("PUT /v2/a/blobs/{digest}"), &[], b"");
    assert_eq!(answer.error(), (405, "UNSUPPORTED".to_owned()));
    assert_eq!(answer.header("allow"), Some("GET, HEAD, DELETE"));
}

#[test]
fn deletes() {
    let server = start();
    let (_, manifest) = push_image(&server, "a", "latest", b"layer");
    let digest = push_blob(&server, "a", b"other");
    let path = format!("/v2/a/blobs/{digest}");
    assert_eq!(send(&server, &format!("DELETE {path}"), &[], b"").status, 202);
    assert_eq!(get(&server, &path).status, 404);
    let again = send(&server, &format!("DELETE {path}"), &[], b"");
    assert_eq!(again.error(), (404, "BLOB_UNKNOWN".to_owned()));
    // A manifest is not deleted in passing.
    let answer = send(&server, &format!("DELETE /v2/a/blobs/{manifest}"), &[], b"");
    assert_eq!(answer.error(), (405, "UNSUPPORTED".to_owned()));
    assert_eq!(get(&server, "/v2/a/manifests/latest").status, 200);
}
