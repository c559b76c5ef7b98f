//! The crate's dependency list is part of its promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::process::Command;

#[test]
fn dependencies_are_the_listed_ones() {
    let crate_name = env!("CARGO_PKG_NAME");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let tree = Command::new(cargo)
        .args([
            "tree",
            "--package",
            crate_name,
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--locked",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).unwrap();
    let actual: BTreeSet<&str> =
        text.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty()).collect();
    let listed: BTreeSet<&str> = include_str!("dependencies.txt").lines().collect();
    let new: Vec<_> = actual.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&actual).collect();
    assert!(new.is_empty() && gone.is_empty(), "dependencies.txt lacks {new:?} and should not have {gone:?}");
}
