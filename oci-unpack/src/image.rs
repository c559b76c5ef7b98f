use std::os::fd::OwnedFd;
use std::path::Path;

use oci_digest::content::Source;
use oci_digest::spec::Os;
use oci_digest::{Algorithm, Descriptor, Digest, ImageConfiguration, ImageManifest};

use crate::ahead::{Ahead, Blob};
use crate::compression::Compression;
use crate::rootfs::Layers;
use crate::side;
use crate::staging::Staging;
use crate::tree::Tree;
use crate::{Error, Report, Result, UnpackOptions};

/// Unpacks an image into one folder.
///
/// The layers are read from `source` by the descriptors of `manifest`. `destination` must be absent or an empty
/// directory, in a folder that exists. The work is done beside it (`<destination>.tmp-<random>`) and renamed when
/// the blobs of all layers had the digests and sizes of their descriptors, and their uncompressed bytes the
/// diffIDs of `config`. On any error the destination is as it was before, and nothing stays beside it.
///
/// # Errors
/// [`Error::Image`] and [`Error::Destination`] before anything is read; [`Error::Layer`] for what is wrong with a
/// layer or its entries; [`Error::Io`] for what the file system refuses.
pub fn unpack(
    source: &dyn Source,
    manifest: &ImageManifest,
    config: &ImageConfiguration,
    destination: &Path,
    options: &UnpackOptions,
) -> Result<Report> {
    unpack_into(source, manifest, config, destination, options, |root| Tree::new(root, true, options))
}

/// Unpacks an image by the tree writer that `tree` makes of a fresh folder.
pub(crate) fn unpack_into(
    source: &dyn Source,
    manifest: &ImageManifest,
    config: &ImageConfiguration,
    destination: &Path,
    options: &UnpackOptions,
    tree: impl FnOnce(OwnedFd) -> Result<Tree>,
) -> Result<Report> {
    let layers = check(manifest, config)?;
    let (staging, root) = Staging::create(destination)?;
    let report = apply(source, &layers, tree(root)?, options)?;
    staging.commit()?;
    Ok(report)
}

/// What manifest and config together say of a layer.
#[derive(Debug)]
struct Layer<'a> {
    descriptor: &'a Descriptor,
    declared: Compression,
    diff_id: Digest,
}

fn apply(source: &dyn Source, layers: &[Layer<'_>], tree: Tree, options: &UnpackOptions) -> Result<Report> {
    let at_once = side::layers_at_once(layers.len(), options);
    if tree.overlay_format().is_some() && at_once > 1 {
        let blobs: Vec<_> = layers.iter().map(Layer::blob).collect();
        return side::apply(source, &blobs, Layers::new(tree, options), at_once, options);
    }
    std::thread::scope(|scope| {
        let mut ahead =
            Ahead::start(scope, source, layers.iter().map(Layer::blob).collect(), options.limits.window)?;
        let mut work = Layers::new(tree, options);
        for index in 0..layers.len() {
            work.apply(&mut ahead, Ahead::next_layer)
                .map_err(|e| Error::Layer { index, source: Box::new(e) })?;
        }
        work.finish()
    })
}

impl Layer<'_> {
    fn blob(&self) -> Blob<'_> {
        Blob { descriptor: self.descriptor, declared: self.declared, diff_id: &self.diff_id }
    }
}

/// Everything that can be known before a layer is read.
fn check<'a>(manifest: &'a ImageManifest, config: &ImageConfiguration) -> Result<Vec<Layer<'a>>> {
    let image = |pointer: &str, reason: String| Error::Image { pointer: pointer.into(), reason };
    let media_type = manifest.config().media_type().to_string();
    if !matches!(
        media_type.as_str(),
        "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json"
    ) {
        return Err(image("/config/mediaType", format!("{media_type} is not an image's configuration")));
    }
    if *config.os() != Os::Linux {
        return Err(image("/os", format!("{} layers cannot be unpacked", config.os())));
    }
    if config.rootfs().typ() != "layers" {
        return Err(image("/rootfs/type", format!("must be layers and is {:?}", config.rootfs().typ())));
    }
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != manifest.layers().len() {
        let reason = format!("{} diffIDs for {} layers", diff_ids.len(), manifest.layers().len());
        return Err(image("/rootfs/diff_ids", reason));
    }
    let pairs = manifest.layers().iter().zip(diff_ids).enumerate();
    pairs
        .map(|(index, (descriptor, diff_id))| {
            let media_type = descriptor.media_type();
            let Some(declared) = Compression::of_media_type(media_type) else {
                let pointer = format!("/layers/{index}/mediaType");
                return Err(image(&pointer, format!("{media_type} is not a layer that is known here")));
            };
            let pointer = format!("/rootfs/diff_ids/{index}");
            let diff_id: Digest =
                diff_id.parse().map_err(|_| image(&pointer, format!("{diff_id:?} is not a digest")))?;
            Algorithm::of(&diff_id).map_err(|e| image(&pointer, e.to_string()))?;
            Algorithm::of(descriptor.digest())
                .map_err(|e| image(&format!("/layers/{index}/digest"), e.to_string()))?;
            Ok(Layer { descriptor, declared, diff_id })
        })
        .collect()
}
