use super::{Source, SourceExt};
use crate::media_type::Kind;
use crate::{
    Descriptor, Digest, Document, Error, ImageConfiguration, ImageIndex, ImageManifest, MAX_DOCUMENT_BYTES,
    Platform, Result, platform,
};

/// One image of a source: its manifest and config, verified.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Image {
    /// The manifest's descriptor.
    pub descriptor: Descriptor,
    /// What names the layers.
    pub manifest: Document<ImageManifest>,
    /// How the image is run, and the digests of its uncompressed layers.
    pub config: Document<ImageConfiguration>,
}

/// A layer of an [`Image`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageLayer {
    /// The blob.
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
}

/// Resolves a name, through indexes, to one image.
///
/// `platform` is what an index is asked for, this machine's when `None`; a name that stands for one image gives
/// that image, whatever it is for. Indexes may be nested 8 deep.
///
/// # Errors
/// [`Error::NotFound`] for an unknown name; [`Error::NoPlatform`] when an index has no image for the platform;
/// [`Error::UnsupportedMediaType`] when it is no image; [`Error::Limit`] for a manifest or config above
/// [`MAX_DOCUMENT_BYTES`] and for deeper nesting; and what [`Document::parse`] refuses.
pub fn image(source: &dyn Source, name: &str, platform: Option<&Platform>) -> Result<Image> {
    let host;
    let platform = match platform {
        Some(platform) => platform,
        None => {
            host = platform::host();
            &host
        }
    };
    let descriptor = choose(source, source.resolve(name)?, platform)?;
    let manifest = source.document::<ImageManifest>(&descriptor, MAX_DOCUMENT_BYTES)?;
    let config = source.document::<ImageConfiguration>(manifest.view().config(), MAX_DOCUMENT_BYTES)?;
    Ok(Image { descriptor, manifest, config })
}

/// Follows indexes to the one entry for a platform that is no index.
pub(super) fn choose(source: &dyn Source, root: Descriptor, platform: &Platform) -> Result<Descriptor> {
    const DEPTH: u64 = 8;
    let mut descriptor = root;
    for _ in 0..=DEPTH {
        if Kind::of(descriptor.media_type()) != Kind::Index {
            return Ok(descriptor);
        }
        let index = source.document::<ImageIndex>(&descriptor, MAX_DOCUMENT_BYTES)?;
        descriptor = platform::select(platform, index.view().manifests())?.clone();
    }
    Err(Error::Limit { limit: "depth of indexes", maximum: DEPTH })
}

impl ImageLayer {
    /// A layer by its blob and the digest of its uncompressed tar.
    pub fn new(descriptor: Descriptor, diff_id: Digest) -> Self {
        Self { descriptor, diff_id }
    }
}

impl Image {
    /// The layers, the lowest first, each with its diffID.
    ///
    /// # Errors
    /// [`Error::Document`] when the config does not name one well-formed digest for each layer.
    pub fn layers(&self) -> Result<Vec<ImageLayer>> {
        let problem = |pointer: String, reason: String| Error::Document {
            digest: self.config.digest().clone(),
            pointer,
            reason,
        };
        let (layers, diff_ids) = (self.manifest.view().layers(), self.config.view().rootfs().diff_ids());
        if layers.len() != diff_ids.len() {
            return Err(problem(
                "/rootfs/diff_ids".to_owned(),
                format!("{} diff ids for {} layers", diff_ids.len(), layers.len()),
            ));
        }
        let layer = |(n, (descriptor, diff_id)): (usize, (&Descriptor, &String))| {
            let diff_id = diff_id
                .parse()
                .map_err(|_| problem(format!("/rootfs/diff_ids/{n}"), "it is no digest".to_owned()))?;
            Ok(ImageLayer { descriptor: descriptor.clone(), diff_id })
        };
        layers.iter().zip(diff_ids).enumerate().map(layer).collect()
    }
}
