//! `oci-image diff`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use examples::{Failure, ImageName, print_line, printable};
use oci_digest::{CancelToken, Platform, platform};
use oci_unpack::diff::{self, ChangeKind};
use oci_unpack::pack::PackOptions;
use serde_json::json;

use crate::bundle;
use crate::state::State;
use crate::tree::{self, Trees};

/// Shows what changed in a bundle since it was unpacked, or between two images
///
/// Each change is a line: "A" (added), "M" (modified: content, attributes, time, type) or "D" (deleted, with all below it)
/// and the name from the root of the tree. That there are changes is no failure.
#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    /// A bundle, or an image, LAYOUT[:TAG]
    old: String,
    /// The image to compare the first with
    new: Option<ImageName>,
    /// Show what an overlayfs upper folder changes, which was mounted over the bundle's layers and is not mounted now
    #[arg(long, value_name = "DIR", conflicts_with = "new")]
    upper: Option<PathBuf>,
    /// The platform to take of images for several, as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::parse)]
    platform: Option<Platform>,
    /// One JSON object per line: kind (added, modified, deleted), path
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        let cancel = examples::interruption()?;
        let changes = match &self.new {
            Some(new) => self.between(&self.old.parse()?, new, &cancel)?,
            None => self.since()?,
        };
        for change in changes.changes() {
            let path = change.path.to_string_lossy();
            if self.json {
                print_line(json!({"kind": change.kind.to_string(), "path": path}));
                continue;
            }
            let letter = match change.kind {
                ChangeKind::Added => 'A',
                ChangeKind::Modified => 'M',
                ChangeKind::Deleted => 'D',
            };
            print_line(format!("{letter} {}", printable(&path)));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn since(&self) -> Result<diff::Diff, Failure> {
        let folder = Path::new(&self.old);
        let (state, snapshot) = State::read(folder)?;
        let options = PackOptions::default().owners(state.pack_owners());
        match &self.upper {
            Some(upper) => diff::overlay_upper(upper, &options)
                .map_err(|e| Failure::during(format!("looking for changes in {}", upper.display()), e)),
            None => bundle::changes(folder, &state, &snapshot, &options),
        }
    }

    fn between(&self, old: &ImageName, new: &ImageName, cancel: &CancelToken) -> Result<diff::Diff, Failure> {
        let scratch = Trees::new()?;
        let unpacked = |image: &ImageName, folder: &str| {
            let layout = image.open()?;
            let found = image.find(&layout, self.platform.as_ref())?;
            let folder = scratch.folder(folder);
            tree::unpack(&layout, &found, None, &folder, &image.to_string(), cancel)?;
            Ok::<_, Failure>(folder)
        };
        let (old, new) = (unpacked(old, "old")?, unpacked(new, "new")?);
        let options = PackOptions::default().owners(tree::owners());
        diff::trees(&old, &new, &options).map_err(|e| Failure::during("comparing the trees", e))
    }
}
