//! A place that images go to.

use std::path::Path;

use examples::{Access, Failure, decompress};
use oci_client::blocking::Repository;
use oci_digest::content::Sink;
use oci_layout::ImageLayout;
use oci_layout::archive::{ArchiveOptions, DockerArchiveWriter, FlatImage, OciArchiveWriter};

use crate::place::{Archive, Place};

/// An opened destination. Archives count only when they are finished.
pub(crate) enum Destination {
    Registry(Box<Repository>),
    Layout(ImageLayout),
    Oci(OciArchiveWriter),
    Docker(DockerArchiveWriter),
    Flat(FlatImage),
}

impl Destination {
    /// Opens or makes a place.
    pub(crate) fn open(place: &Place, access: &Access, shared: Option<&Path>) -> Result<Self, Failure> {
        let options = |path: &Path| {
            let options = ArchiveOptions::default().decompress(decompress);
            // Beside the archive there is room for what is in it; for a stream that is nowhere sure.
            match path.parent() {
                Some(folder) if path != Path::new("-") && !folder.as_os_str().is_empty() => {
                    options.scratch(folder)
                }
                _ => options,
            }
        };
        Ok(match place {
            Place::Registry(reference) => Self::Registry(Box::new(access.repository(reference)?)),
            Place::Layout(image) => {
                Self::Layout(examples::layout_options(shared).open_or_create(&image.layout)?)
            }
            Place::Archive { kind: Archive::Oci, path, .. } if place.is_stream() => {
                Self::Oci(OciArchiveWriter::stream(std::io::stdout(), &options(path))?)
            }
            Place::Archive { kind: Archive::Oci, path, .. } => {
                Self::Oci(OciArchiveWriter::create(path, &options(path))?)
            }
            Place::Archive { kind: Archive::Docker, path, .. } if place.is_stream() => {
                Self::Docker(DockerArchiveWriter::stream(std::io::stdout(), &options(path)))
            }
            Place::Archive { kind: Archive::Docker, path, .. } => {
                Self::Docker(DockerArchiveWriter::create(path, &options(path))?)
            }
            Place::Flat(path) => Self::Flat(FlatImage::create(path)?),
        })
    }

    /// Opens a place only to see what is there. `None`: nothing is, or nobody can see it.
    pub(crate) fn look(
        place: &Place,
        access: &Access,
        shared: Option<&Path>,
    ) -> Result<Option<Self>, Failure> {
        Ok(match place {
            Place::Registry(_) => Some(Self::open(place, access, None)?),
            Place::Layout(image) if image.layout.join("oci-layout").exists() => {
                Some(Self::Layout(examples::layout_options(shared).open(&image.layout)?))
            }
            Place::Flat(path) if path.join("manifest.json").exists() => {
                Some(Self::Flat(FlatImage::open(path)?))
            }
            _ => None,
        })
    }

    pub(crate) fn sink(&self) -> &dyn Sink {
        match self {
            Self::Registry(repository) => &**repository,
            Self::Layout(layout) => layout,
            Self::Oci(writer) => writer,
            Self::Docker(writer) => writer,
            Self::Flat(image) => image,
        }
    }

    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Oci(writer) => Ok(writer.finish()?),
            Self::Docker(writer) => Ok(writer.finish()?),
            Self::Registry(_) | Self::Layout(_) | Self::Flat(_) => Ok(()),
        }
    }
}

/// The tags that an image gets at a place.
pub(crate) fn tags(place: &Place) -> Vec<String> {
    match place {
        Place::Registry(reference) if reference.digest().is_some() => Vec::new(),
        Place::Registry(reference) => vec![reference.target().to_owned()],
        Place::Layout(image) => vec![image.name_or_latest().to_owned()],
        Place::Archive { name, .. } => name.iter().cloned().collect(),
        Place::Flat(_) => Vec::new(),
    }
}
