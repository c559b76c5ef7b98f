//! OCI layers to files and files to layers, with exact whiteouts and nothing outside the root touched.
//!
//! ```
//! use oci_digest::content::{self, MemoryStore, Sink};
//! use oci_digest::{Descriptor, MediaType, digest_of};
//! use oci_unpack::pack::{LayerWriter, PackOptions};
//! use oci_unpack::{UnpackOptions, unpack};
//!
//! // An image of one layer, in memory; any other source of content does, a layout or a registry.
//! let store = MemoryStore::new();
//! let mut layer = LayerWriter::new(Vec::new(), &PackOptions::default())?;
//! layer.add_file("etc/motd", 0o644, 6, &b"hello\n"[..])?;
//! let (blob, layer) = layer.finish()?;
//! store.ingest(&layer.descriptor(), &blob.as_slice())?;
//! # let os = r#""architecture":"amd64","os":"linux""#;
//! let config = format!(r#"{{{os},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#, layer.diff_id);
//! # let add = |media_type, bytes: &[u8]| {
//! #     let digest = digest_of(Default::default(), bytes);
//! #     let descriptor = Descriptor::new(media_type, bytes.len() as u64, digest);
//! #     store.ingest(&descriptor, &bytes).map(|()| descriptor)
//! # };
//! # let config = add(MediaType::ImageConfig, config.as_bytes())?;
//! # let manifest = oci_digest::spec::ImageManifestBuilder::default()
//! #     .schema_version(2u32)
//! #     .media_type(MediaType::ImageManifest)
//! #     .config(config)
//! #     .layers(vec![layer.descriptor()])
//! #     .build()?
//! #     .to_string()?;
//! # let descriptor = add(MediaType::ImageManifest, manifest.as_bytes())?;
//! # store.publish(&descriptor, manifest.as_bytes(), &["latest"])?;
//!
//! # let folder = tempfile::tempdir()?;
//! # let destination = folder.path().join("rootfs");
//! let image = content::image(&store, "latest", None)?;
//! let options = UnpackOptions::default();
//! let report = unpack(&store, image.manifest.view(), image.config.view(), &destination, &options)?;
//! assert_eq!(report.entries(), 1);
//! assert_eq!(std::fs::read(destination.join("etc/motd"))?, b"hello\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`unpack`] takes a whole image to one folder, or to nothing; [`overlay`] to one folder per layer, to be mounted.
//! [`Rootfs`] applies layers one by one to a folder. [`pack`] makes layers, [`diff`] out of what changed. Below these
//! are [`compression`] and [`framing`], the bytes of a layer and its entries.
//!
//! # What becomes of an entry
//! Every entry ends up in the tree, or is told as a [`Warning`] by an [`Event`], or is an [`Error`]; [`Policies`] say
//! which for each kind of loss, and with [`UnpackOptions::strict`] there are no warnings but errors. The tree is a function of the image alone: not of the
//! umask, the time zone, the users of the host or what lies next to the destination. Names are resolved as in a chroot, and
//! nothing outside the root is created, changed, linked, removed or followed, whatever a layer holds. Directories that no
//! entry names are 0755, 0:0 and of time 0.
//!
//! # Features
//! - `xz`, `bzip2`: layers compressed so are decoded. No media type names them, but images have them.
//!
//! None by default. gzip and bzip2 are decoded in Rust; zstd and xz by their reference implementations in C, which are
//! built along.
//!
//! # Errors
//! One [`Error`] for the crate; [`Error::Layer`] says which layer, and its source what is wrong with it.
//! [`Error::is_not_found`], [`Error::is_retryable`], [`Error::is_no_space`] and [`Error::is_cancelled`] look through it.
//!
//! # Kernel and privileges
//! Linux. `openat2` (5.6) makes it faster; where it is missing or filtered the result is the same. `/proc` is needed
//! for the modes of devices and pipes and the extended attributes of links. As root, or wherever `CAP_CHOWN` is in
//! effect, owners and devices are those of the image; without, everything belongs to the caller, devices and the
//! extended attributes that need privileges are left out with a warning each, and all else is the same;
//! [`Ownership`] has two more ways for such callers, which record the owners in an attribute. Times beyond what a file
//! system keeps are clamped by kernels since 5.4. Nothing of the process is changed: not its umask, its working
//! directory or its signals. One thread reads ahead while the caller's writes;
//! several compress ([`pack::PackOptions::threads`]).
#![deny(unsafe_code)]

mod ahead;
pub mod compression;
pub mod diff;
mod error;
mod event;
pub mod framing;
mod image;
mod layer;
mod limits;
mod options;
pub mod overlay;
pub mod pack;
mod policies;
mod recorded;
mod removal;
mod report;
mod rootfs;
mod side;
mod staging;
mod tree;

pub use error::{Error, Result};
pub use event::{Event, Warning};
pub use image::unpack;
pub use limits::Limits;
pub use options::{Devices, OverlayFormat, Ownership, SyncPolicy, UnpackOptions};
pub use policies::{OnLoss, Policies};
pub use removal::remove_tree;
pub use report::{LayerReport, Report};
pub use rootfs::Rootfs;
