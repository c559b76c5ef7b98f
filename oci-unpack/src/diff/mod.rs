//! What changed in a tree, as a layer.
//!
//! Three kinds of "before": another tree ([`trees`]), a [`Snapshot`] that was recorded when the tree was unpacked
//! ([`since`]), and an overlayfs upper folder, which holds the difference already ([`overlay_upper`]). Each gives a
//! [`Diff`], which lists the changes and writes them as a layer, reproducibly like [`pack`](crate::pack).
//!
//! ```
//! use oci_unpack::diff::{self, ChangeKind, Snapshot};
//! use oci_unpack::pack::PackOptions;
//!
//! let dir = tempfile::tempdir()?;
//! std::fs::write(dir.path().join("old"), "")?;
//! let before = Snapshot::of(dir.path())?;
//! std::fs::remove_file(dir.path().join("old"))?;
//! std::fs::write(dir.path().join("new"), "hello\n")?;
//!
//! let diff = diff::since(&before, dir.path(), &PackOptions::default())?;
//! let changes: Vec<_> = diff.changes().iter().map(|change| (change.kind, change.path.to_str())).collect();
//! let dot = (ChangeKind::Modified, Some("."));
//! assert_eq!(changes, [dot, (ChangeKind::Added, Some("new")), (ChangeKind::Deleted, Some("old"))]);
//! if !diff.is_empty() {
//!     let (blob, layer) = diff.write(Vec::new())?;
//!     println!("{} in {} bytes", layer.digest, blob.len());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is a change
//! What a layer would say differently: type, content, target, device, mode, owner, extended attributes, and the time in
//! whole seconds (with [`PackOptions::nanoseconds`](crate::pack::PackOptions::nanoseconds) to its last digit); of a
//! directory, too. Which names are one file is part of it. Contents are compared, unless it is the same file and was
//! not written to. Neither inode numbers nor change times are changes by themselves: a copy of a tree equals it.
//!
//! # What the layer holds
//! - For each name that is gone, one whiteout; what was below it needs none. A name whose type changed needs none: image-spec
//!   layer.md has the old node removed first, and every engine does so.
//! - Every changed node whole, since layers know no partial entries.
//! - All names of a file of which one changed, so that they stay one file: a link into a lower layer is more than some
//!   engines can make.
//! - The directories above each of these, with what they have, since some engines make those that a layer does not list
//!   anew with attributes of their own.
//! - No sockets ([`Diff::write_observed`] tells), and no file whose name begins with `.wh.`, which is an error.

mod change;
mod compare;
mod content;
mod encoding;
mod links;
mod plan;
mod record;
mod snapshot;
mod upper;

pub use change::{Change, ChangeKind};
pub use compare::{since, trees};
pub(crate) use content::ContentHasher;
pub use plan::Diff;
pub(crate) use record::Digests;
pub use snapshot::Snapshot;
pub use upper::overlay_upper;
