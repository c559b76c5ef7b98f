use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use benches::Failure;

use crate::contender::{Contender, Destination};
use crate::corpus::{self, Image, TAG};
use crate::{Settings, machine, own, table, tournament};

/// Image layout → root file system.
pub(crate) fn compare(settings: &Settings) -> Result<(), Failure> {
    let images = corpus::images(settings, &[])?;
    let scratch = settings.scratch()?;
    table::begin("layout → root file system", &machine::describe(scratch.path()), settings.runs)?;
    for image in &images {
        let mut contenders = vec![ours(image), umoci(image)];
        let only = image.only_gzip_layer()?;
        if let Some(layer) = &only {
            contenders.extend([gzip_and_tar(layer.clone()), bsdtar(layer.clone())]);
        }
        let timeout = Duration::from_secs(settings.timeout);
        let mut outcome = tournament::hold(&contenders, scratch.path(), settings.runs, timeout)?;
        if only.is_none() {
            outcome.left_out.push("gzip and tar, bsdtar: not one layer of gzip".to_owned());
        }
        table::print(&image.title(), &outcome)?;
    }
    Ok(())
}

fn ours(image: &Image) -> Contender {
    let layout = image.layout.clone();
    Contender::new("ours", &[], Destination::Absent, move |rootfs| {
        let mut command = own::command("unpack");
        command.arg(&layout).arg(rootfs);
        command
    })
}

fn umoci(image: &Image) -> Contender {
    let image = format!("{}:{TAG}", image.layout.display());
    Contender::new("umoci raw unpack", &["umoci"], Destination::Absent, move |rootfs| {
        let mut command = Command::new("umoci");
        command.args(["raw", "unpack"]);
        // As ours does by itself: the files of an ordinary user are that user's.
        if !rustix::process::geteuid().is_root() {
            command.arg("--rootless");
        }
        command.args(["--image", &image]).arg(rootfs);
        command
    })
}

/// Neither verifies, nor knows whiteouts.
fn gzip_and_tar(layer: PathBuf) -> Contender {
    let script = r#"gzip -dc -- "$1" | tar -C "$2" --numeric-owner -xpf -"#;
    Contender::new("gzip -dc \\| tar x", &["gzip", "tar"], Destination::Empty, move |rootfs| {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).args([layer.as_path(), rootfs]);
        command
    })
}

fn bsdtar(layer: PathBuf) -> Contender {
    Contender::new("bsdtar", &["bsdtar"], Destination::Empty, move |rootfs: &Path| {
        let mut command = Command::new("bsdtar");
        command.arg("-C").arg(rootfs).args(["--numeric-owner", "-xpf"]).arg(&layer);
        command
    })
}
