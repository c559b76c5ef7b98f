use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use benches::Failure;

use crate::contender::{Contender, Destination};
use crate::corpus::{self, Image};
use crate::{Settings, machine, own, table, tournament};

/// Folder → one layer of gzip.
pub(crate) fn compare(settings: &Settings) -> Result<(), Failure> {
    let images = corpus::images(settings, &["python"])?;
    let scratch = settings.scratch()?;
    table::begin("folder → layer of gzip", &machine::describe(scratch.path()), settings.runs)?;
    for image in &images {
        let tree = scratch.path().join("tree");
        unpack(image, &tree)?;
        let contenders = [ours(&tree), tar_and_gzip(&tree), umoci(&tree)];
        let timeout = Duration::from_secs(settings.timeout);
        let outcome = tournament::hold(&contenders, scratch.path(), settings.runs, timeout)?;
        table::print(&image.title(), &outcome)?;
        for contender in &contenders[..2] {
            let blob = scratch.path().join("blob");
            fs::create_dir(&blob)?;
            if (contender.command)(&blob).stderr(Stdio::null()).status()?.success() {
                let size = fs::metadata(blob.join(LAYER))?.len();
                let name = contender.name.replace('\\', "");
                table::note(&format!("Size of the layer, {name}: {:.1} MB", size as f64 / 1e6))?;
            }
            fs::remove_dir_all(&blob)?;
        }
        oci_unpack::remove_tree(&tree)?;
    }
    Ok(())
}

/// The blob's name in the folder of a turn.
const LAYER: &str = "layer.tar.gz";

fn unpack(image: &Image, tree: &Path) -> Result<(), Failure> {
    let status = own::command("unpack").arg(&image.layout).arg(tree).status()?;
    if status.success() { Ok(()) } else { Err(format!("unpacking {}: {status}", image.name).into()) }
}

fn ours(tree: &Path) -> Contender {
    let tree = tree.to_path_buf();
    Contender::new("ours", &[], Destination::Empty, move |folder| {
        let mut command = own::command("pack");
        command.arg(&tree).arg(folder.join(LAYER));
        command
    })
}

/// Hashes nothing.
fn tar_and_gzip(tree: &Path) -> Contender {
    let script = r#"tar -C "$1" --numeric-owner -cf - . | gzip -6 -n > "$2""#;
    shell("tar c \\| gzip -6", &["tar", "gzip"], script, tree.to_path_buf(), LAYER)
}

/// The command that makes a layer of a folder as `repack` does, without the walk that finds out what changed.
fn umoci(tree: &Path) -> Contender {
    let script = r#"
        umoci init --layout "$2" && umoci new --image "$2:latest" &&
        if [ "$(id -u)" = 0 ]; then umoci insert --image "$2:latest" "$1" /
        else umoci insert --rootless --image "$2:latest" "$1" /; fi
    "#;
    shell("umoci insert", &["umoci"], script, tree.to_path_buf(), "layout")
}

fn shell(
    name: &'static str,
    needs: &'static [&'static str],
    script: &'static str,
    tree: PathBuf,
    result: &'static str,
) -> Contender {
    Contender::new(name, needs, Destination::Empty, move |folder| {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).args([tree.clone(), folder.join(result)]);
        command
    })
}
