use std::collections::HashSet;

use oci_client::registry::Registry;
use oci_digest::{Algorithm, digest_of};

use crate::http::{Connection, get, push_blob, send, sha256, start};

fn open(server: &oci_client::registry::Server) -> String {
    let answer = send(server, "POST /v2/a/blobs/uploads/", &[], b"");
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("range"), Some("0-0"));
    answer.header("location").unwrap().to_owned()
}

#[test]
fn post_then_put() {
    let server = start();
    for algorithm in Algorithm::ALL {
        let digest = digest_of(algorithm, b"hello");
        let location = open(&server);
        let answer = send(&server, &format!("PUT {location}?digest={digest}"), &[], b"hello");
        assert_eq!(answer.status, 201);
        assert_eq!(answer.header("location"), Some(format!("/v2/a/blobs/{digest}").as_str()));
        assert_eq!(answer.header("docker-content-digest"), Some(digest.as_ref()));
        assert_eq!(get(&server, &format!("/v2/a/blobs/{digest}")).body, b"hello");
        // The session is over.
        assert_eq!(get(&server, &location).error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
    }
}

#[test]
fn a_digest_with_an_escaped_colon() {
    let server = start();
    let digest = sha256(b"x").replace(':', "%3A");
    let answer = send(&server, &format!("POST /v2/a/blobs/uploads/?digest={digest}"), &[], b"x");
    assert_eq!(answer.status, 201);
    assert_eq!(get(&server, &format!("/v2/a/blobs/{digest}")).body, b"x");
}

#[test]
fn chunks_in_order() {
    let server = start();
    let location = open(&server);
    let first = send(&server, &format!("PATCH {location}"), &[("Content-Range", "0-2")], b"abc");
    assert_eq!((first.status, first.header("range")), (202, Some("0-2")));
    // Out of order, ahead and behind.
    for range in ["4-4", "0-2", "2-2"] {
        let body = &b"abc"[..if range == "0-2" { 3 } else { 1 }];
        let answer = send(&server, &format!("PATCH {location}"), &[("Content-Range", range)], body);
        assert_eq!(answer.error(), (416, "BLOB_UPLOAD_INVALID".to_owned()), "{range}");
        assert_eq!(answer.header("range"), Some("0-2"));
        assert_eq!(answer.header("location"), Some(location.as_str()));
    }
    // A chunk that is not as long as it says leaves nothing behind.
    let answer = send(&server, &format!("PATCH {location}"), &[("Content-Range", "3-9")], b"d");
    assert_eq!(answer.error(), (400, "SIZE_INVALID".to_owned()));
    let answer = send(&server, &format!("PATCH {location}"), &[("Content-Range", "three-nine")], b"d");
    assert_eq!(answer.error(), (400, "BLOB_UPLOAD_INVALID".to_owned()));
    let status = get(&server, &location);
    assert_eq!((status.status, status.header("range")), (204, Some("0-2")));
    assert_eq!(status.header("location"), Some(location.as_str()));
    // Without a range the body is appended; the last chunk may come with the PUT.
    assert_eq!(send(&server, &format!("PATCH {location}"), &[], b"de").header("range"), Some("0-4"));
    let path = format!("PUT {location}?digest={}", sha256(b"abcdef"));
    assert_eq!(send(&server, &path, &[("Content-Range", "4-4")], b"f").status, 416);
    assert_eq!(send(&server, &path, &[("Content-Range", "5-5")], b"f").status, 201);
    assert_eq!(get(&server, &format!("/v2/a/blobs/{}", sha256(b"abcdef"))).body, b"abcdef");
}

#[test]
fn a_chunked_body_of_unknown_length() {
    let server = start();
    let location = open(&server);
    let mut connection = Connection::to(server.addr());
    connection.send_head(&format!("PATCH {location}"), &[("Transfer-Encoding", "chunked")], None);
    connection.write(b"3\r\nabc\r\n");
    connection.write(b"2\r\nde\r\n0\r\n\r\n");
    assert_eq!(connection.receive(false).header("range"), Some("0-4"));
}

#[test]
fn a_broken_connection_keeps_what_came() {
    let folder = tempfile::tempdir().unwrap();
    let server = Registry::builder().spool(folder.path(), 1000).start().unwrap();
    let bytes: Vec<u8> = (0..500_000u32).map(|i| (i % 253) as u8).collect();
    let location = open(&server);
    let mut connection = Connection::to(server.addr());
    connection.send_head(&format!("PATCH {location}"), &[], Some(bytes.len()));
    connection.write(&bytes[..300_000]);
    let offset = |server| -> usize {
        let status = get(server, &location);
        status.header("range").unwrap().strip_prefix("0-").unwrap().parse::<usize>().unwrap() + 1
    };
    while offset(&server) < 300_000 {
        std::thread::yield_now();
    }
    drop(connection);
    // On from where it was; a file held the bytes, and has no name.
    let range = format!("300000-{}", bytes.len() - 1);
    let answer = send(&server, &format!("PATCH {location}"), &[("Content-Range", &range)], &bytes[300_000..]);
    assert_eq!(answer.status, 202);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let digest = sha256(&bytes);
    assert_eq!(send(&server, &format!("PUT {location}?digest={digest}"), &[], b"").status, 201);
    assert!(get(&server, &format!("/v2/a/blobs/{digest}")).body == bytes);
}

#[test]
fn wrong_digests() {
    let server = start();
    let wrong = sha256(b"other");
    let answer = send(&server, &format!("POST /v2/a/blobs/uploads/?digest={wrong}"), &[], b"hello");
    assert_eq!(answer.error(), (400, "DIGEST_INVALID".to_owned()));
    for digest in ["sha256:abc", "abc", "", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        let answer = send(&server, &format!("POST /v2/a/blobs/uploads/?digest={digest}"), &[], b"hello");
        assert_eq!(answer.error(), (400, "DIGEST_INVALID".to_owned()), "{digest}");
    }
    let location = open(&server);
    assert_eq!(send(&server, &format!("PUT {location}"), &[], b"x").error().1, "DIGEST_INVALID");
    assert_eq!(send(&server, &format!("PUT {location}?digest=x"), &[], b"x").error().1, "DIGEST_INVALID");
    // Neither read a byte, so the session goes on; bytes that do not fit end it.
    assert_eq!(get(&server, &location).status, 204);
    let answer = send(&server, &format!("PUT {location}?digest={wrong}"), &[], b"hello");
    assert_eq!(answer.error(), (400, "DIGEST_INVALID".to_owned()));
    assert_eq!(get(&server, &location).status, 404);
    assert_eq!(get(&server, &format!("/v2/a/blobs/{wrong}")).status, 404);
}

#[test]
fn cancelled_and_unknown_sessions() {
    let server = start();
    let location = open(&server);
    let elsewhere = location.replace("/v2/a/", "/v2/b/");
    assert_eq!(get(&server, &elsewhere).status, 404, "a session belongs to its repository");
    assert_eq!(send(&server, &format!("DELETE {location}"), &[], b"").status, 204);
    for line in ["GET", "PATCH", "DELETE"].map(|method| format!("{method} {location}")) {
        assert_eq!(send(&server, &line, &[], b"").error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()), "{line}");
    }
    let put = format!("PUT {location}?digest={}", sha256(b""));
    assert_eq!(send(&server, &put, &[], b"").error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
    let ids: HashSet<String> = (0..50).map(|_| open(&server)).collect();
    assert_eq!(ids.len(), 50);
}

#[test]
fn limits() {
    let server = Registry::builder().blob_limit(5).concurrency(10, 2).chunk_min_length(77).start().unwrap();
    let large = format!("POST /v2/a/blobs/uploads/?digest={}", sha256(b"123456"));
    assert_eq!(send(&server, &large, &[], b"123456").error(), (413, "SIZE_INVALID".to_owned()));
    let location = open(&server);
    assert_eq!(send(&server, &format!("PATCH {location}"), &[], b"12345").status, 202);
    assert_eq!(send(&server, &format!("PATCH {location}"), &[], b"6").status, 413);
    let second = send(&server, "POST /v2/a/blobs/uploads/", &[], b"");
    assert_eq!(second.header("oci-chunk-min-length"), Some("77"));
    let third = send(&server, "POST /v2/a/blobs/uploads/", &[], b"");
    assert_eq!(third.error(), (429, "TOOMANYREQUESTS".to_owned()));
    send(&server, &format!("DELETE {location}"), &[], b"");
    open(&server);
}

/// The refusal reaches a client that goes on sending.
#[test]
fn a_refusal_in_the_middle_of_a_large_body_is_heard() {
    let server = Registry::builder().blob_limit(1000).start().unwrap();
    let location = open(&server);
    let mut connection = Connection::to(server.addr());
    connection.send_head(&format!("PATCH {location}"), &[("Transfer-Encoding", "chunked")], None);
    for _ in 0..64 {
        connection.write(b"10000\r\n");
        connection.write(&[7; 0x10000]);
        connection.write(b"\r\n");
    }
    assert_eq!(connection.receive(false).error(), (413, "SIZE_INVALID".to_owned()));
}

#[test]
fn mounts() {
    let server = start();
    let digest = push_blob(&server, "from", b"blob");
    let answer = send(&server, &format!("POST /v2/to/blobs/uploads/?mount={digest}&from=from"), &[], b"");
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), Some(format!("/v2/to/blobs/{digest}").as_str()));
    assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
    assert_eq!(get(&server, &format!("/v2/to/blobs/{digest}")).body, b"blob");
    let absent = sha256(b"absent");
    for query in [
        format!("mount={absent}&from=from"),
        format!("mount={digest}&from=nowhere"),
        format!("mount={digest}&from=../x"),
        format!("mount={digest}"),
    ] {
        let answer = send(&server, &format!("POST /v2/other/blobs/uploads/?{query}"), &[], b"");
        assert_eq!(answer.status, 202, "{query}");
        let location = answer.header("location").unwrap();
        assert_eq!(send(&server, &format!("PUT {location}?digest={digest}"), &[], b"blob").status, 201);
    }
    let answer = send(&server, "POST /v2/to/blobs/uploads/?mount=bad&from=from", &[], b"");
    assert_eq!(answer.error(), (400, "DIGEST_INVALID".to_owned()));
}
