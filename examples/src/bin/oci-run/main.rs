//! `oci-run`: pulls an image, unpacks it, runs it, and leaves nothing behind but the image.
#![forbid(unsafe_code)]

mod run;
mod signals;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use store::Store;

/// Runs programs out of container images.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The folder that keeps images and containers [default: /var/lib/oci-run for root, else
    /// $XDG_DATA_HOME/oci-run or ~/.local/share/oci-run]
    #[arg(long, value_name = "DIR", global = true)]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a program of an image in a new container
    Run(run::Run),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = arguments.root.map_or_else(Store::default_root, Ok).and_then(|root| {
        let store = Store::open(root)?;
        match arguments.command {
            Command::Run(run) => run.go(&store),
        }
    });
    outcome.unwrap_or_else(|failure| failure.report())
}
