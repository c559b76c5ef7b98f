//! `gc` and `fsck`: what goes, what stays, and what is told.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::scratch::{Scratch, json_of, names, text};

#[test]
fn what_no_tag_leads_to_goes() {
    let scratch = Scratch::new();
    let kept = scratch.small("v1");
    scratch.image("v2", &[|layer| layer.add_dir("x", 0o755).unwrap()], json!({"author": "v2"}));
    scratch.prints(&["untag", "images:v2"]);
    let blobs = || names(&scratch.path("images/blobs/sha256")).len();
    assert_eq!(blobs(), 7);
    let last = |out: &str| out.lines().last().unwrap().to_owned();
    // Somebody might still be about to tag the manifest, which keeps what it names.
    let out = scratch.prints(&["gc", "images"]);
    assert!(last(&out).starts_with("removed 0 (0 B), spared 1 "), "{out}");
    let dry = scratch.prints(&["gc", "images", "--grace=0", "--dry-run"]);
    assert!(last(&dry).starts_with("would remove 3 "), "{dry}");
    assert_eq!(dry.lines().count(), 4);
    assert_eq!(blobs(), 7);
    let out = scratch.prints(&["gc", "images", "--grace=0", "--json"]);
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.iter().filter(|event| event["event"] == "removed").count(), 3);
    assert_eq!(events.last().unwrap()["live"]["files"], 4);
    assert_eq!(blobs(), 4);
    scratch.prints(&["unpack", &format!("images@{}", kept.digest()), "bundle"]);
    assert!(last(&scratch.prints(&["gc", "images", "--grace=0"])).starts_with("removed 0 (0 B), spared 0 "));
    scratch.misused(&["gc", "images", "--grace=soon"], "expected an age");
    scratch.fails(
        &["gc", "nowhere"],
        &format!("{} is not an image layout: no such folder", scratch.path("nowhere").display()),
        "",
    );
}

/// Two layouts with their blobs in one folder: neither alone knows what is nobody's.
#[test]
fn shared_blobs_are_everybodys() {
    let scratch = Scratch::new();
    scratch.small("v1");
    scratch.image("v2", &[|layer| layer.add_dir("x", 0o755).unwrap()], json!({"author": "v2"}));
    fs::rename(scratch.path("images/blobs"), scratch.path("blobs")).unwrap();
    fs::create_dir(scratch.path("images/blobs")).unwrap();
    copy(&scratch.path("images"), &scratch.path("other"));
    let shared = |command: &'static str, more: &[&'static str]| {
        let options = ["images", "--shared-blob-dir", "blobs"];
        [&[command][..], &options[..], more].concat()
    };
    let untag = |layout: &str, tag: &str| scratch.prints(&["untag", &format!("{layout}:{tag}")]);
    untag("images", "v1");
    untag("images", "v2");
    untag("other", "v2");
    let blobs = || names(&scratch.path("blobs/sha256")).len();
    let before = blobs();
    let output = scratch.run(&shared("gc", &["--grace=0"]));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(blobs(), before);
    let out = scratch.prints(&shared("fsck", &[]));
    assert!(out.starts_with("info: ") && out.lines().count() == 1, "{out}");
    let out = scratch.prints(&shared("fsck", &["--sharing", "other"]));
    assert_eq!(out.lines().filter(|line| line.starts_with("info: ")).count(), 3, "{out}");
    let out = scratch.prints(&shared("gc", &["--grace=0", "--sharing", "other"]));
    assert!(out.lines().last().unwrap().starts_with("removed 3 "), "{out}");
    assert_eq!(blobs(), before - 3);
    scratch.misused(&["gc", "images", "--sharing", "other"], "--shared-blob-dir");
}

#[test]
fn damage_is_found_told_and_mended() {
    let scratch = Scratch::new();
    let manifest = scratch.small("v1");
    scratch.image("v2", &[|layer| layer.add_dir("x", 0o755).unwrap()], json!({"author": "v2"}));
    copy(&scratch.path("images"), &scratch.path("mirror"));
    assert_eq!(scratch.prints(&["fsck", "images"]), "");
    assert_eq!(scratch.prints(&["fsck", "images", "--level=diff-ids"]), "");
    let layout = scratch.layout("images");
    let manifest = json_of(layout.blob_path(manifest.digest()).unwrap());
    let blob = |n: usize| scratch.path("images/blobs").join(digest(&manifest, n).replace(':', "/"));
    fs::remove_file(blob(0)).unwrap();
    let mut bytes = fs::read(blob(1)).unwrap();
    bytes[20] ^= 1;
    fs::set_permissions(blob(1), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(blob(1), bytes).unwrap();

    let output = scratch.run(&["fsck", "images"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(
        (output.status.code(), err.as_str()),
        (Some(1), "error: images is damaged: 2 errors\n"),
        "{out}"
    );
    for n in [0, 1] {
        assert!(
            out.lines().any(|line| line.starts_with("error") && line.contains(&digest(&manifest, n))),
            "{out}"
        );
    }
    // The structure alone does not tell that bytes are wrong.
    let output = scratch.run(&["fsck", "images", "--level=structure", "--json"]);
    let events: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let problems: Vec<&Value> =
        events.iter().filter(|e| e["event"] == "finding").map(|e| &e["problem"]).collect();
    assert_eq!(problems, ["missing"]);
    assert_eq!(events.last().unwrap()["sound"], false);

    // Without a source the damaged blob is moved out of the way, and both are missing.
    let output = scratch.run(&["fsck", "images", "--repair"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains(&format!("quarantined {}", digest(&manifest, 1))));
    assert!(!blob(1).exists());
    let out = scratch.prints(&["fsck", "images", "--repair", "--from", "mirror"]);
    assert_eq!(out.lines().filter(|line| line.starts_with("fetched ")).count(), 2, "{out}");
    assert_eq!(scratch.prints(&["fsck", "images", "--level=diff-ids"]), "");
    scratch.prints(&["unpack", "images:v1", "bundle"]);
    scratch.misused(&["fsck", "images", "--from", "mirror"], "--repair");
}

#[test]
fn a_wrong_diff_id_is_found_by_decompressing() {
    let scratch = Scratch::new();
    let layout = scratch.layout("images");
    let layer = layout.put(oci_digest::MediaType::ImageLayer, &[0; 1024][..]).unwrap();
    let config = json!({"architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", "0".repeat(64))]}});
    layout.tag(&crate::scratch::put_manifest(&layout, &config, &[layer]), "v1").unwrap();
    assert_eq!(scratch.prints(&["fsck", "images"]), "");
    let output = scratch.run(&["fsck", "images", "--level=diff-ids"]);
    assert_eq!(text(&output.stderr), "error: images is damaged: 1 errors\n");
    assert!(text(&output.stdout).contains("diff"), "{}", text(&output.stdout));
}

fn digest(manifest: &Value, layer: usize) -> String {
    manifest["layers"][layer]["digest"].as_str().unwrap().to_owned()
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}
