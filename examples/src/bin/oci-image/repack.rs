//! `oci-image repack`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use examples::{Failure, ImageName, Progress, platform_of};
use oci_digest::CancelToken;
use oci_digest::content::{self, Image};
use oci_layout::ImageLayout;
use oci_layout::edit::{ImageEdit, LayerAddition};
use oci_unpack::diff::{self, Diff, Snapshot};

use crate::history::{self, HistoryFlags};
use crate::layer::{self, LayerFlags};
use crate::state::State;
use crate::{append, bundle};

/// Puts what changed in a bundle since it was unpacked on top of its image, as a layer
///
/// TAG is the image that the bundle was unpacked from, which --new-tag leaves alone, or a new tag. A tag that names
/// another image meanwhile is not overwritten, except by a repetition of the same repack. Where nothing changed there is
/// no layer, and the tag names the image as it was. An image in an index is changed in there.
#[derive(Debug, clap::Args)]
pub(crate) struct Repack {
    /// LAYOUT[:TAG], the layout that the bundle was unpacked from
    image: ImageName,
    /// The bundle
    bundle: PathBuf,
    /// The tag of the new image [default: TAG]
    #[arg(long, visible_alias = "tag", value_name = "T")]
    new_tag: Option<String>,
    /// Take the changes from an overlayfs upper folder instead, which was mounted over the bundle's layers or rootfs and
    /// is not mounted now
    #[arg(long, value_name = "DIR")]
    upper: Option<PathBuf>,
    /// Go on from the new image: the next repack makes a layer on top of this one
    #[arg(long, conflicts_with = "upper")]
    refresh_bundle: bool,
    #[command(flatten)]
    layer: LayerFlags,
    #[command(flatten)]
    history: HistoryFlags,
}

impl Repack {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        let cancel = examples::interruption()?;
        let (mut state, snapshot) = State::read(&self.bundle)?;
        let layout = self.image.open()?;
        let tag = self.image.new_tag(self.new_tag.as_deref())?;
        let mut edit = self.edit(&layout, &state)?;
        let options = self.layer.options(state.pack_owners())?;
        let diff = match &self.upper {
            Some(upper) => diff::overlay_upper(upper, &options)
                .map_err(|e| Failure::during(format!("looking for changes in {}", upper.display()), e))?,
            None => bundle::changes(&self.bundle, &state, &snapshot, &options)?,
        };
        if !diff.is_empty() {
            self.add_layer(&layout, &mut edit, &diff, &cancel)?;
        }
        let root = edit.commit_in(&layout, &[tag])?;
        // By digest: somebody may have moved the tag since.
        let layout_folder = self.image.layout.clone();
        let name = ImageName { layout: layout_folder, name: Some(root.digest().to_string()) };
        let new = name.find(&layout, Some(&platform_of(&base(&layout, &state, &self.bundle)?)))?;
        self.remember(&mut state, snapshot, &new)
    }

    fn add_layer(
        &self,
        layout: &ImageLayout,
        edit: &mut ImageEdit,
        diff: &Diff,
        cancel: &CancelToken,
    ) -> Result<(), Failure> {
        let progress = Progress::new(false);
        let packed = layer::store(layout, cancel, |out| {
            Ok(diff.write_observed(out, &mut |event| append::tell(&progress, &event))?.1)
        })?;
        let mut addition = LayerAddition::new(packed.descriptor(), packed.diff_id);
        addition.history = self.history.entry("repack")?;
        edit.append_layer(addition)?;
        edit.config_mut()?.created(history::now()?.as_str());
        Ok(())
    }

    /// The image that the bundle was unpacked from, in the index it is in, if the tag still names it.
    fn edit(&self, layout: &ImageLayout, state: &State) -> Result<ImageEdit, Failure> {
        let base = base(layout, state, &self.bundle)?;
        let platform = platform_of(&base);
        let alone = || Ok(ImageEdit::open(layout, base.descriptor.digest().as_ref(), None)?);
        let name = self.image.name_or_latest();
        if layout.named(name)?.is_empty() && self.image.tag().is_ok() {
            return alone();
        }
        let named = self.image.find(layout, Some(&platform))?;
        if named.descriptor.digest() == base.descriptor.digest() {
            return Ok(ImageEdit::open_in(layout, name, Some(&platform))?);
        }
        let is_own = state.repacked.iter().any(|digest| digest == named.descriptor.digest().as_ref());
        let is_alone = layout.resolve(name)?.digest() == named.descriptor.digest();
        if is_own && is_alone && self.new_tag.is_none() {
            return alone();
        }
        let (bundle, found) = (self.bundle.display(), named.descriptor.digest());
        let own = base.descriptor.digest();
        Err(Failure::new(format!(
            "{} names {found}, but {bundle} was unpacked from {own}; give a new tag",
            self.image
        )))
    }

    /// What was made of the bundle, for the next time.
    fn remember(&self, state: &mut State, snapshot: Vec<u8>, new: &Image) -> Result<ExitCode, Failure> {
        let digest = new.descriptor.digest().to_string();
        let snapshot = if self.refresh_bundle {
            state.manifest = State::plain(&new.descriptor);
            let mut bytes = Vec::new();
            Snapshot::of(&self.bundle.join("rootfs"))?.write_to(&mut bytes)?;
            bytes
        } else {
            snapshot
        };
        if !state.repacked.contains(&digest) {
            state.repacked.push(digest);
        }
        match state.write(&self.bundle, &snapshot) {
            Err(failure) if self.refresh_bundle => return Err(failure),
            // The image is there. A repetition will want a new tag.
            Err(failure) => Progress::new(false).warn(&self.bundle.to_string_lossy(), &failure.to_string()),
            Ok(()) => {}
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn base(layout: &ImageLayout, state: &State, bundle: &Path) -> Result<Image, Failure> {
    let digest = state.manifest.digest();
    content::image(layout, digest.as_ref(), None).map_err(|e| {
        let (layout, bundle) = (layout.path().display(), bundle.display());
        Failure::during(format!("{layout} does not hold {digest}, from which {bundle} was unpacked"), e)
    })
}
