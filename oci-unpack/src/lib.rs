//! OCI layers to files and files to layers, with exact whiteouts and nothing outside the root touched.
#![deny(unsafe_code)]

pub mod compression;
mod error;
mod event;
pub mod framing;
pub mod pack;

pub use error::{Error, Result};
pub use event::{Event, Warning};
