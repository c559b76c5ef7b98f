//! The protocol without I/O: what is written into requests and read out of answers.
//!
//! Everything here takes text that a server chose and must neither panic nor grow with it.

pub(crate) mod authority;
pub(crate) mod challenge;
pub(crate) mod clean;
pub(crate) mod date;
pub(crate) mod endpoint;
pub(crate) mod error_body;
pub(crate) mod link;
pub(crate) mod media;
pub(crate) mod range;
pub(crate) mod token;
pub(crate) mod url;
