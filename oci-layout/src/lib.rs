//! An OCI image layout on disk: blobs, index and tags, safe with many processes and at any instant of a crash.
//!
//! ```
//! use std::io::Read;
//! use oci_digest::MediaType;
//! use oci_layout::ImageLayout;
//!
//! # let scratch = tempfile::tempdir()?;
//! # let folder = scratch.path().join("images");
//! let layout = ImageLayout::open_or_create(&folder)?;
//! let manifest = layout.put(MediaType::ImageManifest, &br#"{"schemaVersion":2}"#[..])?;
//! layout.tag(&manifest, "latest")?;
//!
//! let found = layout.resolve("latest")?;
//! let mut text = String::new();
//! layout.get(&found)?.read_to_string(&mut text)?; // ends well only if size and digest fit
//! assert_eq!(text, r#"{"schemaVersion":2}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`ImageLayout`] implements the content traits of [`oci_digest::content`], so that whole images are copied into it
//! and out of it by `oci_digest::content::copy`.
//!
//! [`archive`] reads and writes the same images in one file, as oci-archive and docker-archive, and in one flat folder.
//! [`edit`] changes images, indexes and artifacts, in a layout or any other store.
//!
//! # What holds
//! - A blob has its name only when all of its bytes were written and size and digest fit. It is written unnamed
//!   (O_TMPFILE) or inside `.oci-layout`, and linked or renamed into place with mode 0444.
//! - Blobs are on the disk before index.json names them ([`SyncPolicy`]); index.json is replaced as a whole.
//! - index.json is edited as the JSON it is: fields that nobody knows, and the order of fields, survive.
//! - Any number of threads and processes may write. The lock is an flock(2) on `.oci-layout/lock`, which is never
//!   unlinked: shared while a blob gets its name, exclusive while index.json is edited. Programs that do not take it,
//!   as skopeo and umoci, are noticed when they change index.json during an edit, and the edit is redone on what they
//!   wrote; what they overwrite later without reading, nobody can save.
//! - Readers take no lock and never see half a change.
//! - A blob from 1 MiB on whose reader was cut off, or whose process was killed, is kept in `.oci-layout/partial` and
//!   gone on from by the next [`ImageLayout::ingest`] of the same digest. Every byte of it is hashed again.
//! - [`ImageLayout::gc`] removes what index.json does not lead to, beside running writers: what they put or find
//!   present is spared for a grace age. What it does not know it leaves alone.
//! - [`ImageLayout::fsck`] checks a layout and changes nothing; [`ImageLayout::repair`] moves what is damaged to
//!   `.oci-layout/quarantine` and fetches it, and what is missing, from any source.
//! - No symbolic link below the layout's folder is followed, for reading or writing, and no special file is opened.
//!
//! # Features
//! None.
//!
//! # Errors
//! One [`Error`] for the crate, which names the file, digest or JSON pointer. Through the content traits it arrives as
//! an [`oci_digest::Error`]. [`Error::is_not_found`] and [`Error::is_retryable`] answer the two questions callers ask.
//!
//! # Kernel and privileges
//! Linux. O_TMPFILE and reflinks are used where the file system has them. No privileges: whoever may read the folder
//! may read the layout, and whoever may write it may write the layout.
#![forbid(unsafe_code)]

pub mod archive;
mod blobs;
mod content;
mod decompress;
pub mod edit;
mod error;
pub mod fsck;
pub mod gc;
mod index;
mod layout;
mod lock;
mod options;
mod references;
mod root;

pub use blobs::BlobWriter;
pub use decompress::Decompress;
pub use error::{Error, Result};
pub use layout::ImageLayout;
pub use options::{LayoutOptions, SyncPolicy};
