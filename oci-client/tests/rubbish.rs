//! Registries that answer anything, and a client that comes to an end all the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use oci_client::Error;
use oci_digest::{Algorithm, digest_of};
use support::{MANIFEST, Server, answer, describe, manifest_bytes, quick};

#[test]
fn redirects_end() {
    // In a circle, and to ever new places.
    for fresh in [false, true] {
        let n = AtomicUsize::new(0);
        let server = Server::start(move |_, stream| {
            let n = if fresh { n.fetch_add(1, Ordering::Relaxed) } else { 0 };
            answer(stream, "302 Found", &[("Location", &format!("/v2/elsewhere/{n}"))], b"")
        });
        let error = server.repository(quick()).manifest("t").unwrap_err();
        assert!(matches!(&error, Error::Protocol { reason, .. } if reason.contains("redirects")), "{error}");
        assert_eq!(server.seen().len(), 11);
    }
    for location in ["", "file:///etc/passwd", "ftp://x/", "http://", "http://u:p@127.0.0.1/", "//", "\u{1}"]
    {
        let server = Server::start(move |_, stream| answer(stream, "307 X", &[("Location", location)], b""));
        let error = server.repository(quick().retries(0)).manifest("t").unwrap_err();
        assert!(!error.to_string().contains("u:p"), "{error}");
        assert!(server.seen().len() <= 11, "{location:?}");
    }
}

#[test]
fn the_head_of_an_answer_is_bounded() {
    // Headers without end, one header without end, and a head that drips for longer than the idle timeout.
    let scripts: [fn(&mut TcpStream) -> bool; 3] = [
        |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            while stream.write_all(b"X-Filler: 0123456789012345678901234567890123456789\r\n").is_ok() {}
            false
        },
        |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ");
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
            false
        },
        |stream| {
            for byte in b"HTTP/1.1 200 OK\r\nX: ".iter().chain(std::iter::repeat(&b'x')) {
                if stream.write_all(&[*byte]).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            false
        },
    ];
    for script in scripts {
        let server = Server::start(move |_, stream| script(stream));
        let error = server.repository(quick().retries(1)).manifest("t").unwrap_err();
        assert!(matches!(error, Error::Transfer { .. }), "{error}");
        assert_eq!(server.seen().len(), 2);
    }
}

#[test]
fn old_and_chatty_servers_are_understood() {
    for before in [
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n",
    ] {
        let server = Server::start(move |_, stream| {
            let _ = write!(stream, "{before}Content-Type: {MANIFEST}\r\n\r\n");
            let _ = stream.write_all(&manifest_bytes());
            false
        });
        let manifest = server.repository(quick().retries(0)).manifest("t").unwrap();
        assert_eq!(manifest.bytes(), manifest_bytes(), "{before}");
    }
}

/// Nothing panics, nothing goes on for ever, and what is given out is what was asked for.
#[test]
fn random_answers_are_refused_or_right() {
    let blob = b"hello".to_vec();
    let descriptor = describe(&blob);
    let state = AtomicU64::new(0x9e37_79b9_7f4a_7c15);
    let server = Server::start(move |seen, stream| {
        // Which answer a request gets does not matter, as long as they are all different.
        let seed = state.fetch_add(0xbf58_476d_1ce4_e5b9, Ordering::Relaxed);
        let _ = stream.write_all(&response(&mut Random(seed | 1), seen.header("host").unwrap()));
        false
    });
    let options = || quick().retries(0).idle_timeout(Duration::from_millis(100));
    let expected = digest_of(Algorithm::Sha256, &manifest_bytes());
    let (mut good, mut texts) = (0, 0);
    for round in 0..300 {
        // A client of its own, so that a token or a wait of one round says nothing about the next.
        let repository = server.repository(options());
        let mut check = |what: &str, result: Result<bool, String>| match result {
            Ok(right) => {
                assert!(right, "{what} in round {round}");
                good += 1;
            }
            Err(text) => {
                assert!(text.len() < 2000 && !text.chars().any(char::is_control), "{text:?}");
                texts += 1;
            }
        };
        let shown = |e: Error| e.to_string();
        let manifest = repository.manifest(expected.as_ref()).map_err(shown);
        check("manifest", manifest.map(|m| m.bytes() == manifest_bytes()));
        check("resolve", repository.resolve("t").map(|_| true).map_err(shown));
        check("tags", repository.tags().map(|tags| tags.len() < 1000).map_err(shown));
        check("referrers", repository.referrers(&expected, None).map(|_| true).map_err(shown));
        check("push", repository.push_blob(&descriptor, &blob.as_slice()).map(|()| true).map_err(shown));
        let mut bytes = Vec::new();
        let read = repository.blob(&descriptor).map_err(shown).and_then(|mut reader| {
            reader.read_to_end(&mut bytes).map(|_| bytes == b"hello").map_err(|e| e.to_string())
        });
        check("blob", read);
    }
    assert!(good > 20 && texts > 200, "{good} good, {texts} bad");
}

fn response(random: &mut Random, host: &str) -> Vec<u8> {
    let digest = digest_of(Algorithm::Sha256, &manifest_bytes()).to_string();
    let body = match random.below(7) {
        0 => b"hello".to_vec(),
        1 | 2 => manifest_bytes(),
        3 => br#"{"tags":["a",1,null,"../x"],"manifests":[{}],"token":7}"#.to_vec(),
        4 => br#"{"token":"t","expires_in":-1,"tags":{},"errors":[[],{"message":"\u001b[2J"}]}"#.to_vec(),
        5 => vec![b'['; 100_000],
        _ => (0..random.below(300)).map(|_| random.below(256) as u8).collect(),
    };
    let status = random.of(&[
        "200", "200", "200", "201", "202", "204", "206", "301", "401", "404", "416", "500", "99", "1000",
    ]);
    let mut head = format!("HTTP/1.1 {status} X\r\n");
    let headers = [
        format!("Content-Type: {MANIFEST}"),
        "Content-Type: application/json".to_owned(),
        "Content-Type: \u{ff}".to_owned(),
        format!("Docker-Content-Digest: {digest}"),
        "Docker-Content-Digest: sha256:../..".to_owned(),
        "WWW-Authenticate: Basic realm=x".to_owned(),
        format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",scope=\"\u{7f}\""),
        "WWW-Authenticate: Bearer realm=\"http://0.0.0.0/\"".to_owned(),
        "Location: /v2/x?a=%zz".to_owned(),
        "Location: //169.254.1.1/".to_owned(),
        "Content-Range: bytes 0-4/5".to_owned(),
        "Content-Range: bytes 18446744073709551615-0/*".to_owned(),
        "Retry-After: 99999999999999999999".to_owned(),
        "Link: <?last=x>; rel=next".to_owned(),
        "Content-Encoding: gzip".to_owned(),
        "Transfer-Encoding: chunked".to_owned(),
        "Content-Length: 18446744073709551615".to_owned(),
        "OCI-Filters-Applied: \u{1}".to_owned(),
    ];
    for _ in 0..random.below(6) {
        head.push_str(&headers[random.below(headers.len())]);
        head.push_str("\r\n");
    }
    if random.below(3) > 0 {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    let mut out = (head + "\r\n").into_bytes();
    out.extend_from_slice(&body);
    if random.below(4) == 0 {
        let at = random.below(out.len().min(200));
        out[at] = random.below(256) as u8;
    }
    out
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 16) % end.max(1) as u64).unwrap()
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}
