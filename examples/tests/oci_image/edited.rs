//! `squash`, `rebase`, `index`, `artifact`, `referrers`, and the `data` of descriptors.

use std::fs;

use oci_digest::Digest;
use serde_json::{Value, json};

use crate::peers::tree::{Leave, assert_same};
use crate::scratch::{Fill, Scratch, json_of, names, put_image, text};

fn digest_of(scratch: &Scratch, tag: &str) -> Digest {
    scratch.layout("images").resolve(tag).unwrap().digest().clone()
}

fn document(scratch: &Scratch, tag: &str) -> Value {
    json_of(scratch.layout("images").blob_path(&digest_of(scratch, tag)).unwrap())
}

const LOW: Fill = |layer| {
    layer.add_dir("etc", 0o750).unwrap();
    layer.add_file("etc/one", 0o644, 1, &b"1"[..]).unwrap();
    layer.add_file("etc/two", 0o644, 1, &b"2"[..]).unwrap();
    layer.add_hard_link("etc/too", "etc/two").unwrap();
};
const MIDDLE: Fill = |layer| {
    layer.add_whiteout("etc/one").unwrap();
    layer.add_file("big", 0o600, 5000, &[7; 5000][..]).unwrap();
};
const HIGH: Fill = |layer| {
    layer.add_whiteout("big").unwrap();
    layer.add_dir("srv", 0o1777).unwrap();
    layer.add_symlink("srv/l", "/etc").unwrap();
};

#[test]
fn squashed_layers_are_the_same_tree() {
    let scratch = Scratch::new();
    let history = json!([{"created_by": "low"}, {"created_by": "middle"},
        {"created_by": "no files", "empty_layer": true}, {"created_by": "high"}]);
    scratch.image("v1", &[LOW, MIDDLE, HIGH], json!({"history": history}));
    scratch.prints(&["unpack", "--rootfs-only", "images:v1", "before"]);
    for (keep, layers) in [("0", 1), ("1", 2), ("2", 3)] {
        let tag = format!("keep{keep}");
        scratch.prints(&["squash", "images:v1", "--keep", keep, "--tag", &tag]);
        let image = format!("images:{tag}");
        let stat: Value = serde_json::from_str(&scratch.prints(&["stat", "--json", &image])).unwrap();
        assert_eq!(stat["layers"].as_array().unwrap().len(), layers, "{keep}");
        let empty =
            stat["history"].as_array().unwrap().iter().filter(|step| step["empty_layer"] == true).count();
        assert_eq!(empty, 1, "{keep}: the step without files stays");
        scratch.prints(&["unpack", "--rootfs-only", &image, &tag]);
        assert_same(&tag, &scratch.path("before"), &scratch.path(&tag), Leave::default());
    }
    // What the upper layers hid is not in the image any more.
    let size = |tag: &str| -> u64 {
        let manifest = document(&scratch, tag);
        manifest["layers"].as_array().unwrap().iter().map(|layer| layer["size"].as_u64().unwrap()).sum()
    };
    assert!(size("keep0") < size("v1"));
    scratch.fails(
        &["squash", "images:v1", "--keep", "3"],
        "images:v1 has 3 layers; none is left above 3",
        "",
    );
}

#[test]
fn another_base_is_put_under_an_image() {
    let scratch = Scratch::new();
    scratch.image("base1", &[LOW], json!({}));
    scratch.image("base2", &[LOW, MIDDLE], json!({"config": {"Env": ["OF=base"]}}));
    scratch.image("app", &[LOW, HIGH], json!({"config": {"Cmd": ["app"]}}));
    scratch.prints(&[
        "rebase",
        "images:app",
        "base1",
        "base2",
        "--base-name",
        "example/base:2",
        "--tag",
        "moved",
    ]);
    let manifest = document(&scratch, "moved");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 3);
    assert_eq!(
        manifest["annotations"]["org.opencontainers.image.base.digest"],
        digest_of(&scratch, "base2").to_string()
    );
    assert_eq!(manifest["annotations"]["org.opencontainers.image.base.name"], "example/base:2");
    scratch.prints(&["unpack", "images:moved", "bundle"]);
    assert_eq!(names(&scratch.path("bundle/rootfs/etc")), ["too", "two"]);
    assert_eq!(json_of(scratch.path("bundle/config.json"))["process"]["args"], json!(["app"]));
    let base2 = digest_of(&scratch, "base2");
    let error = format!("invalid base {:?}: its layers are not the image's lowest", base2.to_string());
    scratch.fails(&["rebase", "images:app", "base2", "base1"], &error, "");
}

