//! `oci-image` by hand: what each command makes, prints and says when it fails, and what it leaves behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test program")]

#[path = "../peers/mod.rs"]
mod peers;

mod changed;
mod collected;
mod edited;
mod elsewhere;
mod interrupted;
mod layered;
mod listing;
mod random;
mod refused;
mod repacked;
mod scratch;
mod unpacked;
