//! What the example programs share.
#![forbid(unsafe_code)]

mod access;
mod caller;
mod failure;
mod images;

pub use access::{Access, UserPassword};
pub use caller::{not_run, user_namespace};
pub use failure::Failure;
pub use images::{is_complete, pull};

/// The project's README: its examples are compiled with this crate's tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
