//! `oci-image`: works on images in layout folders: unpacks, changes, lists, checks and cleans up.
#![forbid(unsafe_code)]
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the documentation of the arguments is the help, where [:TAG] is no link"
)]

mod append;
mod artifact;
mod bundle;
mod config;
mod diff;
mod fsck;
mod gc;
mod history;
mod index;
mod layer;
mod ls;
mod mounted;
mod new;
mod rebase;
mod repack;
mod squash;
mod stat;
mod state;
mod tag;
mod tell;
mod tree;
mod unpack;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Works on images in OCI image layouts: unpacks and packs them, changes what they say, lists, checks and cleans up.
///
/// An image is named LAYOUT:TAG or LAYOUT@DIGEST; without either the tag is "latest". LAYOUT is a folder.
///
/// Every command does all of its work or none: on an error, a limit or an interruption the destination is as it was
/// before. The exit status is 0; 1 for a failure, with one line "error: …" on standard error and a line "caused by: …"
/// for each cause; 2 for a wrong command line. An interrupted command cleans up and ends by the signal. A warning is one
/// line "warning: WHERE: WHAT" on standard error.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Unpack(unpack::Unpack),
    Repack(repack::Repack),
    Diff(diff::Diff),
    Append(append::Append),
    Config(Box<config::Config>),
    Squash(squash::Squash),
    Rebase(rebase::Rebase),
    Index(index::Index),
    Artifact(artifact::Artifact),
    Referrers(artifact::Referrers),
    New(new::New),
    Ls(ls::Ls),
    Stat(stat::Stat),
    Tag(tag::Tag),
    Untag(tag::Untag),
    Gc(gc::Gc),
    Fsck(fsck::Fsck),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Unpack(command) => command.go(),
        Command::Repack(command) => command.go(),
        Command::Diff(command) => command.go(),
        Command::Append(command) => command.go(),
        Command::Config(command) => command.go(),
        Command::Squash(command) => command.go(),
        Command::Rebase(command) => command.go(),
        Command::Index(command) => command.go(),
        Command::Artifact(command) => command.go(),
        Command::Referrers(command) => command.go(),
        Command::New(command) => command.go(),
        Command::Ls(command) => command.go(),
        Command::Stat(command) => command.go(),
        Command::Tag(command) => command.go(),
        Command::Untag(command) => command.go(),
        Command::Gc(command) => command.go(),
        Command::Fsck(command) => command.go(),
    };
    examples::end(outcome)
}
