//! `oci-image diff`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use examples::{Failure, ImageName, Progress, print_line, printable};
use oci_digest::{CancelToken, Platform, platform};
use oci_unpack::diff::{self, ChangeKind};
use oci_unpack::pack::{Owners, PackOptions};
use oci_unpack::{Ownership, UnpackOptions};
use serde_json::json;

use crate::bundle;
use crate::state::State;

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

    /// Unpacks both, with the owners: set by root, recorded by others.
    fn between(&self, old: &ImageName, new: &ImageName, cancel: &CancelToken) -> Result<diff::Diff, Failure> {
        let (ownership, owners) = if rustix::process::geteuid().is_root() {
            (Ownership::Auto, Owners::Keep)
        } else {
            (Ownership::OverrideStat, Owners::OverrideStat)
        };
        let scratch = tempfile::tempdir()?;
        let progress = Progress::new(false);
        let mut folders = Vec::new();
        for (image, folder) in [(old, "old"), (new, "new")] {
            let layout = image.open()?;
            let found = image.find(&layout, self.platform.as_ref())?;
            let folder = scratch.path().join(folder);
            let (told, place) = (progress.clone(), image.to_string());
            let options =
                UnpackOptions::default().ownership(ownership).cancel(cancel.clone()).observer(move |event| {
                    if let oci_unpack::Event::Warning { path, warning, .. } = event {
                        told.warn(&format!("{place}: {path}"), &warning.to_string());
                    }
                });
            oci_unpack::unpack(&layout, found.manifest.view(), found.config.view(), &folder, &options)
                .map_err(|e| Failure::during(format!("unpacking {image}"), e))?;
            folders.push(folder);
        }
        let options = PackOptions::default().owners(owners);
        let (old, new) = (scratch.path().join("old"), scratch.path().join("new"));
        let changes =
            diff::trees(&old, &new, &options).map_err(|e| Failure::during("comparing the trees", e));
        for folder in folders {
            // An image may hold folders that not even their owner can enter.
            let _ = oci_unpack::remove_tree(&folder);
        }
        changes
    }
}
