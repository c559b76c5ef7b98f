//! `oci-image new`.

use std::process::ExitCode;

use examples::{Failure, ImageName, rfc3339, source_date};
use oci_digest::{MediaType, Platform, canonical, platform};
use oci_layout::ImageLayout;
use serde_json::json;

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
        let layout = ImageLayout::open_or_create(&self.image.layout)?;
        if !layout.named(tag)?.is_empty() {
            return Err(Failure::new(format!("{}: there is such a tag already", self.image)));
        }
        let platform = self.platform.unwrap_or_else(platform::host);
        // image-spec config.md: architecture, os and rootfs are REQUIRED.
        let mut config = json!({
            "created": created,
            "architecture": platform.architecture(),
            "os": platform.os(),
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": []},
        });
        if let Some(variant) = platform.variant() {
            config["variant"] = json!(variant);
        }
        let config = layout.put(MediaType::ImageConfig, canonical::to_vec(&config)?.as_slice())?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::ImageManifest,
            "config": config,
            "layers": [],
        });
        let manifest = layout.put(MediaType::ImageManifest, canonical::to_vec(&manifest)?.as_slice())?;
        layout.tag(&manifest, tag)?;
        Ok(ExitCode::SUCCESS)
    }
}
