//! `oci-copy`: brings images from any place to any other, and shows what is there.
#![forbid(unsafe_code)]

mod copy;
mod destination;
mod inspect;
mod list_tags;
mod place;
mod plan;
mod source;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Brings container images from any place to any other, and shows what is there.
///
/// Places: docker://HOST/NAME:TAG, a repository of a registry; oci:FOLDER:TAG, an image layout; oci-archive:FILE:TAG and
/// docker-archive:FILE:NAME:TAG, one file, "-" being standard input or output; dir:FOLDER, one image in a flat folder.
/// Tags, and names in archives, may be left out.
///
/// Every byte is verified. On an error or an interruption no tag is set and no archive is left; what a layout or a
/// registry got until then need not be sent again. The exit status is 0; 1 for a failure, with one line "error: …" on
/// standard error and a line "caused by: …" for each cause; 2 for a wrong command line. An interrupted command ends by
/// the signal.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Copy(Box<copy::Copy>),
    Inspect(inspect::Inspect),
    ListTags(list_tags::ListTags),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Copy(command) => command.go(),
        Command::Inspect(command) => command.go(),
        Command::ListTags(command) => command.go(),
    };
    examples::end(outcome.map(|()| ExitCode::SUCCESS))
}
