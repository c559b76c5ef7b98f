//! A place that images come from.

use std::path::Path;

use examples::{Access, Failure, decompress};
use oci_digest::Descriptor;
use oci_digest::content::Source;
use oci_layout::archive::{ArchiveOptions, DockerArchive, FlatImage, OciArchive};

use crate::place::{Archive, Place};

/// An opened source, and the name of what is asked for in it.
pub(crate) struct Opened {
    pub(crate) source: Box<dyn Source>,
    pub(crate) name: String,
    pub(crate) tags: Vec<String>,
}

/// Opens a place and finds out what is meant there.
pub(crate) fn open(place: &Place, access: &Access, shared: Option<&Path>) -> Result<Opened, Failure> {
    let named = match place {
        Place::Registry(reference) => {
            let source = Box::new(access.repository(reference)?);
            return Ok(Opened { source, name: reference.target().to_owned(), tags: Vec::new() });
        }
        Place::Flat(path) => {
            let source = Box::new(FlatImage::open(path)?);
            return Ok(Opened { source, name: String::new(), tags: Vec::new() });
        }
        Place::Layout(image) => image.name.clone(),
        Place::Archive { name, .. } => name.clone(),
    };
    let Listed { source, roots, tags } = list(place, shared)?;
    let name = named.map_or_else(|| the_one(place, &roots, &tags), Ok)?;
    Ok(Opened { source, name, tags })
}

/// The tags of a layout or an archive.
pub(crate) fn tags(place: &Place) -> Result<Vec<String>, Failure> {
    Ok(list(place, None)?.tags)
}

/// A layout or an archive, and what it says that it holds.
struct Listed {
    source: Box<dyn Source>,
    roots: Vec<Descriptor>,
    tags: Vec<String>,
}

fn list(place: &Place, shared: Option<&Path>) -> Result<Listed, Failure> {
    let options = ArchiveOptions::default().decompress(decompress);
    match place {
        Place::Layout(image) => {
            let layout = examples::layout_options(shared).open(&image.layout)?;
            let (roots, tags) = (layout.roots()?, layout.tags()?);
            Ok(Listed { source: Box::new(layout), roots, tags })
        }
        Place::Archive { kind: Archive::Oci, path, .. } => {
            let archive = match is_stream(path) {
                true => OciArchive::read(std::io::stdin(), &options)?,
                false => OciArchive::open(path, &options)?,
            };
            let (roots, tags) = (archive.roots().cloned().collect(), archive.tags());
            Ok(Listed { source: Box::new(archive), roots, tags })
        }
        Place::Archive { kind: Archive::Docker, path, .. } => {
            let archive = match is_stream(path) {
                true => DockerArchive::read(std::io::stdin(), &options)?,
                false => DockerArchive::open(path, &options)?,
            };
            let (roots, tags) = (archive.roots().cloned().collect(), archive.tags());
            Ok(Listed { source: Box::new(archive), roots, tags })
        }
        Place::Registry(_) | Place::Flat(_) => Err(Failure::new(format!("{place} lists nothing"))),
    }
}

/// What is meant where no name was given: the only image there is, or "latest".
fn the_one(place: &Place, roots: &[Descriptor], tags: &[String]) -> Result<String, Failure> {
    match (roots, tags) {
        ([only], _) => Ok(only.digest().to_string()),
        _ if tags.iter().any(|tag| tag == "latest") => Ok("latest".to_owned()),
        ([], _) => Err(Failure::new(format!("{place} holds no image"))),
        _ => Err(Failure::new(format!("{place} holds {} images: name one of them", roots.len()))),
    }
}

fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}
