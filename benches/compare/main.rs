//! `compare`: this project's crates beside the tools that people have, on this machine, now.
//!
//! Every tool is a process of its own, ours too: this executable in one of its `own` modes. Tools take turns, so that
//! what else the machine does meets all of them; results are a Markdown table on standard output.
#![forbid(unsafe_code)]

mod contender;
mod corpus;
mod machine;
mod measure;
mod own;
mod pack;
mod pull;
mod registry;
mod run;
mod statistics;
mod table;
mod tournament;
mod unpack;

use std::path::PathBuf;
use std::process::ExitCode;

use benches::Failure;
use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about, version)]
struct Arguments {
    #[command(subcommand)]
    job: Job,
}

#[derive(Debug, Subcommand)]
enum Job {
    /// Registry on loopback → image layout: skopeo, and curl that hashes nothing
    Pull(Settings),
    /// Image layout → root file system: umoci, gzip, igzip or zstd and tar, bsdtar, podman
    Unpack(Settings),
    /// Folder → layer: tar and gzip, umoci
    Pack(Settings),
    /// Start to end of /bin/true in a container: crun, runc
    Run(run::Arguments),
    /// What is timed of ours
    #[command(subcommand, hide = true)]
    Own(own::Job),
}

/// How and on what is measured.
#[derive(Debug, Clone, Args)]
struct Settings {
    /// Rounds in which each tool has one turn; fewer than five are no measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// The folder of image layouts that examples/tests/corpus/make-corpus.sh made [default: $OCI_CORPUS]
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// The images of it to measure with [default: all; for run: busybox]
    #[arg(long = "image", value_name = "NAME", num_args = 1..)]
    images: Vec<String>,
    /// Where everything is written, in a folder that is removed; given several times, everything is measured on each
    /// [default: the temporary folder]
    #[arg(long, value_name = "DIR")]
    scratch: Vec<PathBuf>,
    /// The longest that one turn of one tool may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
}

impl Settings {
    /// Measures on each of the places for what is written.
    fn on_each_scratch(&self, measure: impl Fn(&Self) -> Result<(), Failure>) -> Result<(), Failure> {
        if self.scratch.len() < 2 {
            return measure(self);
        }
        self.scratch.iter().try_for_each(|one| measure(&Self { scratch: vec![one.clone()], ..self.clone() }))
    }

    /// A folder for everything that is written; it goes with the value.
    fn scratch(&self) -> Result<tempfile::TempDir, Failure> {
        let parent = self.scratch.first().cloned().unwrap_or_else(std::env::temp_dir);
        tempfile::Builder::new()
            .prefix("compare-")
            .tempdir_in(&parent)
            .map_err(|e| format!("{}: {e}", parent.display()).into())
    }
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().job {
        Job::Pull(settings) => settings.on_each_scratch(pull::compare),
        Job::Unpack(settings) => settings.on_each_scratch(unpack::compare),
        Job::Pack(settings) => pack::compare(&settings),
        Job::Run(arguments) => run::compare(&arguments),
        Job::Own(job) => job.perform(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(error);
            ExitCode::FAILURE
        }
    }
}

fn report(error: Failure) {
    eprintln!("compare: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        eprintln!("  because: {error}");
        source = error.source();
    }
}
