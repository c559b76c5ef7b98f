//! OCI layers to files and files to layers, with exact whiteouts and nothing outside the root touched.
#![deny(unsafe_code)]

mod ahead;
pub mod compression;
mod error;
mod event;
pub mod framing;
mod image;
mod layer;
mod limits;
mod options;
pub mod pack;
mod report;
mod rootfs;
mod staging;
mod tree;

pub use error::{Error, Result};
pub use event::{Event, Warning};
pub use image::unpack;
pub use limits::Limits;
pub use options::{Ownership, Sync, UnpackOptions};
pub use report::{LayerReport, Report};
pub use rootfs::Rootfs;
