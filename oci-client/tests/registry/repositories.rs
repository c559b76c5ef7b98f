use std::io::Read;
use std::sync::Arc;

use oci_client::registry::{FixedRepositories, OpenedRepositories, Registry, RequestLog};
use oci_digest::content::{Content, MemoryStore, Sink, Source, Store};
use oci_digest::{Descriptor, Digest, Error, Result};
use serde_json::json;

use crate::http::{get, push_blob, push_image, send, sha256, start};

#[test]
fn a_fixed_store_is_served_and_filled() {
    let store = Arc::new(MemoryStore::new());
    let server = Registry::builder()
        .repositories(FixedRepositories::new().with("team/app", store.clone()))
        .start()
        .unwrap();
    let (bytes, digest) = push_image(&server, "team/app", "v1", b"layer");
    let descriptor = store.resolve("v1").unwrap();
    assert_eq!((descriptor.digest().as_ref(), descriptor.size()), (digest.as_str(), bytes.len() as u64));
    assert_eq!(get(&server, "/v2/_catalog").json(), json!({"repositories": ["team/app"]}));
    let answer = send(&server, &format!("POST /v2/other/blobs/uploads/?digest={}", sha256(b"x")), &[], b"x");
    assert_eq!(answer.error(), (404, "NAME_UNKNOWN".to_owned()));
}

#[test]
fn stores_opened_by_a_closure() {
    let stores = OpenedRepositories::new(|name, create| {
        let is_there = create && name.starts_with("team/");
        Ok(is_there.then(|| Arc::new(MemoryStore::new()) as Arc<dyn Store>))
    });
    let server = Registry::builder().repositories(stores.names(["team/old".to_owned()])).start().unwrap();
    assert_eq!(get(&server, "/v2/team/new/tags/list").status, 404);
    let digest = push_blob(&server, "team/new", b"x");
    assert_eq!(get(&server, &format!("/v2/team/new/blobs/{digest}")).body, b"x");
    assert_eq!(get(&server, "/v2/_catalog").json()["repositories"], json!(["team/new", "team/old"]));
    let answer = send(&server, &format!("POST /v2/my/blobs/uploads/?digest={digest}"), &[], b"x");
    assert_eq!(answer.error(), (404, "NAME_UNKNOWN".to_owned()));
}

#[test]
fn content_without_http() {
    let server = start();
    let digest = push_blob(&server, "a", b"hello");
    let store = server.registry().repositories().open("a").unwrap().unwrap();
    let mut text = String::new();
    let descriptor = store.resolve(&digest).unwrap();
    store.open(&descriptor, 0).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

/// A store whose blobs are shorter than it says, and that fails in every other way.
struct Broken;

impl Source for Broken {
    fn resolve(&self, name: &str) -> Result<Descriptor> {
        let digest: Digest = name.parse().map_err(|_| Error::not_found(name))?;
        Ok(Descriptor::new("application/octet-stream".into(), 1_000_000, digest))
    }
    fn open(&self, _: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(std::io::repeat(7).take(600_000 - offset.min(600_000))))
    }
    fn referrers(&self, _: &Digest, _: Option<&str>) -> Result<Vec<Descriptor>> {
        Err(Error::io("reading /secret/path", std::io::ErrorKind::TimedOut.into()))
    }
}

impl Sink for Broken {
    fn has(&self, _: &Descriptor) -> Result<bool> {
        Ok(false)
    }
    fn ingest(&self, _: &Descriptor, _: &dyn Content) -> Result<()> {
        Err(Error::io("writing /secret/path", std::io::ErrorKind::StorageFull.into()))
    }
    fn publish(&self, _: &Descriptor, _: &[u8], _: &[&str]) -> Result<()> {
        Err(Error::Unsupported { operation: "publish" })
    }
}

impl Store for Broken {
    fn tags(&self) -> Result<Vec<String>> {
        panic!("a store's own mistake")
    }
    fn untag(&self, _: &str) -> Result<bool> {
        Err(Error::Unsupported { operation: "untag" })
    }
    fn remove(&self, _: &Digest) -> Result<bool> {
        Err(Error::Unsupported { operation: "remove" })
    }
}

#[test]
fn a_failing_store_fails_one_request_and_tells_only_the_observer() {
    let log = RequestLog::new();
    let server = Registry::builder()
        .repositories(FixedRepositories::new().with("a", Arc::new(Broken)))
        .observer(log.observer())
        .start()
        .unwrap();
    let digest = sha256(b"x");
    for (line, body, status, code, told) in [
        (format!("POST /v2/a/blobs/uploads/?digest={digest}"), &b"x"[..], 500, "UNKNOWN", "/secret/path"),
        (format!("GET /v2/a/referrers/{digest}"), b"", 503, "UNKNOWN", "/secret/path"),
        ("GET /v2/a/tags/list".to_owned(), b"", 500, "UNKNOWN", "panicked"),
        (format!("DELETE /v2/a/blobs/{digest}"), b"", 405, "UNSUPPORTED", ""),
        ("DELETE /v2/a/manifests/x".to_owned(), b"", 405, "UNSUPPORTED", ""),
    ] {
        let answer = send(&server, &line, &[], body);
        assert_eq!(answer.error(), (status, code.to_owned()), "{line}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "{line}");
        let failure = log.take()[0].failure.clone().unwrap_or_default();
        assert!(failure.contains(told), "{line}: {failure}");
    }
    // A blob that ends too early ends the connection, so that nobody takes it for whole.
    let mut stream = std::net::TcpStream::connect(server.addr()).unwrap();
    let request = format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    // The end may come as a reset.
    drop(stream.read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("content-length: 1000000"), "{text:.300}");
    assert!(bytes.len() < 1_000_000);
}
