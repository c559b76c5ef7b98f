//! Wrong input: the exact exit status and `error:` line, and nothing left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use oci_digest::MediaType;
use serde_json::json;

use crate::scratch::{Fill, Scratch, put_manifest};

#[test]
fn wrong_names() {
    let scratch = Scratch::new();
    scratch.small("v1");
    let images = scratch.path("images").display().to_string();
    scratch.fails(&["unpack", "images:absent", "b"], &format!("absent not found in {images}"), "");
    scratch.fails(&["unpack", "images", "b"], &format!("latest not found in {images}"), "");
    let nowhere = scratch.path("nowhere").display().to_string();
    scratch.fails(
        &["unpack", "nowhere:v1", "b"],
        &format!("{nowhere} is not an image layout: no such folder"),
        "",
    );
    scratch.fails(
        &["unpack", "--platform", "linux/arm64", "images:v1", "b"],
        "images:v1 is for linux/amd64, not for linux/arm64",
        "",
    );
}

#[test]
fn wrong_command_lines() {
    let scratch = Scratch::new();
    scratch.small("v1");
    for (arguments, words) in [
        (&["unpack", "images:v1"][..], "<BUNDLE>"),
        (&["unpack", "images:", "b"], "the tag is empty"),
        (&["unpack", "--max-size", "much", "images:v1", "b"], "much"),
        (&["unpack", "--max-entries", "-1", "images:v1", "b"], "-1"),
        (&["unpack", "--platform", "a/b/c/d", "images:v1", "b"], "a/b/c/d"),
        (&["unpack", "--nonsense", "images:v1", "b"], "--nonsense"),
        (&["nonsense"], "nonsense"),
    ] {
        scratch.misused(arguments, words);
    }
}

#[test]
fn a_destination_that_holds_something_keeps_it() {
    let scratch = Scratch::new();
    scratch.small("v1");
    fs::create_dir(scratch.path("full")).unwrap();
    fs::write(scratch.path("full/mine"), "mine").unwrap();
    fs::write(scratch.path("file"), "mine").unwrap();
    for option in [&[][..], &["--rootfs-only"]] {
        for (name, reason) in [("full", "it is not empty"), ("file", "it exists and is not a directory")] {
            let arguments = [&["unpack"], option, &["images:v1", name]].concat();
            let error = format!("destination {name}: {reason}");
            if option.is_empty() {
                scratch.fails(&arguments, &error, "");
            } else {
                scratch.fails(&arguments, "unpacking images:v1", &error);
            }
        }
    }
}

