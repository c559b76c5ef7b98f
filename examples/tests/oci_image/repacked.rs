//! `repack` and `diff`: a bundle is unpacked, edited, and becomes an image again.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use serde_json::{Value, json};

use crate::peers::tree::{Leave, assert_same};
use crate::scratch::{Scratch, json_of, names, text};

fn edit(scratch: &Scratch, bundle: &str) {
    let root = scratch.path(bundle).join("rootfs");
    fs::write(root.join("etc/motd"), "changed\n").unwrap();
    fs::remove_file(root.join("motd")).unwrap();
    fs::remove_dir_all(root.join("opt")).unwrap();
    symlink("etc", root.join("opt")).unwrap();
    fs::create_dir(root.join("new")).unwrap();
    fs::write(root.join("new/file"), "new").unwrap();
    fs::set_permissions(root.join("new/file"), fs::Permissions::from_mode(0o4711)).unwrap();
}

#[test]
fn an_edited_bundle_becomes_an_image() {
    let scratch = Scratch::new();
    scratch.small("v1");
    scratch.prints(&["unpack", "images:v1", "bundle"]);
    assert_eq!(scratch.prints(&["diff", "bundle"]), "");
    edit(&scratch, "bundle");
    let changes = "M .\nM etc/motd\nM etc/motd.too\nD motd\nA new\nA new/file\nM opt\n";
    assert_eq!(scratch.prints(&["diff", "bundle"]), changes);
    let out = scratch.prints(&["diff", "--json", "bundle"]);
    let kinds: Vec<Value> =
        out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone()).collect();
    assert_eq!(kinds.len(), 7);
    assert_eq!((&kinds[3], &kinds[4]), (&json!("deleted"), &json!("added")));
    scratch.prints(&["repack", "images:v1", "bundle", "--new-tag", "v2", "--history.author", "me"]);
    assert_eq!(scratch.prints(&["ls", "images"]), "v1\nv2\n");
    scratch.prints(&["unpack", "--rootfs-only", "images:v2", "again"]);
    assert_same("repacked", &scratch.path("bundle/rootfs"), &scratch.path("again"), Leave::default());
    assert_eq!(scratch.prints(&["diff", "images:v1", "images:v2"]), changes);
    assert_eq!(scratch.prints(&["diff", "images:v2", "images:v2"]), "");
    let config: Value = serde_json::from_str(&scratch.prints(&["config", "images:v2"])).unwrap();
    let last = config["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["author"], &last["created_by"]), (&json!("me"), &json!("oci-image repack")));
    assert_eq!(config["config"]["Cmd"], json!(["sh"]));
}

#[test]
fn a_tag_is_moved_only_from_what_it_was() {
    let scratch = Scratch::new();
    scratch.small("v1");
    scratch.image("other", &[], json!({"author": "other"}));
    scratch.prints(&["unpack", "images:v1", "bundle"]);
    edit(&scratch, "bundle");
    // A new tag needs no other word.
    scratch.prints(&["repack", "images:v2", "bundle"]);
    let digest = |tag: &str| scratch.layout("images").resolve(tag).unwrap().digest().to_string();
    let (v1, other) = (digest("v1"), digest("other"));
    scratch.prints(&["repack", "images:v1", "bundle"]);
    assert_ne!(digest("v1"), v1);
    // Again, with one more change: the layer is the whole difference, and takes the place of the one before.
    fs::write(scratch.path("bundle/rootfs/third"), "3").unwrap();
    scratch.prints(&["repack", "images:v1", "bundle"]);
    let stat: Value = serde_json::from_str(&scratch.prints(&["stat", "--json", "images:v1"])).unwrap();
    assert_eq!(stat["layers"].as_array().unwrap().len(), 3);
    let error = format!("images:other names {other}, but bundle was unpacked from {v1}; give a new tag");
    scratch.fails(&["repack", "images:other", "bundle"], &error, "");
    // From now on the next layer lies on top of this one.
    scratch.prints(&["repack", "images:v1", "bundle", "--refresh-bundle"]);
    assert_eq!(scratch.prints(&["diff", "bundle"]), "");
    fs::write(scratch.path("bundle/rootfs/fourth"), "4").unwrap();
    assert_eq!(scratch.prints(&["diff", "bundle"]), "M .\nA fourth\n");
    scratch.prints(&["repack", "images:v1", "bundle"]);
    let stat: Value = serde_json::from_str(&scratch.prints(&["stat", "--json", "images:v1"])).unwrap();
    assert_eq!(stat["layers"].as_array().unwrap().len(), 4);
    scratch.prints(&["unpack", "--rootfs-only", "images:v1", "again"]);
    assert_same("refreshed", &scratch.path("bundle/rootfs"), &scratch.path("again"), Leave::default());
}

