//! The smallest HTTP client that shows everything: one socket, bytes in, bytes out.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use oci_client::registry::{Registry, Server};
use oci_digest::{Algorithm, digest_of};
use serde_json::{Value, json};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The one value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values =
            self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        let first = values.next();
        assert!(values.next().is_none(), "{name} came twice");
        first
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The status and the code of an error body, which must have the spec's form.
    pub(crate) fn error(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/json"));
        let errors = self.json();
        let error = &errors["errors"][0];
        assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()), "{errors}");
        (self.status, error["code"].as_str().unwrap().to_owned())
    }
}

pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn to(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send_head(line, headers, Some(body.len()));
        self.0.get_mut().write_all(body).unwrap();
        self.receive(line.starts_with("HEAD "))
    }

    pub(crate) fn send_head(&mut self, line: &str, headers: &[(&str, &str)], length: Option<usize>) {
        let mut head = format!("{line} HTTP/1.1\r\nHost: {}\r\n", self.0.get_ref().peer_addr().unwrap());
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        if let Some(length) = length {
            write!(head, "Content-Length: {length}\r\n").unwrap();
        }
        head.push_str("\r\n");
        self.write(head.as_bytes());
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    pub(crate) fn read_exact(&mut self, bytes: &mut [u8]) {
        self.0.read_exact(bytes).unwrap();
    }

    pub(crate) fn receive(&mut self, is_head: bool) -> Answer {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {line:?}")).parse().unwrap();
        let mut answer = Answer { status, headers: Vec::new(), body: Vec::new() };
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            match line.trim_end().split_once(": ") {
                Some((name, value)) => answer.headers.push((name.to_owned(), value.to_owned())),
                None if line == "\r\n" => break,
                None => panic!("{line:?} is no header"),
            }
        }
        if !is_head && ![204, 304].contains(&status) {
            let length = answer.header("content-length").expect("a length").parse().unwrap();
            answer.body = vec![0; length];
            self.0.read_exact(&mut answer.body).unwrap();
        }
        answer
    }

    /// Whether the server has closed the connection.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.0.fill_buf().is_ok_and(<[u8]>::is_empty)
    }
}

pub(crate) fn start() -> Server {
    Registry::builder().start().unwrap()
}

pub(crate) fn send(server: &Server, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    Connection::to(server.addr()).send(line, headers, body)
}

pub(crate) fn get(server: &Server, path: &str) -> Answer {
    send(server, &format!("GET {path}"), &[], b"")
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    digest_of(Algorithm::Sha256, bytes).to_string()
}

/// Pushes a blob in one request.
pub(crate) fn push_blob(server: &Server, name: &str, bytes: &[u8]) -> String {
    let digest = sha256(bytes);
    let answer = send(server, &format!("POST /v2/{name}/blobs/uploads/?digest={digest}"), &[], bytes);
    assert_eq!(answer.status, 201);
    digest
}

pub(crate) fn push_manifest(
    server: &Server,
    name: &str,
    reference: &str,
    media_type: &str,
    bytes: &[u8],
) -> Answer {
    send(server, &format!("PUT /v2/{name}/manifests/{reference}"), &[("Content-Type", media_type)], bytes)
}

/// A descriptor of some bytes.
pub(crate) fn described(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": sha256(bytes), "size": bytes.len()})
}

/// A manifest with an empty config and one layer, `layer`.
pub(crate) fn manifest(layer: &[u8]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [described("application/octet-stream", layer)],
    })
}

/// Pushes a manifest with its blobs under a tag; its bytes and digest.
pub(crate) fn push_image(server: &Server, name: &str, tag: &str, layer: &[u8]) -> (Vec<u8>, String) {
    push_blob(server, name, b"{}");
    push_blob(server, name, layer);
    let bytes = manifest(layer).to_string().into_bytes();
    assert_eq!(push_manifest(server, name, tag, MANIFEST, &bytes).status, 201);
    let digest = sha256(&bytes);
    (bytes, digest)
}
