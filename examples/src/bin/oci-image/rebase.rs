//! `oci-image rebase`.

use std::process::ExitCode;

use examples::{Failure, ImageName};
use oci_digest::{Platform, platform};
use oci_layout::edit::ImageEdit;

use crate::history;

/// Puts an image on another base
///
/// The layers of the old base, which must be the image's lowest, give way to those of the new one; the image's own layers
/// and its config stay. No layer is unpacked or changed.
#[derive(Debug, clap::Args)]
pub(crate) struct Rebase {
    /// The image: LAYOUT[:TAG]
    image: ImageName,
    /// The tag or digest of the base it was made on, in the same layout
    #[arg(value_name = "OLD-BASE")]
    old: String,
    /// The tag or digest of the new base, in the same layout
    #[arg(value_name = "NEW-BASE")]
    new: String,
    /// What the annotation org.opencontainers.image.base.name shall say
    #[arg(long, value_name = "NAME")]
    base_name: Option<String>,
    /// The tag of the new image [default: the image's own]
    #[arg(long, value_name = "NEW-TAG")]
    tag: Option<String>,
    /// The platform to take of images for several, as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::parse)]
    platform: Option<Platform>,
}

impl Rebase {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        let tag = self.image.new_tag(self.tag.as_deref())?;
        let (layout, platform) = (self.image.open()?, self.platform.as_ref());
        let base = |name: &str| {
            ImageName { layout: self.image.layout.clone(), name: Some(name.to_owned()) }
                .find(&layout, platform)
        };
        let (old, new) = (base(&self.old)?, base(&self.new)?);
        let mut edit = ImageEdit::open_in(&layout, self.image.name_or_latest(), platform)?;
        edit.rebase(&old, &new, self.base_name.as_deref())?;
        edit.config_mut()?.created(history::now()?.as_str());
        edit.commit_in(&layout, &[tag])?;
        Ok(ExitCode::SUCCESS)
    }
}