#[test]
fn indexes_are_made_and_changed() {
    let scratch = Scratch::new();
    let layout = scratch.layout("images");
    for arch in ["amd64", "arm64", "s390x"] {
        let image =
            put_image(&layout, &[], json!({"architecture": arch, "author": arch, "config": {"Cmd": ["x"]}}));
        layout.tag(&image, arch).unwrap();
    }
    scratch.prints(&["index", "create", "images:multi", "amd64", "arm64"]);
    scratch.prints(&["index", "add", "images:multi", "s390x"]);
    let platforms = || -> Vec<String> {
        let index = document(&scratch, "multi");
        let entries = index["manifests"].as_array().unwrap();
        entries.iter().map(|entry| entry["platform"]["architecture"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(platforms(), ["amd64", "arm64", "s390x"]);
    scratch.prints(&["unpack", "--platform=linux/s390x", "images:multi", "bundle"]);
    let shown = scratch.prints(&["stat", "--platform=linux/arm64", "images:multi"]);
    assert!(shown.contains("linux/s390x") && shown.contains("author     arm64"), "{shown}");

    scratch.prints(&["index", "annotate", "images:multi", "a=b", "c=d"]);
    scratch.prints(&["index", "annotate", "images:multi", "e=f", "--platform", "linux/arm64"]);
    scratch.prints(&["index", "annotate", "images:multi", "--remove=c"]);
    let index = document(&scratch, "multi");
    assert_eq!(index["annotations"], json!({"a": "b"}));
    assert_eq!(index["manifests"][1]["annotations"], json!({"e": "f"}));
    assert_eq!(index["manifests"][0]["annotations"], Value::Null);

    scratch.prints(&["index", "remove", "images:multi", "--platform", "linux/arm64"]);
    scratch.prints(&["index", "remove", "images:multi", "--digest", digest_of(&scratch, "s390x").as_ref()]);
    assert_eq!(platforms(), ["amd64"]);
    let error = "images:multi has no entry for linux/arm64";
    scratch.fails(&["index", "remove", "images:multi", "--platform", "linux/arm64"], error, "");
    scratch.misused(&["index", "remove", "images:multi", "--digest", "nonsense"], "expected a digest");
    let output = scratch.run(&["index", "remove", "images:multi"]);
    assert_eq!(
        (output.status.code(), text(&output.stderr).as_str()),
        (Some(2), "error: name the entries by --digest or --platform\n")
    );
    let output = scratch.run(&["index", "add", "images:amd64", "arm64"]);
    assert_eq!(output.status.code(), Some(1), "an image is no index");
}

#[test]
fn artifacts_are_about_images() {
    let scratch = Scratch::new();
    let image = scratch.small("v1");
    fs::write(scratch.path("sbom.json"), "{}").unwrap();
    let sbom = scratch.prints(&[
        "artifact",
        "images",
        "sbom.json",
        "--type=application/spdx+json",
        "--file-type=application/json",
        "--subject=v1",
        "--annotation=a=b",
    ]);
    let note =
        scratch.prints(&["artifact", "images:note", "--type=application/vnd.example.note", "--subject=v1"]);
    let lines = scratch.prints(&["referrers", "--json", "images:v1"]);
    let found: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let digests: Vec<&str> = found.iter().map(|referrer| referrer["digest"].as_str().unwrap()).collect();
    assert_eq!(digests, [sbom.trim_end(), note.trim_end()]);
    assert_eq!(found[0]["annotations"], json!({"a": "b"}));
    let of_type = scratch.prints(&["referrers", "images:v1", "--type=application/vnd.example.note"]);
    assert_eq!(of_type.lines().count(), 2, "{of_type}");
    assert!(of_type.contains(note.trim_end()));
    let layout = scratch.layout("images");
    let manifest = json_of(layout.blob_path(&sbom.trim_end().parse().unwrap()).unwrap());
    assert_eq!(manifest["subject"]["digest"], image.digest().to_string());
    assert_eq!(manifest["layers"][0]["annotations"], json!({"org.opencontainers.image.title": "sbom.json"}));
    assert_eq!(manifest["layers"][0]["mediaType"], "application/json");
    // They live as long as what they are about.
    scratch.prints(&["gc", "images", "--grace=0"]);
    assert_eq!(scratch.prints(&["fsck", "images"]), "");
    let output = scratch.run(&["artifact", "images", "--type=nonsense"]);
    assert_eq!(output.status.code(), Some(1));
    scratch.fails(&["unpack", "images:note", "b"], &no_image(&scratch, "note"), "");
}

/// What is said of a name that is no image's.
fn no_image(scratch: &Scratch, tag: &str) -> String {
    let layout = scratch.layout("images");
    match oci_digest::content::image(&layout, tag, None) {
        Ok(image) => format!(
            "images:{tag} is no image: its config is of type {}",
            image.manifest.view().config().media_type()
        ),
        Err(error) => error.to_string(),
    }
}

#[test]
fn data_is_written_on_request() {
    let scratch = Scratch::new();
    scratch.small("v1");
    scratch.prints(&["config", "images:v1", "--embed-data=10000", "--entry.annotation=k=v", "--author=me"]);
    let manifest = document(&scratch, "v1");
    assert!(manifest["config"]["data"].is_string(), "{manifest}");
    let index = json_of(scratch.path("images/index.json"));
    assert_eq!(index["manifests"][0]["annotations"]["k"], "v");
    scratch.prints(&["unpack", "images:v1", "bundle"]);
    assert_eq!(
        scratch.prints(&["fsck", "images"]).lines().filter(|line| line.starts_with("error")).count(),
        0
    );
}
