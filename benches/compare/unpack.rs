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
        if let Some(layers) = image.layers_of("gzip")? {
            contenders.push(decoder_and_tar("gzip -dc \\| tar x", &["gzip", "tar"], layers.clone()));
            contenders.push(decoder_and_tar("igzip -dc \\| tar x", &["igzip", "tar"], layers.clone()));
            contenders.push(bsdtar(layers));
        } else if let Some(layers) = image.layers_of("zstd")? {
            contenders.push(decoder_and_tar("zstd -dc \\| tar x", &["zstd", "tar"], layers.clone()));
            contenders.push(bsdtar(layers));
        }
        contenders.push(podman(image));
        let timeout = Duration::from_secs(settings.timeout);
        let outcome = tournament::hold(&contenders, scratch.path(), settings.runs, timeout)?;
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

/// Neither verifies, nor knows whiteouts: the layers go over one another. What cannot replace a lower layer's folder is
/// complained about and left out, which costs less than doing it.
const PIPE: &str = r#"
decoder=$1 folder=$2; shift 2; count=$#
for layer do
    "$decoder" -dc -- "$layer" | tar -C "$folder" --numeric-owner -xpf - || [ $count -gt 1 ] || exit 1
done"#;

const BSDTAR: &str = r#"
folder=$1; shift; count=$#
for layer do bsdtar -C "$folder" --numeric-owner -xpf "$layer" || [ $count -gt 1 ] || exit 1; done"#;

/// The first of the programs inflates.
fn decoder_and_tar(
    name: &'static str,
    programs: &'static [&'static str; 2],
    layers: Vec<PathBuf>,
) -> Contender {
    Contender::new(name, programs, Destination::Empty, move |rootfs| {
        let mut command = Command::new("sh");
        command.args(["-c", PIPE, "sh", programs[0]]).arg(rootfs).args(&layers);
        command
    })
}

fn bsdtar(layers: Vec<PathBuf>) -> Contender {
    Contender::new("bsdtar", &["bsdtar"], Destination::Empty, move |rootfs: &Path| {
        let mut command = Command::new("sh");
        command.args(["-c", BSDTAR, "sh"]).arg(rootfs).args(&layers);
        command
    })
}

/// Into a store of its own, as overlay layers. It mounts there, so it has a mount namespace, whose end unmounts; and a
/// `/run` in that, because the name of what it notes there may have 50 characters at most.
const PODMAN: &str = r#"mount -t tmpfs tmpfs /run && exec podman "$@""#;

fn podman(image: &Image) -> Contender {
    let image = format!("oci:{}:{TAG}", image.layout.display());
    Contender::new("podman pull (overlay)", &["podman", "unshare"], Destination::Empty, move |store| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", PODMAN, "sh", "--storage-driver", "overlay"]);
        command.arg("--root").arg(store.join("root")).args(["--runroot", "/run/podman"]);
        command.args(["pull", "-q", &image]).env("TMPDIR", store);
        command
    })
}
