//! Images unpacked for a comparison, with their owners.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use examples::{Failure, Progress};
use oci_digest::content::Image;
use oci_digest::{CancelToken, ImageConfiguration, ImageManifest};
use oci_layout::ImageLayout;
use oci_unpack::pack::Owners;
use oci_unpack::{Event, Ownership, UnpackOptions};
use tempfile::TempDir;

/// A folder for trees, removed with all of them, whatever they hold: not even their owner may be able to enter all.
pub(crate) struct Trees(TempDir);

impl Trees {
    pub(crate) fn new() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        // A umask may take even its maker's rights.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700))?;
        Ok(Self(folder))
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for Trees {
    fn drop(&mut self) {
        // The folder itself goes after what is in it.
        for entry in std::fs::read_dir(self.0.path()).into_iter().flatten().flatten() {
            let _ = oci_unpack::remove_tree(&entry.path());
        }
    }
}

/// How owners are kept: root sets them, others record them, with devices and pipes.
pub(crate) fn owners() -> Owners {
    if rustix::process::geteuid().is_root() { Owners::Keep } else { Owners::OverrideStat }
}

/// Unpacks an image, or its lowest layers, into a folder; `name` is what warnings call it.
pub(crate) fn unpack(
    layout: &ImageLayout,
    image: &Image,
    layers: Option<usize>,
    folder: &Path,
    name: &str,
    cancel: &CancelToken,
) -> Result<(), Failure> {
    let (progress, place) = (Progress::new(false), name.to_owned());
    let ownership = if owners() == Owners::Keep { Ownership::Auto } else { Ownership::OverrideStat };
    let options =
        UnpackOptions::default().ownership(ownership).cancel(cancel.clone()).observer(move |event| {
            if let Event::Warning { path, warning, .. } = event {
                progress.warn(&format!("{place}: {path}"), &warning.to_string());
            }
        });
    let (mut manifest, mut config) = (image.manifest.view().clone(), image.config.view().clone());
    if let Some(layers) = layers {
        cut(&mut manifest, &mut config, layers);
    }
    oci_unpack::unpack(layout, &manifest, &config, folder, &options)
        .map_err(|e| Failure::during(format!("unpacking {name}"), e))?;
    Ok(())
}

fn cut(manifest: &mut ImageManifest, config: &mut ImageConfiguration, layers: usize) {
    let lowest = manifest.layers().iter().take(layers).cloned().collect();
    manifest.set_layers(lowest);
    let mut rootfs = config.rootfs().clone();
    let lowest = rootfs.diff_ids().iter().take(layers).cloned().collect();
    rootfs.set_diff_ids(lowest);
    config.set_rootfs(rootfs);
}
