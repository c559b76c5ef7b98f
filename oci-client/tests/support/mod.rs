//! A server that answers by a script, to be as bad as a test wants.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use oci_client::blocking::{Client, Repository};
use oci_client::{ClientOptions, Credentials};
use oci_digest::{Algorithm, Descriptor, MediaType, digest_of};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.target.contains(part)
    }
}

/// What to do with a request: write to the stream; `true` keeps the connection.
pub type Script = dyn Fn(&Seen, &mut TcpStream) -> bool + Send + Sync;

/// A scripted server on 127.0.0.1.
pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub fn start(script: impl Fn(&Seen, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let script: Arc<Script> = Arc::new(script);
        let log = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, log) = (script.clone(), log.clone());
                thread::spawn(move || serve(stream.unwrap(), &*script, &log));
            }
        });
        Self { port, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn count(&self, method: &str, part: &str) -> usize {
        self.seen().iter().filter(|s| s.is(method, part)).count()
    }

    pub fn repository(&self, options: ClientOptions) -> Repository {
        Client::with(options).unwrap().repository(&self.reference()).unwrap()
    }

    pub fn reference(&self) -> oci_client::Reference {
        format!("127.0.0.1:{}/a/b:t", self.port).parse().unwrap()
    }

    pub fn alice(&self) -> ClientOptions {
        let host = format!("127.0.0.1:{}", self.port);
        quick().credentials(&host, Credentials::basic("alice", "s3cret")).unwrap()
    }
}

/// Options with which a test that must fail fails soon.
pub fn quick() -> ClientOptions {
    ClientOptions::default().idle_timeout(Duration::from_millis(400))
}

fn serve(stream: TcpStream, script: &Script, log: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(seen) = read(&mut reader) {
        log.lock().unwrap().push(seen.clone());
        if !script(&seen, &mut stream) {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut seen = Seen { method, target, headers, body: Vec::new() };
    let length: u64 = seen.header("content-length").map_or(0, |l| l.parse().unwrap());
    reader.take(length).read_to_end(&mut seen.body).ok()?;
    // A request that broke off was none.
    (seen.body.len() as u64 == length).then_some(seen)
}

/// Answers with a whole body.
pub fn answer(stream: &mut TcpStream, status: &str, headers: &[(&str, &str)], body: &[u8]) -> bool {
    head(stream, status, headers, body.len() as u64);
    stream.write_all(body).is_ok()
}

/// The head alone, announcing a length.
pub fn head(stream: &mut TcpStream, status: &str, headers: &[(&str, &str)], length: u64) {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    let _ = stream.write_all((text + "\r\n").as_bytes());
}

/// Closes with a reset instead of a proper end.
pub fn reset(stream: &TcpStream) -> bool {
    // What the client sees is an end in the middle of a body all the same.
    let _ = stream.shutdown(Shutdown::Both);
    false
}

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub fn manifest_bytes() -> Vec<u8> {
    format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","layers":[]}}"#).into_bytes()
}

/// Bytes that are nowhere alike.
pub fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..size).map(|_| next()).collect()
}

pub fn describe(bytes: &[u8]) -> Descriptor {
    Descriptor::new(MediaType::ImageLayer, bytes.len() as u64, digest_of(Algorithm::Sha256, bytes))
}

/// The first byte of a closed range, if the request has one; panics for an open one.
pub fn range_start(seen: &Seen) -> Option<usize> {
    let range = seen.header("range")?.strip_prefix("bytes=").unwrap();
    let (first, last) = range.split_once('-').unwrap();
    assert!(!last.is_empty(), "an open range");
    Some(first.parse().unwrap())
}
