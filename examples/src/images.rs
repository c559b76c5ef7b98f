use oci_client::Reference;
use oci_digest::Platform;
use oci_digest::content::{self, CopyOptions, CopyReport, Event, Image, Platforms, Sink};
use oci_layout::ImageLayout;

use crate::{Access, Failure};

/// Pulls a reference's image for this machine into a layout, under a tag. What the layout has is not fetched.
///
/// # Errors
/// What the registry or the layout can meet; the layout then has no such tag.
pub fn pull(
    reference: &Reference,
    access: &Access,
    layout: &ImageLayout,
    tag: &str,
    observer: impl Fn(&Event<'_>) + Send + Sync + 'static,
) -> Result<CopyReport, Failure> {
    let repository = access.repository(reference)?;
    let options = CopyOptions::default().platforms(Platforms::Host).tags([tag]).observer(observer);
    content::copy(&repository, reference.target(), layout, &options)
        .map_err(|e| Failure::during(format!("pulling {reference}"), e))
}

/// Whether a layout has an image under a tag, with all its layers.
pub fn is_complete(layout: &ImageLayout, tag: &str) -> bool {
    content::image(layout, tag, None).is_ok_and(|image| {
        image.manifest.view().layers().iter().all(|layer| layout.has(layer).unwrap_or(false))
    })
}

/// The platform that an image's config names.
pub fn platform_of(image: &Image) -> Platform {
    let config = image.config.view();
    let mut platform = Platform::default();
    platform.set_os(config.os().clone());
    platform.set_architecture(config.architecture().clone());
    platform.set_variant(config.variant().clone());
    platform
}
