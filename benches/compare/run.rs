use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use benches::Failure;
use clap::Args;
use oci_digest::content;
use oci_layout::ImageLayout;
use oci_runtime::spec::{self, ImageOptions};
use oci_unpack::{UnpackOptions, remove_tree, unpack};

use crate::contender::{Contender, Destination};
use crate::corpus::{self, Image, TAG};
use crate::{Settings, machine, own, table, tournament};

/// crun refuses control groups of both versions at once, and joining them costs more: all run in version 1 alone where
/// there are both. The mount namespace is this program's own, so that the machine keeps its mounts.
const PURE_V1: &str = r#"
    if grep -q ' /sys/fs/cgroup/unified ' /proc/self/mounts; then umount /sys/fs/cgroup/unified || exit; fi
    exec "$@""#;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    settings: Settings,
    /// The program to run, by its path in the image
    #[arg(long, value_name = "PATH", default_value = "/bin/true")]
    program: String,
    /// Already in a mount namespace of its own
    #[arg(long, hide = true)]
    inside: bool,
}

/// Start to end of a program in a container, as root.
pub(crate) fn compare(arguments: &Arguments) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err("run needs root: crun and runc are compared as they are mostly used".into());
    }
    if !arguments.inside {
        let error = Command::new("unshare")
            .args(["-m", "sh", "-c", PURE_V1, "sh"])
            .arg(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .arg("--inside")
            .exec();
        return Err(format!("unshare: {error}").into());
    }
    arguments.settings.on_each_scratch(|settings| on_one(settings, &arguments.program))
}

fn on_one(settings: &Settings, program: &str) -> Result<(), Failure> {
    let images = corpus::images(settings, &["busybox"])?;
    let scratch = settings.scratch()?;
    let job = format!("bundle → {program} → end");
    table::begin(&job, &machine::describe(scratch.path()), settings.runs)?;
    for image in &images {
        let bundle = Bundle::make(image, &scratch.path().join("bundle"), program)?;
        let contenders = [ours(&bundle), peer("crun", &bundle), peer("runc", &bundle)];
        let timeout = Duration::from_secs(settings.timeout);
        let outcome = tournament::hold(&contenders, scratch.path(), settings.runs, timeout)?;
        table::print(&image.title(), &outcome)?;
    }
    Ok(())
}

fn ours(bundle: &Bundle) -> Contender {
    let bundle = bundle.0.clone();
    Contender::new("ours", &[], Destination::Notes, move |state| {
        let mut command = own::command("run");
        command.args([&bundle, state]).arg(id(state));
        command
    })
    .undo(|state| {
        let mut command = own::command("delete");
        command.arg(state).arg(id(state));
        command
    })
}

fn peer(tool: &'static str, bundle: &Bundle) -> Contender {
    let bundle = bundle.0.clone();
    let needs = match tool {
        "crun" => &["crun"],
        _ => &["runc"],
    };
    let with_root = move |state: &Path| {
        let mut command = Command::new(tool);
        command.arg("--root").arg(state);
        command
    };
    Contender::new(tool, needs, Destination::Notes, move |state| {
        let mut command = with_root(state);
        command.arg("run").arg("--bundle").arg(&bundle).arg(id(state));
        command
    })
    .undo(move |state| {
        let mut command = with_root(state);
        command.args(["delete", "--force"]).arg(id(state));
        command
    })
}

/// Each turn's folder has a name of its own, and so has its container.
fn id(state: &Path) -> String {
    state.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// An unpacked image with the one config.json that all run. It goes with this value.
struct Bundle(PathBuf);

impl Bundle {
    fn make(image: &Image, folder: &Path, program: &str) -> Result<Self, Failure> {
        fs::create_dir(folder)?;
        let bundle = Self(folder.to_owned());
        let rootfs = folder.join("rootfs");
        let layout = ImageLayout::open(&image.layout)?;
        let image = content::image(&layout, TAG, None)?;
        let options = UnpackOptions::default();
        unpack(&layout, image.manifest.view(), image.config.view(), &rootfs, &options)?;
        let options = ImageOptions::default().entrypoint([program]).args(Vec::<String>::new());
        let spec = spec::from_image(image.config.view(), &rootfs, &options)?;
        fs::write(folder.join("config.json"), serde_json::to_vec_pretty(&spec)?)?;
        Ok(bundle)
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.0) {
            eprintln!("compare: {} stays behind: {error}", self.0.display());
        }
    }
}