#[test]
fn nothing_changed_is_no_layer() {
    let scratch = Scratch::new();
    let image = scratch.small("v1");
    scratch.prints(&["unpack", "images:v1", "bundle"]);
    scratch.prints(&["repack", "images:v1", "bundle", "--new-tag", "v2"]);
    assert_eq!(scratch.layout("images").resolve("v2").unwrap().digest(), image.digest());
}

#[test]
fn the_same_repack_at_the_same_time_is_the_same_image() {
    let scratch = Scratch::new();
    scratch.small("v1");
    let mut digests = Vec::new();
    for name in ["a", "b"] {
        scratch.prints(&["unpack", "images:v1", name]);
        edit(&scratch, name);
        let mut command = scratch.command(&["repack", &format!("images:{name}"), name]);
        assert!(command.env("SOURCE_DATE_EPOCH", "1709251199").status().unwrap().success());
        digests.push(scratch.layout("images").resolve(name).unwrap().digest().to_string());
    }
    assert_eq!(digests[0], digests[1]);
    scratch.prints(&["unpack", "--rootfs-only", "images:a", "root"]);
    assert_eq!(fs::metadata(scratch.path("root/new/file")).unwrap().mtime(), 1_709_251_199);
}

#[test]
fn an_image_of_an_index_stays_in_it() {
    let scratch = Scratch::new();
    let layout = scratch.layout("images");
    let mut entries = Vec::new();
    for arch in ["amd64", "arm64"] {
        let mut entry = json!(crate::scratch::put_image(
            &layout,
            &[],
            json!({"architecture": arch, "config": {"Cmd": ["x"]}})
        ));
        entry["platform"] = json!({"os": "linux", "architecture": arch});
        entries.push(entry);
    }
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries});
    let index = layout.put(oci_digest::MediaType::ImageIndex, index.to_string().as_bytes()).unwrap();
    layout.tag(&index, "multi").unwrap();
    scratch.prints(&["unpack", "--platform=linux/arm64", "images:multi", "bundle"]);
    fs::write(scratch.path("bundle/rootfs/file"), "x").unwrap();
    scratch.prints(&["repack", "images:multi", "bundle"]);
    let after = json_of(layout.blob_path(layout.resolve("multi").unwrap().digest()).unwrap());
    assert_eq!(after["manifests"][0], entries[0]);
    scratch.prints(&["unpack", "--rootfs-only", "--platform=linux/arm64", "images:multi", "root"]);
    assert_eq!(names(&scratch.path("root")), ["file"]);
}

#[test]
fn what_is_no_bundle_is_not_repacked() {
    let scratch = Scratch::new();
    scratch.small("v1");
    fs::create_dir(scratch.path("folder")).unwrap();
    scratch.fails(&["repack", "images:v1", "folder"], "folder is no bundle that oci-image unpacked", "");
    scratch.fails(&["diff", "folder"], "folder is no bundle that oci-image unpacked", "");
    scratch.fails(&["diff", "absent"], "absent is no bundle that oci-image unpacked", "");
    scratch.prints(&["unpack", "--rootfs-only", "images:v1", "root"]);
    scratch.fails(&["repack", "images:v1", "root"], "root is no bundle that oci-image unpacked", "");
    scratch.prints(&["unpack", "images:v1", "bundle"]);
    // A layout that does not have the image.
    scratch.prints(&["new", "elsewhere:v1"]);
    let output = scratch.run(&["repack", "elsewhere:v1", "bundle"]);
    let digest = scratch.layout("images").resolve("v1").unwrap().digest().to_string();
    let layout = scratch.path("elsewhere");
    let error =
        format!("error: {} does not hold {digest}, from which bundle was unpacked\n", layout.display());
    assert!(text(&output.stderr).starts_with(&error), "{}", text(&output.stderr));
    // What says what it was made of is damaged.
    let state = scratch.path("bundle/oci-image.state");
    let good = fs::read(&state).unwrap();
    for bad in [&b"{}\n"[..], b"", b"\xff\n", &good[..good.len() - 1]] {
        fs::write(&state, bad).unwrap();
        let output = scratch.run(&["diff", "bundle"]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        assert!(output.stderr.starts_with(b"error: "));
    }
    fs::write(
        &state,
        text(&good[..good.iter().position(|b| *b == b'\n').unwrap()])
            .replace("\"version\":1", "\"version\":2")
            + "\n",
    )
    .unwrap();
    let error = "bundle/oci-image.state is of version 2, known is 1";
    scratch.fails(&["diff", "bundle"], error, "");
}
