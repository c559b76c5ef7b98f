//! The blocking repository keeps the contract of the content traits, against the embeddable registry.
#![cfg(feature = "registry")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use oci_client::blocking::Client;
use oci_client::registry::{Registry, Server};
use oci_client::{ClientOptions, Credentials};
use oci_digest::content::{Sink, Source, SourceExt};
use oci_digest::{Algorithm, Descriptor, MediaType, digest_of};

#[test]
fn keeps_the_contract() {
    let server = Registry::builder().start().unwrap();
    suite(&Client::new().unwrap(), &server);
}

#[test]
fn keeps_the_contract_with_tokens() {
    let server = Registry::builder()
        .user("alice", "s3cret")
        .tokens(std::time::Duration::from_secs(60))
        .start()
        .unwrap();
    let options =
        ClientOptions::default().credentials(&server.host(), Credentials::basic("alice", "s3cret")).unwrap();
    suite(&Client::with(options).unwrap(), &server);
}

/// The suite, with a new repository of the server for each check.
fn suite(client: &Client, server: &Server) {
    let registry = client.registry(&server.host()).unwrap();
    let next = AtomicU32::new(0);
    let make = || {
        let n = next.fetch_add(1, Ordering::Relaxed);
        Ok(registry.repository(&format!("conformance/r{n}"))?)
    };
    oci_digest::conformance::sink(make).unwrap();
    oci_digest::conformance::exchange(make).unwrap();
}

#[test]
fn wrong_and_missing_credentials_are_told_apart() {
    let server = Registry::builder().user("alice", "s3cret").start().unwrap();
    for (credentials, reason) in [
        (Credentials::anonymous(), "user and password"),
        (Credentials::basic("alice", "wrong"), "does not accept"),
    ] {
        let options = ClientOptions::default().credentials(&server.host(), credentials).unwrap();
        let repository =
            Client::with(options).unwrap().registry(&server.host()).unwrap().repository("a").unwrap();
        let error = repository.resolve("latest").unwrap_err();
        assert!(error.is_unauthorized(), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
}

#[test]
fn a_blob_of_the_same_registry_is_mounted() {
    let server = Registry::builder().start().unwrap();
    let client = Client::new().unwrap();
    let registry = client.registry(&server.host()).unwrap();
    let (from, to) = (registry.repository("from").unwrap(), registry.repository("to").unwrap());
    let bytes: &[u8] = b"a layer";
    let descriptor =
        Descriptor::new(MediaType::ImageLayer, bytes.len() as u64, digest_of(Algorithm::Sha256, bytes));
    from.ingest(&descriptor, &bytes).unwrap();
    assert!(!to.has(&descriptor).unwrap());
    assert!(to.adopt(&descriptor, &from.location(&descriptor).unwrap()).unwrap());
    assert_eq!(to.read(&descriptor, 100).unwrap(), bytes);
    let elsewhere =
        oci_digest::content::Location::Registry { host: "other:1".into(), repository: "from".into() };
    assert!(!to.adopt(&descriptor, &elsewhere).unwrap());
}

#[test]
fn many_threads_share_a_client() {
    let server = Registry::builder().start().unwrap();
    let client = Client::new().unwrap();
    let repository = client.registry(&server.host()).unwrap().repository("shared").unwrap();
    thread::scope(|scope| {
        for n in 0..8_u32 {
            let repository = repository.clone();
            scope.spawn(move || {
                for m in 0..10_u32 {
                    let bytes = format!("{n} {m} ").repeat(5000).into_bytes();
                    let descriptor = Descriptor::new(
                        MediaType::ImageLayer,
                        bytes.len() as u64,
                        digest_of(Algorithm::Sha256, &bytes),
                    );
                    repository.push_blob(&descriptor, &bytes.as_slice()).unwrap();
                    assert_eq!(repository.read(&descriptor, 1 << 20).unwrap(), bytes);
                }
            });
        }
    });
}

/// Blocking calls on threads that run an async runtime's tasks hold these up, but do not panic.
#[tokio::test]
async fn works_inside_a_runtime() {
    let server = Registry::builder().start().unwrap();
    let client = Client::new().unwrap();
    let repository = client.registry(&server.host()).unwrap().repository("inside").unwrap();
    let bytes: &[u8] = b"hello";
    let descriptor = Descriptor::new(MediaType::ImageLayer, 5, digest_of(Algorithm::Sha256, bytes));
    repository.push_blob(&descriptor, &bytes).unwrap();
    let blocking = repository.clone();
    let wanted = descriptor.clone();
    tokio::task::spawn_blocking(move || assert_eq!(blocking.read(&wanted, 10).unwrap(), b"hello"))
        .await
        .unwrap();
    drop((repository, client));
}

#[tokio::test]
async fn the_async_core_pushes_and_pulls() {
    let server = Registry::builder().start().unwrap();
    let client = oci_client::Client::new().unwrap();
    let repository = client.registry(&server.host()).unwrap().repository("core").unwrap();
    let bytes: &'static [u8] = b"a blob from a thread";
    let descriptor =
        Descriptor::new(MediaType::ImageLayer, bytes.len() as u64, digest_of(Algorithm::Sha256, bytes));
    repository.push_blob(&descriptor, bytes).await.unwrap();
    let mut reader = repository.blob(&descriptor).await.unwrap();
    let mut read = Vec::new();
    while let Some(chunk) = reader.chunk().await.unwrap() {
        read.extend_from_slice(&chunk);
    }
    assert_eq!(read, bytes);
    repository.delete_blob(descriptor.digest()).await.unwrap();
    assert!(!repository.has_blob(&descriptor).await.unwrap());
    let index =
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let digest = repository.push_manifest("v1", &MediaType::ImageIndex, &index[..]).await.unwrap();
    assert_eq!(repository.resolve("v1").await.unwrap().digest(), &digest);
    assert_eq!(repository.manifest(digest.as_ref()).await.unwrap().bytes(), index);
    assert_eq!(repository.tags().await.unwrap(), ["v1"]);
    repository.delete_manifest("v1").await.unwrap();
    assert!(repository.resolve("v1").await.unwrap_err().is_not_found());
}
