//! Memory stays bounded whatever goes through: 256 MiB pushed and pulled in a child process of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use oci_client::blocking::Client;
use oci_digest::content::Content;
use oci_digest::{Descriptor, MediaType};
use support::head;

const SIZE: u64 = 256 << 20;
/// Of that many bytes 0x5a, since hashing them takes long without optimisation.
const DIGEST: &str = "sha256:d4e0d5a6082e9536f1ff4fbc69855d8b3e458328f27af8d72cb104d8e81b5bc2";
const CHILD: &str = "OCI_CLIENT_MEMORY_TEST";

/// Bytes that are made as they are read.
struct Generated;

impl Content for Generated {
    fn open(&self, offset: u64) -> oci_digest::Result<Box<dyn Read + Send + '_>> {
        assert_eq!(offset, 0);
        Ok(Box::new(io::repeat(0x5a).take(SIZE)))
    }
}

#[test]
fn stays_bounded() {
    if let Some(port) = std::env::var_os(CHILD) {
        return child(port.to_str().unwrap());
    }
    let port = serve();
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stays_bounded", "--nocapture"])
        .env(CHILD, port.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{text}");
    let line = text.lines().find_map(|line| line.split("PEAK ").nth(1)).expect("the child reports");
    let kib: u64 = line.split(' ').next().unwrap().parse().unwrap();
    assert!(kib < 40 * 1024, "peak of {kib} KiB");
}

fn child(port: &str) {
    let descriptor =
        Descriptor::new(MediaType::ImageLayer, SIZE, DIGEST.parse::<oci_digest::Digest>().unwrap());
    let client = Client::new().unwrap();
    let repository = client.registry(&format!("127.0.0.1:{port}")).unwrap().repository("big").unwrap();
    repository.push_blob(&descriptor, &Generated).unwrap();
    let read = io::copy(&mut repository.blob_from(&descriptor, 0).unwrap(), &mut io::sink()).unwrap();
    assert_eq!(read, SIZE);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    eprintln!("PEAK {}", peak.trim());
}

/// A server in the parent, which takes and gives the bytes without keeping them.
fn serve() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || while request(stream.as_ref().unwrap()).is_some() {});
        }
    });
    port
}

fn request(mut stream: &TcpStream) -> Option<()> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        text.push(byte[0]);
    }
    let mut out = stream.try_clone().ok()?;
    match text.first()? {
        b'G' => {
            head(&mut out, "200 OK", &[], SIZE);
            io::copy(&mut io::repeat(0x5a).take(SIZE), &mut out).ok()?;
        }
        b'H' => head(&mut out, "200 OK", &[], SIZE),
        _ if text.starts_with(b"PUT") => {
            io::copy(&mut stream.take(SIZE), &mut io::sink()).ok()?;
            head(&mut out, "201 Created", &[], 0);
        }
        _ => head(&mut out, "202 Accepted", &[("Location", "/upload")], 0),
    }
    out.flush().ok()
}
