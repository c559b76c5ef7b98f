//! The tools the programs are tried against, and the images they are tried with.
//!
//! A test that lacks one says so on standard error, past the capture of the test harness, and passes. The
//! project's CI counts those lines.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test support module")]

pub mod docker_registry;
pub mod overlay;
pub mod tree;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Says that a test cannot run here, and what it needs.
pub fn skip(test: &str, needs: &str) {
    // Not `eprintln!`: where the harness captures, it would keep it to itself.
    let _ = std::io::stderr().write_all(format!("SKIP {test}: needs {needs}\n").as_bytes());
}

/// Returns from the test with a visible word when a tool is not installed.
#[macro_export]
macro_rules! need_tools {
    ($test:literal, $($tool:literal),+) => {
        $(if !$crate::peers::has_tool($tool) {
            $crate::peers::skip($test, $tool);
            return;
        })+
    };
}

/// Returns from the test with a visible word when it is not run by root.
#[macro_export]
macro_rules! need_root {
    ($test:literal) => {
        if !rustix::process::geteuid().is_root() {
            $crate::peers::skip($test, "root");
            return;
        }
    };
}

/// The corpus folder, or a return from the test with a visible word.
#[macro_export]
macro_rules! need_corpus {
    ($test:literal) => {
        match $crate::peers::corpus() {
            Some(folder) => folder,
            None => {
                $crate::peers::skip(
                    $test,
                    "the corpus images (OCI_CORPUS, made by examples/tests/corpus/make-corpus.sh)",
                );
                return;
            }
        }
    };
}

/// Whether a program is on the PATH.
pub fn has_tool(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

/// The folder of image layouts that `corpus/make-corpus.sh` made, named by the variable OCI_CORPUS.
pub fn corpus() -> Option<PathBuf> {
    std::env::var_os("OCI_CORPUS")
        .map(PathBuf::from)
        .filter(|folder| folder.join("busybox/index.json").is_file())
}

/// Runs a program that must succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// An empty folder of the test's own on the disk that holds the build, because /tmp may be small.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A file beside the tests.
pub fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}