#[test]
fn blobs_that_are_not_what_they_should_be() {
    let scratch = Scratch::new();
    let manifest = scratch.small("v1");
    let layout = scratch.layout("images");
    let bytes = fs::read(layout.blob_path(manifest.digest()).unwrap()).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let layer = manifest["layers"][1]["digest"].as_str().unwrap();
    let path = scratch.path("images/blobs").join(layer.replace(':', "/"));
    let good = fs::read(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();

    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    for (bytes, cause) in [(&bad[..], "layer 1"), (&good[..good.len() - 1], "layer 1"), (b"", "layer 1")] {
        fs::write(&path, bytes).unwrap();
        for option in [&[][..], &["--rootfs-only"]] {
            let arguments = [&["unpack"], option, &["images:v1", "b"]].concat();
            scratch.fails(&arguments, "unpacking images:v1", cause);
        }
    }
    fs::remove_file(&path).unwrap();
    scratch.fails(&["unpack", "images:v1", "b"], "unpacking images:v1", layer);
}

#[test]
fn a_config_of_another_image() {
    let scratch = Scratch::new();
    let layout = scratch.layout("images");
    let layer = layout.put(MediaType::ImageLayer, &[0; 1024][..]).unwrap();
    let zeros = format!("sha256:{}", "0".repeat(64));
    for (tag, diff_ids, cause) in [
        ("other", json!([zeros]), "the uncompressed layer has the digest"),
        ("few", json!([]), "0 diffIDs for 1 layers"),
        ("rubbish", json!(["rubbish"]), "/rootfs/diff_ids/0"),
    ] {
        let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        layout.tag(&put_manifest(&layout, &config, std::slice::from_ref(&layer)), tag).unwrap();
        let image = format!("images:{tag}");
        scratch.fails(&["unpack", &image, "b"], &format!("unpacking {image}"), cause);
    }
}

#[test]
fn limits_are_over_all_layers() {
    let scratch = Scratch::new();
    let fill: Fill = |layer| layer.add_file("a", 0o644, 100, &[0; 100][..]).unwrap();
    scratch.image("v1", &[fill, fill, fill], json!({"config": {"Cmd": ["sh"]}}));
    for (option, least, cause) in
        [("--max-size", 300, "bytes written of"), ("--max-entries", 3, "entries of")]
    {
        let value = |n: u64| format!("{option}={n}");
        scratch.fails(
            &["unpack", &value(least - 1), "images:v1", "b"],
            "unpacking images:v1",
            &format!("limit exceeded: {cause} {}", least - 1),
        );
        scratch.prints(&["unpack", &value(least), "images:v1", option.trim_start_matches('-')]);
    }
}

#[test]
fn strict_makes_errors_of_warnings() {
    let scratch = Scratch::new();
    let fill: Fill = |layer| {
        layer.add_file("a", 0o644, 1, &b"a"[..]).unwrap();
        layer.add_file("a/below", 0o644, 1, &b"b"[..]).unwrap();
    };
    scratch.image("v1", &[fill], json!({"config": {"Cmd": ["sh"]}}));
    let (_, err) = scratch.warns(&["unpack", "images:v1", "b"]);
    assert_eq!(err, "warning: a: not a directory but has entries below it: replaced by one\n");
    scratch.fails(
        &["unpack", "--strict", "images:v1", "c"],
        "unpacking images:v1",
        "\"a\": not a directory but has entries below it: replaced by one",
    );
}

#[test]
fn a_layout_that_cannot_be_written() {
    let scratch = Scratch::new();
    scratch.small("v1");
    fs::create_dir(scratch.path("more")).unwrap();
    let script = r#"
        set -e
        if [ "$(id -u)" = 0 ]; then mount --bind images images; mount -o remount,bind,ro images
        else chmod -R a-w images; fi
        "$0" unpack images:v1 bundle
        "$0" stat images:v1 >/dev/null
        "$0" ls images
        for command in "tag images:v1 v2" "untag images:v1" "append images:v1 more" "config images:v1 --author me" \
            "new images:v3" "repack images:v4 bundle"; do
            "$0" $command && echo "$command succeeded"
        done || true
        [ "$(id -u)" = 0 ] || chmod -R u+w images
    "#;
    let before = scratch.everything().into_keys().collect::<Vec<_>>();
    let mut command = std::process::Command::new("sh");
    if rustix::process::geteuid().is_root() {
        command = std::process::Command::new("unshare");
        command.args(["-m", "sh"]);
    }
    let program = env!("CARGO_BIN_EXE_oci-image");
    let output = command.args(["-c", script, program]).current_dir(scratch.path("")).output().unwrap();
    let (out, err) = (crate::scratch::text(&output.stdout), crate::scratch::text(&output.stderr));
    // An unchanged bundle needs a tag all the same.
    assert!(out.starts_with("v1\n"), "{out}{err}");
    assert_eq!(out.lines().filter(|line| line.ends_with("succeeded")).count(), 0, "{out}{err}");
    assert!(err.lines().all(|line| line.starts_with("error: ") || line.starts_with("caused by: ")), "{err}");
    assert_eq!(err.lines().filter(|line| line.starts_with("error: ")).count(), 6, "{out}{err}");
    let bundle = scratch.path("bundle");
    let left: Vec<_> = scratch.everything().into_keys().filter(|path| !path.starts_with(&bundle)).collect();
    assert_eq!(left, before);
    assert_eq!(scratch.prints(&["ls", "images"]), "v1\n");
}

#[test]
fn a_destination_without_a_folder() {
    let scratch = Scratch::new();
    scratch.small("v1");
    scratch.fails(
        &["unpack", "images:v1", "absent/bundle"],
        "making a folder beside absent/bundle",
        "No such file",
    );
    scratch.fails(&["unpack", "images:v1", "/"], "destination /: it is not empty", "");
}

#[test]
fn a_wrong_tag_is_refused_before_anything_is_done() {
    let scratch = Scratch::new();
    scratch.small("v1");
    fs::create_dir(scratch.path("more")).unwrap();
    scratch.prints(&["unpack", "images:v1", "bundle"]);
    fs::write(scratch.path("bundle/rootfs/file"), "x").unwrap();
    let error = "invalid tag \"a b\": only letters, digits and -._:@+/ are allowed";
    for arguments in [
        &["append", "images:v1", "more", "--tag", "a b"][..],
        &["config", "images:v1", "--author=me", "--tag", "a b"],
        &["repack", "images:v1", "bundle", "--new-tag", "a b"],
        &["repack", "images:a b", "bundle"],
        &["squash", "images:v1", "--tag", "a b"],
        &["rebase", "images:v1", "v1", "v1", "--tag", "a b"],
        &["new", "nowhere:a b"],
        &["new", "images:a b"],
        &["tag", "images:v1", "a b"],
        &["index", "create", "images:a b", "v1"],
        &["artifact", "images:a b", "--type=application/x"],
    ] {
        scratch.fails(arguments, error, "");
    }
    let digest = scratch.layout("images").resolve("v1").unwrap().digest().to_string();
    let name = format!("images@{digest}");
    scratch.fails(&["append", &name, "more"], &format!("{name}: a tag is needed here, not a digest"), "");
}

#[test]
fn a_bundle_that_cannot_be_written_is_repacked_with_a_warning() {
    crate::need_root!("a_bundle_that_cannot_be_written_is_repacked_with_a_warning");
    let scratch = Scratch::new();
    scratch.small("v1");
    scratch.prints(&["unpack", "images:v1", "bundle"]);
    fs::write(scratch.path("bundle/rootfs/file"), "x").unwrap();
    let script =
        r#"mount --bind bundle bundle; mount -o remount,bind,ro bundle; exec "$0" repack images:v2 bundle"#;
    let output = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_oci-image")])
        .current_dir(scratch.path(""))
        .output()
        .unwrap();
    let err = crate::scratch::text(&output.stderr);
    assert!(output.status.success(), "{err}");
    assert!(err.starts_with("warning: bundle: writing bundle/oci-image.state: "), "{err}");
    assert_eq!(scratch.prints(&["diff", "images:v1", "images:v2"]), "M .\nA file\n");
}
