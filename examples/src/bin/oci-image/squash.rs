//! `oci-image squash`.

use std::process::ExitCode;

use examples::{Failure, ImageName, Progress};
use oci_digest::content::Image;
use oci_digest::{CancelToken, Platform, platform};
use oci_layout::ImageLayout;
use oci_layout::edit::{ImageEdit, LayerAddition};
use oci_unpack::diff;
use oci_unpack::pack::{PackEvent, PackedLayer, pack_observed};

use crate::append;
use crate::history::{self, HistoryFlags};
use crate::layer::{self, LayerFlags};
use crate::tree::{self, Trees};

/// Makes one layer of several
///
/// The image's files are the same afterwards. Of the history the entries of the layers that went give way to one.
#[derive(Debug, clap::Args)]
pub(crate) struct Squash {
    /// The image: LAYOUT[:TAG]
    image: ImageName,
    /// How many of the lowest layers stay as they are, such as those of a base that other images share
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep: usize,
    /// The tag of the new image [default: the image's own]
    #[arg(long, value_name = "NEW-TAG")]
    tag: Option<String>,
    /// The platform to take of an image for several, as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::parse)]
    platform: Option<Platform>,
    #[command(flatten)]
    layer: LayerFlags,
    #[command(flatten)]
    history: HistoryFlags,
}

impl Squash {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        let cancel = examples::interruption()?;
        let tag = self.image.new_tag(self.tag.as_deref())?;
        let layout = self.image.open()?;
        let image = self.image.find(&layout, self.platform.as_ref())?;
        let layers = image.manifest.view().layers().len();
        if self.keep >= layers {
            let keep = self.keep;
            return Err(Failure::new(format!(
                "{} has {layers} layers; none is left above {keep}",
                self.image
            )));
        }
        let mut edit = ImageEdit::open_in(&layout, self.image.name_or_latest(), self.platform.as_ref())?;
        let packed = self.merged(&layout, &image, &cancel)?;
        let mut addition = LayerAddition::new(packed.descriptor(), packed.diff_id);
        addition.history = self.history.entry("squash")?;
        edit.squash(self.keep..layers, addition)?;
        edit.config_mut()?.created(history::now()?.as_str());
        edit.commit_in(&layout, &[tag])?;
        Ok(ExitCode::SUCCESS)
    }

    /// What the layers together make of those that stay.
    fn merged(
        &self,
        layout: &ImageLayout,
        image: &Image,
        cancel: &CancelToken,
    ) -> Result<PackedLayer, Failure> {
        let (trees, name) = (Trees::new()?, self.image.to_string());
        let (below, whole) = (trees.folder("below"), trees.folder("whole"));
        tree::unpack(layout, image, None, &whole, &name, cancel)?;
        let progress = Progress::new(false);
        let mut observer = |event: PackEvent| append::tell(&progress, &event);
        let options = self.layer.options(tree::owners())?;
        if self.keep == 0 {
            let options = options.root_entry(true);
            return layer::store(layout, cancel, |out| {
                Ok(pack_observed(&whole, out, &options, &mut observer)?.1)
            });
        }
        tree::unpack(layout, image, Some(self.keep), &below, &name, cancel)?;
        let difference =
            diff::trees(&below, &whole, &options).map_err(|e| Failure::during("comparing the trees", e))?;
        layer::store(layout, cancel, |out| Ok(difference.write_observed(out, &mut observer)?.1))
    }
}
