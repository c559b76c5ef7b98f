//! The embeddable registry, spoken to in plain HTTP over a socket.
#![cfg(feature = "registry")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod blobs;
mod connections;
mod http;
mod lists;
mod manifests;
mod peers;
mod repositories;
mod rubbish;
mod uploads;
