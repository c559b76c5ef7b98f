//! `oci-image unpack`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use examples::{Failure, ImageName, Progress};
use oci_digest::content::Image;
use oci_digest::{Platform, platform};
use oci_layout::ImageLayout;
use oci_unpack::{Limits, OverlayFormat, Ownership, UnpackOptions, overlay};
use serde_json::json;

use crate::bundle::{self, Users};
use crate::mounted;
use crate::state::{Format, Owners, State};
use crate::tell;

/// Unpacks an image into a bundle: a root file system and a runtime's config.json
///
/// The bundle holds rootfs/, config.json, which runtimes as runc and crun take, and oci-image.state, which "repack"
/// and "diff" need. BUNDLE must be absent or an empty folder; it is made beside itself and renamed when every digest was
/// right.
///
/// Root gives the files the owners of the image. An ordinary user owns all of them, and devices are left out with a
/// warning each; see --rootless.
#[derive(Debug, clap::Args)]
pub(crate) struct Unpack {
    /// Unpack the files only, into BUNDLE itself; it cannot be repacked
    #[arg(long)]
    rootfs_only: bool,
    /// Unpack one folder for each layer, as overlayfs wants them: BUNDLE/layers/0 is the lowest, BUNDLE/rootfs is empty and
    /// the place to mount them on with lowerdir=BUNDLE/layers/1:BUNDLE/layers/0 (and userxattr, if oci-image.state says
    /// "overlay":"user"). With --rootfs-only the folders are in BUNDLE itself. "repack --upper" takes changes up
    #[arg(long)]
    overlay: bool,
    /// Work as an ordinary user does, and record the image's owners in extended attributes, from which "repack" takes
    /// them: user.rootlesscontainers, which umoci and PRoot know, or user.containers.override_stat, which
    /// fuse-overlayfs and podman know and which also stands for devices; or drop them
    #[arg(long, value_enum, value_name = "POLICY", num_args = 0..=1, require_equals = true,
        default_missing_value = "rootlesscontainers")]
    rootless: Option<Rootless>,
    /// Every warning is an error
    #[arg(long)]
    strict: bool,
    /// The platform to take of an image for several, as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::parse)]
    platform: Option<Platform>,
    /// The most bytes of files over all layers, as 2g [default: 1 TiB]
    #[arg(long, value_name = "SIZE", value_parser = oci_runtime::spec::parse_size)]
    max_size: Option<u64>,
    /// The most entries over all layers [default: 10 million]
    #[arg(long, value_name = "N")]
    max_entries: Option<u64>,
    /// Tell what happens as one JSON object per line on standard output. Member "event": "start" (layers, bytes),
    /// "layer-started" (layer, digest), "progress" (layer, entries, bytes), "layer-done" (layer, entries, bytes),
    /// "warning" (path, message), "done" (entries, bytes, warnings)
    #[arg(long)]
    json: bool,
    /// The image: LAYOUT[:TAG] or LAYOUT@DIGEST
    image: ImageName,
    /// Where it goes
    bundle: PathBuf,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Rootless {
    Rootlesscontainers,
    OverrideStat,
    Drop,
}

impl Unpack {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        let cancel = examples::interruption()?;
        let progress = Progress::new(self.json);
        let layout = self.image.open()?;
        let image = self.image.find(&layout, self.platform.as_ref())?;
        let limits = Limits::default();
        let limits = self.max_size.map_or(limits.clone(), |bytes| limits.bytes(bytes));
        let limits = self.max_entries.map_or(limits.clone(), |entries| limits.entries(entries));
        let options = UnpackOptions::default()
            .ownership(self.ownership())
            .limits(limits)
            .strict(self.strict)
            .snapshot(!self.rootfs_only && !self.overlay)
            .cancel(cancel)
            .observer(tell::unpacking(&progress, &image));
        let report = self.unpack_into(&layout, &image, &options, &progress);
        progress.finish();
        let report = report?;
        progress.event(&json!({
            "event": "done",
            "entries": report.entries(),
            "bytes": report.bytes(),
            "warnings": progress.warnings(),
        }));
        Ok(ExitCode::SUCCESS)
    }

    fn unpack_into(
        &self,
        layout: &ImageLayout,
        image: &Image,
        options: &UnpackOptions,
        progress: &Progress,
    ) -> Result<oci_unpack::Report, Failure> {
        tell::start(progress, image);
        let files = |destination: &Path| {
            let source = progress.counted(layout);
            let (manifest, config) = (image.manifest.view(), image.config.view());
            if self.overlay {
                overlay::unpack(&source, manifest, config, destination, options)
            } else {
                oci_unpack::unpack(&source, manifest, config, destination, options)
            }
            .map_err(|e| Failure::during(format!("unpacking {}", self.image), e))
        };
        if self.rootfs_only {
            return files(&self.bundle);
        }
        let mut state =
            State::new(layout.path(), self.image.name_or_latest(), &image.descriptor, self.owners());
        bundle::make(&self.bundle, image, self.strict, progress, |folder| {
            let rootfs = folder.join("rootfs");
            let report = files(&if self.overlay { folder.join("layers") } else { rootfs.clone() })?;
            let mut users = Users::In(rootfs);
            if self.overlay {
                state.overlay = Some(match report.overlay {
                    Some(OverlayFormat::User) => Format::User,
                    _ => Format::Trusted,
                });
                let layers = overlay::lower_dirs(&folder.join("layers"), report.layers.len());
                users = Users::Of(mounted::users(&layers)?);
                make_folder(&folder.join("rootfs"))?;
            }
            let mut snapshot = Vec::new();
            if let Some(taken) = &report.snapshot {
                taken.write_to(&mut snapshot)?;
            }
            state.write(folder, &snapshot)?;
            Ok((report, users))
        })
    }

    fn ownership(&self) -> Ownership {
        match self.rootless {
            None => Ownership::Auto,
            Some(Rootless::Rootlesscontainers) => Ownership::RootlessContainers,
            Some(Rootless::OverrideStat) => Ownership::OverrideStat,
            Some(Rootless::Drop) => Ownership::Drop,
        }
    }

    /// What that comes to for this user.
    fn owners(&self) -> Owners {
        match self.rootless {
            None if rustix::process::geteuid().is_root() => Owners::Applied,
            None | Some(Rootless::Drop) => Owners::Dropped,
            Some(Rootless::Rootlesscontainers) => Owners::Rootlesscontainers,
            Some(Rootless::OverrideStat) => Owners::OverrideStat,
        }
    }
}

/// A folder that is 0755 whatever the umask.
fn make_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .map_err(|e| Failure::during(format!("making {}", path.display()), e))
}
