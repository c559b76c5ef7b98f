//! Images in one file: oci-archive, docker-archive (what `docker save` writes), and in one flat folder (`dir:`).
//!
//! Archives are read in place, nothing is extracted: [`OciArchive`] and [`DockerArchive`] know where in the file each
//! member lies and are sources of content. They are written as a stream, in the order in which content comes, by
//! [`OciArchiveWriter`] and [`DockerArchiveWriter`], which are sinks. So one `copy` goes from and to all of them.
//!
//! ```
//! use oci_digest::content::{self, CopyOptions, Source};
//! use oci_layout::ImageLayout;
//! use oci_layout::archive::{ArchiveOptions, OciArchive, OciArchiveWriter};
//!
//! # let scratch = tempfile::tempdir()?;
//! # let (folder, path) = (scratch.path().join("images"), scratch.path().join("images.tar"));
//! # let layout = ImageLayout::create(&folder)?;
//! # let platform = oci_digest::platform::host();
//! # oci_layout::edit::ImageEdit::new(Default::default(), &platform).commit(&layout, &["v1"])?;
//! let writer = OciArchiveWriter::create(&path, &ArchiveOptions::default())?;
//! content::copy(&layout, "v1", &writer, &CopyOptions::default())?;
//! writer.finish()?;
//!
//! let archive = OciArchive::open(&path, &ArchiveOptions::default())?;
//! assert_eq!(archive.resolve("v1")?.digest(), layout.resolve("v1")?.digest());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An archive comes from anywhere: it may have long names, links, the same name twice, sizes beyond its end. What
//! could be read in two ways, or leads out of it, is an [`Error::Archive`](crate::Error::Archive) that names the member.

mod catalog;
mod docker;
mod docker_name;
mod docker_writer;
mod flat;
mod legacy;
mod members;
mod oci;
mod oci_writer;
mod options;
mod output;
mod spool;

pub use docker::DockerArchive;
pub use docker_writer::DockerArchiveWriter;
pub use flat::FlatImage;
pub use oci::OciArchive;
pub use oci_writer::OciArchiveWriter;
pub use options::ArchiveOptions;
