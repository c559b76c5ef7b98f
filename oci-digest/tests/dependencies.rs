//! A crate's dependencies are part of its promise. Each crate of the family includes this test and has a list.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

#[test]
fn are_those_of_the_list() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "-p",
            env!("CARGO_PKG_NAME"),
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--locked",
            "--offline",
        ])
        .current_dir(folder)
        .output();
    let output = match output {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            eprintln!("SKIP are_those_of_the_list: needs a cargo that this user may run");
            return;
        }
        output => output.unwrap(),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let is: BTreeSet<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let list = std::fs::read_to_string(folder.join("tests/dependencies.txt")).unwrap();
    let promised: BTreeSet<&str> = list.lines().collect();
    let (new, gone): (Vec<_>, Vec<_>) =
        (is.difference(&promised).collect(), promised.difference(&is).collect());
    assert!(new.is_empty() && gone.is_empty(), "new: {new:?}, gone: {gone:?}");
}
