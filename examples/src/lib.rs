//! What the example programs share.
#![forbid(unsafe_code)]

mod access;
mod caller;
mod cancellable;
mod decompress;
mod failure;
mod image_name;
mod images;
mod interrupt;
mod progress;
mod shared_blobs;
mod source_date;
mod staged;
mod text;

pub use access::{Access, UserPassword};
pub use caller::{not_run, user_namespace};
pub use cancellable::Cancellable;
pub use decompress::decompress;
pub use failure::Failure;
pub use image_name::{ImageName, split_name};
pub use images::{is_complete, platform_of, pull};
pub use interrupt::{end, interruption};
pub use progress::{Counted, Progress};
pub use shared_blobs::{SharedBlobs, layout_options};
pub use source_date::{rfc3339, source_date, source_date_epoch};
pub use staged::Staged;
pub use text::{human_size, print_line, printable, table};

/// The project's README: its examples are compiled with this crate's tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
