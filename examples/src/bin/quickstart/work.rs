//! The folder in which the way is gone, and the container at its end.

use std::path::PathBuf;

use examples::Failure;
use oci_digest::ImageConfiguration;
use oci_runtime::runtime_spec::{PosixRlimit, PosixRlimitBuilder, PosixRlimitType};
use oci_runtime::spec::{self, ImageOptions};
use oci_runtime::{Container, Error, ExitStatus, Options};
use tempfile::TempDir;

/// At most this much memory, this many processes, this many open files.
const MEMORY: u64 = 1 << 30;
const PIDS: i64 = 256;
const OPEN_FILES: u64 = 256;

/// A temporary folder; nothing of it stays.
#[derive(Debug)]
pub(crate) struct Work(TempDir);

impl Work {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self(TempDir::new().map_err(|e| Failure::during("creating a temporary folder", e))?))
    }

    pub(crate) fn layout(&self) -> PathBuf {
        self.0.path().join("layout")
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.0.path().join("rootfs")
    }

    /// Runs the image in a container with limits, and tells which ones.
    pub(crate) fn run(
        &self,
        image: &ImageConfiguration,
        options: ImageOptions,
    ) -> Result<(ExitStatus, String), Failure> {
        let options = options.rlimit(open_files()?);
        let files = format!("{OPEN_FILES} open files");
        let limited = options.clone().memory(MEMORY).pids(PIDS);
        let (mut container, limits) = match self.start(image, &limited) {
            Ok(container) => (container, format!("{} MiB memory, {PIDS} processes, {files}", MEMORY >> 20)),
            // Control groups are root's, unless some were delegated to this user. The rest needs none.
            Err(Error::Unsupported { reason, .. }) => {
                let container = self.start(image, &options).map_err(examples::not_run)?;
                (container, format!("{files}; none of memory and processes: {reason}"))
            }
            Err(error) => return Err(examples::not_run(error)),
        };
        let status = container.wait();
        container.delete(true)?;
        Ok((status?, limits))
    }

    fn start(&self, image: &ImageConfiguration, options: &ImageOptions) -> oci_runtime::Result<Container> {
        let spec = spec::from_image(image, &self.rootfs(), options)?;
        let id = format!("quickstart-{}", std::process::id());
        Container::run(&spec, Options::new(id).state_root(self.0.path().join("state")))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // A temporary folder cannot remove what an image closed even to its owner.
        let _ = oci_unpack::remove_tree(&self.rootfs());
    }
}

fn open_files() -> Result<PosixRlimit, Failure> {
    let limit =
        PosixRlimitBuilder::default().typ(PosixRlimitType::RlimitNofile).soft(OPEN_FILES).hard(OPEN_FILES);
    Ok(limit.build()?)
}
