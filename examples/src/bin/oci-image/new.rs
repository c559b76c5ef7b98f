//! `oci-image new`.

use std::process::ExitCode;

use examples::{Failure, ImageName, rfc3339, source_date};
use oci_digest::{Platform, platform};
use oci_layout::ImageLayout;
use oci_layout::edit::{Family, ImageEdit};

/// Makes an empty layout, or an empty image in it
///
/// "new LAYOUT" makes a layout. "new LAYOUT:TAG" makes an image without layers, and the layout too if there is none; fill
/// it with "append" or "unpack" and "repack", and describe it with "config".
#[derive(Debug, clap::Args)]
pub(crate) struct New {
    /// The platform of the image, as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::parse)]
    platform: Option<Platform>,
    /// LAYOUT or LAYOUT:TAG
    image: ImageName,
}

impl New {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        if self.image.name.is_none() {
            ImageLayout::create(&self.image.layout)?;
            return Ok(ExitCode::SUCCESS);
        }
        let (tag, created) = (self.image.tag()?, rfc3339(source_date()?));
        // The tag is one that a layout can hold: nothing is left behind for a wrong one.
        let layout = ImageLayout::open_or_create(&self.image.layout)?;
        if !layout.named(tag)?.is_empty() {
            return Err(Failure::new(format!("{}: there is such a tag already", self.image)));
        }
        self.put(&layout, tag, &created)?;
        Ok(ExitCode::SUCCESS)
    }

    fn put(&self, layout: &ImageLayout, tag: &str, created: &str) -> Result<(), Failure> {
        let platform = self.platform.clone().unwrap_or_else(platform::host);
        let mut edit = ImageEdit::new(Family::Oci, &platform);
        edit.config_mut()?.created(created);
        edit.commit(layout, &[tag])?;
        Ok(())
    }
}
