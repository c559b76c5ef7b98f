//! One folder per layer, as overlayfs keeps them: layers that images share are stored once, and a root file system
//! is a mount.
//!
//! ```no_run
//! use std::path::Path;
//! use oci_digest::content::{self, MemoryStore};
//! use oci_unpack::{OverlayFormat, UnpackOptions, overlay};
//!
//! let source = MemoryStore::new(); // or a layout, or a repository of a registry
//! let image = content::image(&source, "latest", None)?;
//! let (folder, options) = (Path::new("layers"), UnpackOptions::default());
//! let report = overlay::unpack(&source, image.manifest.view(), image.config.view(), folder, &options)?;
//! let lower = overlay::lower_dirs(folder, report.layers.len()); // top first, as `lowerdir=` has them
//! let userxattr = report.overlay == Some(OverlayFormat::User);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Side by side
//! On a machine with four processors or more, layers are read, verified, inflated and parsed side by side, and their
//! files written, each by a few threads of its own ([`UnpackOptions::layers_at_once`]). What depends on the layers
//! beneath is done in order by the caller's thread, which gives the written files their places. It alone calls the
//! observer, so that events come in the order of the layers, and errors are those of the lowest layer that fails.
//! At most twice as many layers wait as are worked on, with 2 MiB of entries each.
//!
//! # Kernel and privileges
//! As root of the machine the format is overlayfs' usual one. Everybody else writes attributes `user.overlay.*`, for
//! mounts with the option `userxattr` (Linux 5.11), which root of a user namespace may make, too; the file system
//! must keep `user.*` attributes (tmpfs does since 6.6). Whiteouts are devices 0:0, which anybody may make since 5.8,
//! and where that is refused nevertheless, files with an attribute, which overlayfs understands since 6.8.

use std::path::{Path, PathBuf};

use oci_digest::content::Source;
use oci_digest::{ImageConfiguration, ImageManifest};

use crate::image::unpack_into;
use crate::tree::Tree;
use crate::{Report, Result, UnpackOptions};

/// Unpacks an image into one folder per layer.
///
/// `destination` becomes a folder that holds `0`, the lowest layer's folder, `1`, `2` and so on, and nothing else.
/// Mounted over one another ([`lower_dirs`]) they show the tree that [`unpack`](crate::unpack) makes of the same
/// image; in an overlay of only one lower folder add an empty one, since the kernel wants two or an upper folder.
/// All else is as there: what may be at the destination, that nothing is committed before everything was verified,
/// limits over all layers, events, and the sync policy.
///
/// What differs: names of one file are one inode only as far as the same layer holds them. A hard link to a file of
/// a lower layer makes a copy of that file in its own layer, as the kernel would. Character devices 0:0 are
/// [left out](crate::Warning::DeviceIsWhiteout), and so are attributes `trusted.overlay.*` and `user.overlay.*`,
/// always: what a layer brings never acts as a mark of the format.
///
/// [`Report::overlay`] says in which format they are. `destination` is 0755; each layer's folder has the attributes
/// that the image's root has as of that layer.
///
/// # Errors
/// As [`unpack`](crate::unpack). [`Error::Io`](crate::Error::Io) when the format that
/// [`UnpackOptions::overlay_format`] asks for cannot be written: without privileges, or because the file system keeps
/// no attributes.
pub fn unpack(
    source: &dyn Source,
    manifest: &ImageManifest,
    config: &ImageConfiguration,
    destination: &Path,
    options: &UnpackOptions,
) -> Result<Report> {
    unpack_into(source, manifest, config, destination, options, |folder| Tree::layered(folder, options))
}

/// The folders of so many layers below `destination`, the uppermost first, as mount options want them.
pub fn lower_dirs(destination: &Path, layers: usize) -> Vec<PathBuf> {
    (0..layers).rev().map(|layer| destination.join(layer.to_string())).collect()
}
