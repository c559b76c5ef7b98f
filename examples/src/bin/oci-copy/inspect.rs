//! `oci-copy inspect`.

use std::io::Write;
use std::path::PathBuf;

use examples::{Access, Failure, print_line};
use oci_digest::content::{self, Image, SourceExt};
use oci_digest::{MAX_DOCUMENT_BYTES, Platform, platform};
use serde_json::{Value, json};

use crate::place::Place;
use crate::source::{self, Opened};

/// Shows what an image is: its digest, platform, layers, environment, labels
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// The manifest or index that the name stands for, byte for byte
    #[arg(long, conflicts_with = "config")]
    raw: bool,
    /// The image's config, byte for byte
    #[arg(long)]
    config: bool,
    /// In an index, the image for a platform [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::parse)]
    platform: Option<Platform>,
    /// The folder that has the blobs of an oci: layout which shares them with others
    #[arg(long, value_name = "FOLDER")]
    shared_blob_dir: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
    /// Where it is
    place: Place,
}

impl Inspect {
    pub(crate) fn go(self) -> Result<(), Failure> {
        let Opened { source, name, tags } =
            source::open(&self.place, &self.access, self.shared_blob_dir.as_deref())?;
        let during = |e| Failure::during(format!("inspecting {}", self.place), e);
        if self.raw {
            let descriptor = match &self.platform {
                None => source.resolve(&name).map_err(during)?,
                Some(wanted) => content::image(&*source, &name, Some(wanted)).map_err(during)?.descriptor,
            };
            return write(&source.read(&descriptor, MAX_DOCUMENT_BYTES).map_err(during)?);
        }
        let image = content::image(&*source, &name, self.platform.as_ref()).map_err(during)?;
        if self.config {
            return write(image.config.bytes());
        }
        let text = serde_json::to_string_pretty(&self.summary(&image, &tags))?;
        print_line(text);
        Ok(())
    }

    fn summary(&self, image: &Image, tags: &[String]) -> Value {
        let config = serde_json::from_slice::<Value>(image.config.bytes()).unwrap_or_default();
        let layers: Vec<Value> = image
            .manifest
            .view()
            .layers()
            .iter()
            .map(|layer| {
                json!({
                    "digest": layer.digest().to_string(),
                    "mediaType": layer.media_type().to_string(),
                    "size": layer.size(),
                })
            })
            .collect();
        json!({
            "name": self.place.to_string(),
            "digest": image.descriptor.digest().to_string(),
            "mediaType": image.descriptor.media_type().to_string(),
            "platform": platform::to_text(&examples::platform_of(image)),
            "created": config.get("created"),
            "tags": tags,
            "layers": layers,
            "config": config.get("config"),
            "annotations": image.manifest.view().annotations(),
        })
    }
}

/// Writes bytes as they are. Where nobody reads them any more, there is nothing to do about it.
fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::during("writing", e)),
        _ => Ok(()),
    }
}
