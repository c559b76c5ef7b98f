//! Other programs read the layers: those who know nothing of whiteouts find them as files.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use oci_unpack::compression::Compression;
use oci_unpack::diff;
use oci_unpack::pack::PackOptions;

use crate::edits::{Dice, Where, edit, grow};
use crate::show;

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Extracts a layer into an empty folder.
fn extract(program: &str, blob: &Path, to: &Path) {
    let mut command = Command::new(program);
    command.arg("-xpf").arg(blob).arg("-C").arg(to).env("LC_ALL", "C.UTF-8");
    if program == "tar" {
        command.args(["--xattrs", "--xattrs-include=*"]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn layers_without_deletions_are_archives_for_everybody() {
    for program in ["tar", "bsdtar"] {
        if !is_there(program) {
            eprintln!("SKIP layers_without_deletions_are_archives_for_everybody: needs {program}");
            continue;
        }
        for (seed, compression) in [
            (500, Compression::Gzip),
            (501, Compression::None),
            (502, Compression::Zstd),
            (503, Compression::Gzip),
        ] {
            if compression == Compression::Zstd && program == "tar" && !is_there("zstd") {
                continue;
            }
            let dir = tempfile::tempdir().unwrap();
            let [empty, new, out, blob] = ["empty", "new", "out", "blob"].map(|name| dir.path().join(name));
            let mut dice = Dice::new(seed);
            for folder in [&empty, &new, &out] {
                fs::create_dir(folder).unwrap();
            }
            grow(&new, &mut dice, 30);
            edit(&new, &mut dice, 10, Where::Plain);
            // Whole seconds, which everybody keeps, and the same for those who compare.
            let options = PackOptions::default().compression(compression).latest_mtime(900);
            let diff = diff::trees(&empty, &new, &options).unwrap();
            diff.write(fs::File::create(&blob).unwrap()).unwrap();
            extract(program, &blob, &out);
            let bare = |tree: &Path| without_times(&show(tree));
            assert_eq!(bare(&out), bare(&new), "{program} {compression}");
        }
    }
}

/// Times are told apart by everybody in another way; names, kinds, modes, owners, targets and contents are not.
fn without_times(shown: &str) -> Vec<String> {
    let line = |line: &str| {
        let words: Vec<_> =
            line.split(' ').filter(|word| !word.starts_with('@') && !word.starts_with('{')).collect();
        words.join(" ")
    };
    shown.lines().map(line).filter(|line| line != "./").collect()
}
