//! What is timed of ours: each a whole process, as the other tools are.

use std::path::{Path, PathBuf};
use std::process::Command;

use benches::Failure;
use clap::Subcommand;
use oci_client::Reference;
use oci_client::blocking::Client;
use oci_digest::content::{self, CopyOptions, Platforms};
use oci_layout::{ImageLayout, LayoutOptions, SyncPolicy};
use oci_runtime::{Bundle, Container, Options};
use oci_unpack::{UnpackOptions, unpack};

use crate::corpus::TAG;

#[derive(Debug, Subcommand)]
pub(crate) enum Job {
    /// Registry → layout
    Pull {
        reference: String,
        layout: PathBuf,
        /// Force nothing to the disk
        #[arg(long)]
        no_sync: bool,
    },
    /// Layout → root file system
    Unpack { layout: PathBuf, rootfs: PathBuf },
    /// Folder → layer
    Pack { folder: PathBuf, layer: PathBuf },
    /// Bundle → a process, to its end
    Run { bundle: PathBuf, state: PathBuf, id: String },
    /// Whatever is left of a run that was ended → nothing; not timed
    Delete { state: PathBuf, id: String },
}

/// This executable, to perform one of these jobs.
pub(crate) fn command(job: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    if let Ok(path) = std::env::current_exe() {
        command = Command::new(path);
    }
    command.args(["own", job]);
    command
}

impl Job {
    pub(crate) fn perform(self) -> Result<(), Failure> {
        match self {
            Self::Pull { reference, layout, no_sync } => pull(&reference, &layout, no_sync),
            Self::Unpack { layout, rootfs } => unpack_image(&layout, &rootfs),
            Self::Pack { folder, layer } => {
                let blob = std::fs::File::create(layer)?;
                oci_unpack::pack::pack(&folder, blob, &oci_unpack::pack::PackOptions::default())?;
                Ok(())
            }
            Self::Run { bundle, state, id } => run(&bundle, state, id),
            Self::Delete { state, id } => Ok(Container::load(Some(&state), &id)?.delete(true)?),
        }
    }
}

fn pull(reference: &str, layout: &Path, no_sync: bool) -> Result<(), Failure> {
    let reference: Reference = reference.parse()?;
    let repository = Client::new()?.repository(&reference)?;
    let sync = if no_sync { SyncPolicy::None } else { SyncPolicy::default() };
    let layout = LayoutOptions::default().sync(sync).create(layout)?;
    let options = CopyOptions::default().platforms(Platforms::Host);
    content::copy(&repository, reference.target(), &layout, &options)?;
    Ok(())
}

fn unpack_image(layout: &Path, rootfs: &Path) -> Result<(), Failure> {
    let layout = ImageLayout::open(layout)?;
    let image = content::image(&layout, TAG, None)?;
    unpack(&layout, image.manifest.view(), image.config.view(), rootfs, &UnpackOptions::default())?;
    Ok(())
}

fn run(bundle: &Path, state: PathBuf, id: String) -> Result<(), Failure> {
    let bundle = Bundle::open(bundle)?;
    let options = Options::new(id).bundle(&bundle.path).state_root(state);
    let mut container = Container::run(&bundle.spec, options)?;
    let status = container.wait();
    container.delete(true)?;
    let status = status?;
    if status.success() { Ok(()) } else { Err(format!("the container's process: {status}").into()) }
}
