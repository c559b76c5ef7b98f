//! An embeddable registry over any store, for tests and offline use (feature `registry`).
//!
//! It speaks the OCI distribution spec 1.1: blobs with ranges, uploads in one piece or in chunks,
//! cross-repository mounts, manifests, tags, referrers, the catalog and deletes. Content lives in a
//! [`Store`](oci_digest::content::Store) per repository, in memory unless told otherwise: see [`Repositories`].
//!
//! ```
//! use std::io::{Read, Write};
//! use oci_client::registry::Registry;
//!
//! let server = Registry::builder().start()?; // 127.0.0.1 and a port that the system chose
//!
//! let mut stream = std::net::TcpStream::connect(server.addr())?;
//! let blob = "POST /v2/demo/blobs/uploads/?digest=\
//!     sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 HTTP/1.1\r\n\
//!     Host: registry\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
//! stream.write_all(blob.as_bytes())?;
//! let mut answer = String::new();
//! stream.read_to_string(&mut answer)?;
//! assert!(answer.starts_with("HTTP/1.1 201 Created"));
//!
//! // The same content, without HTTP:
//! assert_eq!(server.registry().repositories().names()?, ["demo"]);
//! server.shutdown(); // or drop it
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In an async program [`Registry::serve`] takes a listener instead of a thread of its own.
//!
//! # What it decides where the spec leaves room
//! - A manifest's config and layers must be in its repository (`MANIFEST_BLOB_UNKNOWN`, 404), with the sizes that
//!   it says (`SIZE_INVALID`); an index may be sparse. [`Builder::missing_content`] changes it.
//! - A PUT by digest publishes: whether an index that names the manifest will follow cannot be known. In a served
//!   layout the children of an index stand in `index.json` without a tag.
//! - Manifests are those of OCI and docker schema 2. One that could be read as manifest and index both is refused.
//! - An upload whose bytes do not have the promised digest ends; one whose connection broke goes on where it was.
//! - Every size is bounded, and memory with it: manifests by [`Builder::manifest_limit`], a waiting upload by
//!   [`Builder::spool`], a blob on its way out by 512 KiB.
//! - Addresses in answers are relative to the host.
//! - Only HTTP/1 in the clear is spoken: it belongs on loopback, or behind something that speaks TLS.

mod auth;
mod blobs;
mod body;
mod builder;
mod call;
mod documents;
mod lists;
mod log;
mod manifests;
mod names;
mod random;
mod repositories;
mod response;
mod router;
mod serve;
mod server;
mod shared;
mod spool;
mod uploads;

use std::sync::Arc;

pub use builder::Builder;
pub use log::{Record, RequestLog};
pub use repositories::{FixedRepositories, MemoryRepositories, OpenedRepositories, Repositories};
pub use server::Server;
pub use shared::MissingContent;

/// A registry: repositories, and what is shared by those who talk to it. Clones are handles of the same.
#[derive(Debug, Clone)]
pub struct Registry {
    shared: Arc<shared::Shared>,
}

impl Registry {
    /// Settings to change before it starts.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The repositories that are served, to put content in or look at it without HTTP.
    pub fn repositories(&self) -> &dyn Repositories {
        &*self.shared.repositories
    }

    /// Serves on a listener of the caller's tokio runtime (which needs its time and I/O drivers) until the future
    /// is dropped, which ends all connections. It does not end by itself.
    pub async fn serve(&self, listener: tokio::net::TcpListener) {
        serve::serve(Arc::clone(&self.shared), listener).await;
    }
}
