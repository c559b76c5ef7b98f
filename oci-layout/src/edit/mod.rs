//! Edits of images, indexes and artifacts, in any store.
//!
//! An edit is read from a [`Source`](oci_digest::content::Source), changed in memory, and committed to a
//! [`Sink`](oci_digest::content::Sink) under tags. Blobs that come with it, as a new layer, are put there before.
//!
//! ```
//! use oci_digest::{MediaType, platform};
//! use oci_layout::ImageLayout;
//! use oci_layout::edit::{Family, ImageEdit, LayerAddition};
//!
//! # let scratch = tempfile::tempdir()?;
//! # let folder = scratch.path().join("images");
//! let layout = ImageLayout::open_or_create(&folder)?;
//! let tar = layout.put(MediaType::ImageLayer, &[0; 1024][..])?; // an empty tar: blob digest and diffID are one
//!
//! let mut image = ImageEdit::new(Family::Oci, &platform::parse("linux/amd64")?);
//! image.append_layer(LayerAddition::new(tar.clone(), tar.digest().clone()))?;
//! image.config_mut()?.entrypoint(["/bin/sh"]).env("PATH", "/bin").label("a", "b");
//! image.commit(&layout, &["v1"])?;
//!
//! let mut again = ImageEdit::open(&layout, "v1", None)?;
//! again.config_mut()?.user("nobody").set("/config/StopSignal", "SIGINT".into())?;
//! again.annotate("org.opencontainers.image.licenses", Some("MIT"));
//! again.commit_in(&layout, &["v1"])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Converted`] gives whole images the other [`Family`]'s media types.

mod artifact;
mod config;
mod convert;
mod family;
mod image;
mod index;
pub(crate) mod json;
mod layers;
mod part;

pub use artifact::Artifact;
pub use config::ConfigEdit;
pub use convert::{Converted, Loss};
pub use family::Family;
pub use image::ImageEdit;
pub use index::IndexEdit;
pub use layers::LayerAddition;
