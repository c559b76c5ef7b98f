use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use oci_client::registry::{Registry, RequestLog};

use crate::http::{Connection, MANIFEST, get, manifest, push_blob, sha256, start};

#[test]
fn many_requests_on_one_connection() {
    let server = start();
    let digest = push_blob(&server, "a", b"hello");
    let mut connection = Connection::to(server.addr());
    for _ in 0..100 {
        assert_eq!(connection.send(&format!("GET /v2/a/blobs/{digest}"), &[], b"").body, b"hello");
        assert_eq!(connection.send(&format!("HEAD /v2/a/blobs/{digest}"), &[], b"").status, 200);
        assert_eq!(connection.send("GET /v2/a/manifests/x", &[], b"").status, 404);
        assert_eq!(connection.send("PUT /v2/a/manifests/x", &[], b"{}").status, 400);
    }
}

#[test]
fn a_thousand_at_once() {
    // Each holds two descriptors in this process.
    let count = if open_files() >= 2500 { 1000 } else { 200 };
    let log = RequestLog::new();
    let server = Registry::builder().observer(log.observer()).start().unwrap();
    push_blob(&server, "a", b"{}");
    log.take();
    let mut connections: Vec<_> = (0..count).map(|_| Connection::to(server.addr())).collect();
    for (i, connection) in connections.iter_mut().enumerate() {
        let line = format!("POST /v2/a/blobs/uploads/?digest={}", sha256(&i.to_le_bytes()));
        connection.send_head(&line, &[], Some(8));
    }
    // All are open and none is answered: now the bodies.
    for (i, connection) in connections.iter_mut().enumerate() {
        connection.write(&i.to_le_bytes());
    }
    for connection in &mut connections {
        assert_eq!(connection.receive(false).status, 201);
    }
    for (i, connection) in connections.iter_mut().enumerate() {
        connection.send_head(&format!("GET /v2/a/blobs/{}", sha256(&i.to_le_bytes())), &[], None);
    }
    for (i, connection) in connections.iter_mut().enumerate() {
        assert_eq!(connection.receive(false).body, i.to_le_bytes());
    }
    assert_eq!(log.records().len(), 2 * count);
}

fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    line.split_whitespace().nth(3).and_then(|n| n.parse().ok()).unwrap_or(usize::MAX)
}

/// Clients that take a blob slowly hold no thread: others are served meanwhile.
#[test]
fn slow_readers_hold_nobody_up() {
    let server = start();
    let large = vec![7u8; 4 << 20];
    let digest = push_blob(&server, "a", &large);
    let mut slow: Vec<_> = (0..80).map(|_| Connection::to(server.addr())).collect();
    for connection in &mut slow {
        connection.send_head(&format!("GET /v2/a/blobs/{digest}"), &[], None);
    }
    assert!(get(&server, &format!("/v2/a/blobs/{digest}")).body == large);
    for connection in &mut slow {
        assert!(connection.receive(false).body == large);
    }
}

#[test]
fn http_1_0_ends_with_the_answer() {
    let server = start();
    let digest = push_blob(&server, "a", b"hello");
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.write_all(format!("GET /v2/a/blobs/{digest} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.0 200 OK") && text.ends_with("\r\n\r\nhello"), "{text}");
}

#[test]
fn expect_100_continue() {
    let server = start();
    let mut connection = Connection::to(server.addr());
    let line = format!("POST /v2/a/blobs/uploads/?digest={}", sha256(b"hello"));
    connection.send_head(&line, &[("Expect", "100-continue")], Some(5));
    let mut interim = [0; 25];
    connection.read_exact(&mut interim);
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write(b"hello");
    assert_eq!(connection.receive(false).status, 201);
}

#[test]
fn garbage_and_silence() {
    let server = Registry::builder().idle_timeout(Duration::from_secs(2)).start().unwrap();
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.write_all(b"\x16\x03\x01 no http at all\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400"));

    let mut silent = Connection::to(server.addr());
    assert!(silent.is_at_end());
    let mut half = Connection::to(server.addr());
    half.send_head("PUT /v2/a/manifests/x", &[("Content-Type", MANIFEST)], Some(1000));
    half.write(&manifest(b"x").to_string().as_bytes()[..10]);
    assert_eq!(half.receive(false).error().0, 408);
    assert_eq!(get(&server, "/v2/").status, 200);
}

#[test]
fn shutdown_ends_everything() {
    let server = start();
    let addr = server.addr();
    let mut idle = Connection::to(addr);
    assert_eq!(idle.send("GET /v2/", &[], b"").status, 200);
    let mut busy = Connection::to(addr);
    busy.send_head("POST /v2/a/blobs/uploads/?digest=x", &[], Some(1000));
    server.shutdown();
    assert!(idle.is_at_end());
    assert!(TcpStream::connect(addr).is_err());
    // The port is free at once.
    let again = Registry::builder().bind(addr).unwrap();
    assert_eq!((again.addr(), again.url()), (addr, format!("http://{addr}")));
}

#[test]
fn served_inside_an_async_program() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let registry = Registry::builder().build();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let addr = listener.local_addr().unwrap();
    let service = registry.clone();
    let task = runtime.spawn(async move { service.serve(listener).await });
    let mut connection = Connection::to(addr);
    let line = format!("POST /v2/a/blobs/uploads/?digest={}", sha256(b"x"));
    assert_eq!(connection.send(&line, &[], b"x").status, 201);
    assert_eq!(registry.repositories().names().unwrap(), ["a"]);
    task.abort();
    assert!(runtime.block_on(task).unwrap_err().is_cancelled());
    assert!(connection.is_at_end());
}

#[test]
fn servers_in_a_row_leave_no_threads() {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    // Other tests run beside this one, so only a leak of one thread per server would show.
    let before = threads();
    for _ in 0..200 {
        let server = start();
        push_blob(&server, "a", b"x");
    }
    assert!(threads() < before + 150, "{before} threads became {}", threads());
}
