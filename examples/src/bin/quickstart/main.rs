//! `quickstart`: the whole way with nothing installed and no network. It builds an image out of itself, pushes it to
//! the embedded registry over loopback HTTP, pulls it into a layout, unpacks it, and runs it in a container with
//! limits. With arguments, `quickstart IMAGE [CMD…]`, it pulls, unpacks and runs that image.
#![forbid(unsafe_code)]

mod inside;
mod own_files;
mod own_image;
mod steps;
mod work;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use examples::{Access, Failure};
use oci_client::Reference;
use oci_client::registry::Registry;
use oci_digest::content::{self, CopyOptions, MemoryStore};
use oci_layout::ImageLayout;
use oci_runtime::spec::ImageOptions;
use oci_unpack::{UnpackOptions, unpack};
use steps::Steps;
use work::Work;

/// From a registry to a running process.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    access: Access,
    /// An image to run instead of the one built out of this program
    image: Option<String>,
    /// The program and its arguments instead of the image's own
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    if Path::new(&name).file_name().is_some_and(|name| name == own_image::INSIDE) {
        return inside::report(&mut io::stdout())
            .map_or_else(|e| Failure::from(e).report(), |()| ExitCode::SUCCESS);
    }
    let arguments = Arguments::parse();
    let outcome = match &arguments.image {
        Some(image) => {
            image.parse().map_err(Failure::from).and_then(|image| of_reference(&image, &arguments))
        }
        None => of_itself(),
    };
    outcome.unwrap_or_else(|failure| failure.report())
}

/// Builds, pushes, pulls, unpacks and runs this program's own image.
fn of_itself() -> Result<ExitCode, Failure> {
    let mut steps = Steps::begin()?;
    let built = MemoryStore::new();
    let image = own_image::build(&built, "latest")?;
    let bytes = content::image(&built, "latest", None)?
        .manifest
        .view()
        .layers()
        .iter()
        .map(|layer| layer.size())
        .sum();
    steps.done("build", bytes, image.digest(), "an image out of this program and what it has loaded")?;

    let server = Registry::builder().start().map_err(|e| Failure::during("starting the registry", e))?;
    let reference: Reference = format!("{}/quickstart:latest", server.host()).parse()?;
    let repository = Access::default().repository(&reference)?;
    let report = content::copy(&built, "latest", &repository, &CopyOptions::default())
        .map_err(|e| Failure::during(format!("pushing {reference}"), e))?;
    drop(built);
    steps.done("push", report.sent_bytes, report.root.digest(), &format!("to {reference}"))?;
    pull_and_run(&reference, &Access::default(), &[], &mut steps)
}

/// The same from the pull on, with an image of somebody else's.
fn of_reference(reference: &Reference, arguments: &Arguments) -> Result<ExitCode, Failure> {
    pull_and_run(reference, &arguments.access, &arguments.command, &mut Steps::begin()?)
}

fn pull_and_run(
    reference: &Reference,
    access: &Access,
    command: &[String],
    steps: &mut Steps,
) -> Result<ExitCode, Failure> {
    let work = Work::new()?;
    let layout = ImageLayout::create(work.layout())?;
    let report = examples::pull(reference, access, &layout, "latest", |_| {})?;
    steps.done("pull", report.sent_bytes, report.root.digest(), "into an image layout")?;

    let image = content::image(&layout, "latest", None)?;
    let rootfs = work.rootfs();
    let unpacked =
        unpack(&layout, image.manifest.view(), image.config.view(), &rootfs, &UnpackOptions::default())
            .map_err(|e| Failure::during(format!("unpacking {reference}"), e))?;
    let remark = format!("{} entries, every diffID verified", unpacked.entries());
    steps.done("unpack", unpacked.bytes(), image.config.digest(), &remark)?;

    let mut options = ImageOptions::default()
        .user_namespace(examples::user_namespace())
        .hostname("quickstart")
        .no_new_privileges(true);
    if !command.is_empty() {
        options = options.args(command);
    }
    writeln!(io::stdout(), "{:-<8} what the process in the container prints:", "")?;
    let (status, limits) = work.run(image.config.view(), options)?;
    writeln!(io::stdout(), "{:-<8}", "")?;
    steps.done(
        "run",
        0,
        image.manifest.digest(),
        &format!("exit code {}, limits: {limits}", status.shell_code()),
    )?;
    if let Some(peak) = steps::peak_memory() {
        writeln!(io::stdout(), "peak memory of this program: {peak} KiB")?;
    }
    Ok(ExitCode::from(status.shell_code()))
}
