//! Requests that nobody should send: noise, and good requests with something broken.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oci_client::registry::{Registry, RequestLog};

use crate::http::{MANIFEST, get, manifest, push_blob, sha256};

/// Every request is answered, or its connection ends; nothing panics; and the registry goes on serving.
#[test]
fn thousands_of_broken_requests_harm_nothing() {
    const THREADS: u64 = 8;
    const EACH: usize = 500;
    let panics = panics();
    let log = RequestLog::new();
    let server = Registry::builder()
        .observer(log.observer())
        .idle_timeout(Duration::from_millis(100))
        .manifest_limit(64 << 10)
        .blob_limit(64 << 10)
        .start()
        .unwrap();
    push_blob(&server, "kept", b"hello");
    let addr = server.addr();
    std::thread::scope(|scope| {
        for seed in 1..=THREADS {
            scope.spawn(move || {
                let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                for _ in 0..EACH {
                    let request = request(&mut random);
                    send(addr, &request, random.below(3) == 0);
                }
            });
        }
    });
    let records = log.take();
    assert!(records.len() > 500, "only {} requests were understood", records.len());
    assert!(records.iter().any(|record| record.status.is_success()), "none was good");
    for record in records {
        assert!(record.status.as_u16() != 500, "{record:?}");
    }
    assert_eq!(*panics.lock().unwrap(), [""; 0]);
    // Some of the requests were good enough to delete it.
    let kept = push_blob(&server, "kept", b"hello");
    assert_eq!(get(&server, &format!("/v2/kept/blobs/{kept}")).body, b"hello");
}

/// What panicked in the registry's own code, from here on. Tests beside this one have stores that panic.
fn panics() -> Arc<Mutex<Vec<String>>> {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let (log, others) = (seen.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |info| {
        if info.location().is_some_and(|at| !at.file().contains("tests/")) {
            log.lock().unwrap().push(info.to_string());
        }
        others(info);
    }));
    seen
}

/// Sends bytes and takes whatever comes until the connection ends.
fn send(addr: SocketAddr, request: &[u8], half_close: bool) {
    let mut stream = TcpStream::connect(addr).unwrap();
    // Far longer than the server waits: to fail rather than to hang.
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // The server may have had enough before all is sent.
    if stream.write_all(request).is_ok() && half_close {
        drop(stream.shutdown(Shutdown::Write));
    }
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::ConnectionReset,
            "{:?}",
            request.escape_ascii().to_string()
        );
    }
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{:?}", answer.escape_ascii().to_string());
}

fn request(random: &mut Random) -> Vec<u8> {
    let known = sha256(b"hello");
    let body: Vec<u8> = match random.below(6) {
        0 => b"hello".to_vec(),
        1 => manifest(b"hello").to_string().into_bytes(),
        2 => vec![b'['; 200_000],
        3 => (0..random.below(300)).map(|_| random.below(256) as u8).collect(),
        _ => Vec::new(),
    };
    let references =
        [known.as_str(), "latest", "sha256:", "sha512:00", "a:b:c", "%2e%2e", "", "%00", "é", "🦀:x"];
    let reference = random.of(&references);
    let name =
        random.of(&["kept", "a/b", "../x", "A", "", "a//b", "%41", "blobs/uploads", "tags/list", "_catalog"]);
    let path = match random.below(12) {
        0 | 1 => format!("/v2/{name}/blobs/{reference}"),
        2 | 3 => format!("/v2/{name}/manifests/{reference}"),
        4 | 5 => format!("/v2/{name}/blobs/uploads/"),
        6 => format!("/v2/{name}/blobs/uploads/{reference}"),
        7 => format!("/v2/{name}/tags/list"),
        8 => format!("/v2/{name}/referrers/{reference}"),
        9 => "/v2/_catalog".to_owned(),
        10 => format!("http://{name}@x:99999/v2/{reference}"),
        _ => "/token".to_owned(),
    };
    let queries = [
        "",
        "",
        "?",
        "?n=1&last=%ff",
        "?n=-1",
        "?n=18446744073709551616",
        "?digest=",
        "?digest=sha256:aa",
        "?mount=sha256:aa&from=kept",
        "?scope=repository:a:*&scope=:::",
        "?&&==&%",
        "?artifactType=%0d%0aX:y",
    ];
    let query = match random.below(4) {
        0 => format!("?digest={known}"),
        1 => format!("?mount={known}&from=kept"),
        _ => random.of(&queries).to_owned(),
    };
    let method =
        random.of(&["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "PRI", "x", "CONNECT"]);
    let version = random.of(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", ""]);
    let mut head = format!("{method} {path}{query} {version}\r\nConnection: close\r\n");
    let headers = [
        "Host: x",
        "Host: \u{1}",
        "Range: bytes=0-",
        "Range: bytes=-0",
        "Range: bytes=9-1",
        "Range: bytes=99999999999999999999-",
        "Range: bytes=0-0,2-2",
        "Content-Range: 0-4",
        "Content-Range: 5-18446744073709551615",
        "Content-Range: x",
        "Authorization: Basic Og==",
        "Authorization: Bearer",
        "Authorization: \u{ff}",
        "If-None-Match: *",
        "If-Range: x",
        "Expect: 100-continue",
        "Upgrade: h2c",
        "Transfer-Encoding: gzip",
        "Content-Type: ;;;",
        "Accept: \0",
        "Content-Length: 5",
        "Content-Length: 18446744073709551616",
        "Content-Length: -1",
    ];
    for _ in 0..random.below(4) {
        head.push_str(random.of(&headers));
        head.push_str("\r\n");
    }
    if random.below(2) == 0 {
        head.push_str(&format!("Content-Type: {MANIFEST}\r\n"));
    }
    let chunked = random.below(5) == 0;
    match chunked {
        true => head.push_str("Transfer-Encoding: chunked\r\n\r\n"),
        false => head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len())),
    }
    let mut request = head.into_bytes();
    if chunked {
        let size = random.of(&["5", "0", "ffffffffffffffff", "-1", "5;x=\"", "g"]);
        request.extend_from_slice(format!("{size}\r\n").as_bytes());
    }
    request.extend_from_slice(&body);
    if chunked {
        request.extend_from_slice(b"\r\n0\r\n\r\n");
    }
    // Half of them stay as they are; the others lose, gain or change bytes.
    for _ in 0..random.below(2) * (1 + random.below(4)) {
        let at = random.below(request.len().min(400));
        match random.below(4) {
            0 => request[at] = random.below(256) as u8,
            1 => drop(request.drain(at..at + random.below(request.len() - at).min(20))),
            2 => request.truncate(at.max(1)),
            _ => request.insert(at, *random.of(&[b"\r", b"\n", b"\0", b" ", b"%", b"\xff"]).first().unwrap()),
        }
    }
    request
}

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 16) % end.max(1) as u64).unwrap()
    }

    fn of<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}
