//! `append` and `config`: what changes of an image, and what stays.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use oci_digest::MediaType;
use serde_json::{Value, json};

use crate::scratch::{Fill, Scratch, json_of, names, put_image, put_manifest};

fn config_of(scratch: &Scratch, image: &str) -> Value {
    serde_json::from_str(&scratch.prints(&["config", image])).unwrap()
}

fn manifest_of(scratch: &Scratch, tag: &str) -> Value {
    let layout = scratch.layout("images");
    let descriptor = layout.resolve(tag).unwrap();
    json_of(layout.blob_path(descriptor.digest()).unwrap())
}

#[test]
fn a_folder_becomes_a_layer() {
    let scratch = Scratch::new();
    scratch.small("v1");
    fs::create_dir_all(scratch.path("more/etc")).unwrap();
    fs::write(scratch.path("more/etc/motd"), "changed\n").unwrap();
    fs::set_permissions(scratch.path("more/etc"), fs::Permissions::from_mode(0o700)).unwrap();
    scratch.prints(&["append", "images:v1", "more", "--tag", "v2", "--history.comment", "more of it"]);
    scratch.prints(&["unpack", "--rootfs-only", "images:v2", "root"]);
    assert_eq!(fs::read_to_string(scratch.path("root/etc/motd")).unwrap(), "changed\n");
    assert_eq!(fs::metadata(scratch.path("root/etc")).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(names(&scratch.path("root")), ["etc", "motd", "opt", "tmp"]);
    let config = config_of(&scratch, "images:v2");
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 3);
    let last = config["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["created_by"], &last["comment"]), (&json!("oci-image append"), &json!("more of it")));
    assert_eq!(last["created"], config["created"]);
    // The tag it was made of stays as it was.
    assert_eq!(config_of(&scratch, "images:v1")["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
    scratch.prints(&["append", "images:v1", "more", "--no-history", "--compression", "zstd"]);
    let manifest = manifest_of(&scratch, "v1");
    assert_eq!(manifest["layers"][2]["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
    assert_eq!(config_of(&scratch, "images:v1")["history"], Value::Null);
}

#[test]
fn an_archive_becomes_a_layer_as_it_is() {
    let scratch = Scratch::new();
    scratch.small("v1");
    let mut layer = oci_unpack::pack::LayerWriter::new(Vec::new(), &Default::default()).unwrap();
    layer.add_file("added", 0o600, 1, &b"x"[..]).unwrap();
    layer.add_whiteout("etc").unwrap();
    let (blob, packed) = layer.finish().unwrap();
    fs::write(scratch.path("layer.tgz"), &blob).unwrap();
    scratch.prints(&["append", "images:v1", "layer.tgz", "--tag", "v2"]);
    assert_eq!(manifest_of(&scratch, "v2")["layers"][2]["digest"], packed.digest.to_string());
    assert_eq!(config_of(&scratch, "images:v2")["rootfs"]["diff_ids"][2], packed.diff_id.to_string());
    scratch.prints(&["unpack", "--rootfs-only", "images:v2", "root"]);
    assert_eq!(names(&scratch.path("root")), ["added", "motd", "opt", "tmp"]);

    fs::write(scratch.path("cut"), &blob[..blob.len() / 2]).unwrap();
    scratch.fails(&["append", "images:v1", "cut"], "reading cut", "");
    fs::write(scratch.path("text"), "this is no archive, whatever its name says").unwrap();
    scratch.fails(&["append", "images:v1", "text"], "reading text", "");
    fs::write(scratch.path("nothing"), "").unwrap();
    scratch.fails(&["append", "images:v1", "nothing"], "nothing is empty: no archive", "");
    scratch.fails(&["append", "images:v1", "absent"], "reading absent", "No such file");
    scratch.misused(&["append", "images:v1"], "PATH");
}

#[test]
fn a_layer_may_take_names_away() {
    let scratch = Scratch::new();
    scratch.small("v1");
    scratch.prints(&["append", "images:v1", "--whiteout", "/etc/motd", "--whiteout", "opt"]);
    scratch.prints(&["unpack", "--rootfs-only", "images:v1", "root"]);
    assert_eq!(names(&scratch.path("root")), ["etc", "motd", "tmp"]);
    assert_eq!(names(&scratch.path("root/etc")), ["motd.too"]);
    scratch.fails(&["append", "images:v1", "--whiteout", "../x"], "making the layer", "..");
}

#[test]
fn the_same_change_at_the_same_time_is_the_same_image() {
    let scratch = Scratch::new();
    let epoch = |arguments: &[&str]| {
        let mut command = scratch.command(arguments);
        let output = command.env("SOURCE_DATE_EPOCH", "1709251199").output().unwrap();
        assert!(output.status.success(), "{}", crate::scratch::text(&output.stderr));
    };
    fs::create_dir(scratch.path("more")).unwrap();
    let mut digests = Vec::new();
    for tag in ["a", "b"] {
        scratch.small(tag);
        // The file is younger than the epoch, and younger the second time.
        fs::write(scratch.path("more/file"), "x").unwrap();
        epoch(&["append", &format!("images:{tag}"), "more", "--owner", "7:8"]);
        epoch(&["config", &format!("images:{tag}"), "--config.user", "me"]);
        digests.push(scratch.layout("images").resolve(tag).unwrap().digest().to_string());
    }
    assert_eq!(digests[0], digests[1]);
    let config = config_of(&scratch, "images:a");
    assert_eq!(config["created"], "2024-02-29T23:59:59Z");
    for entry in config["history"].as_array().unwrap() {
        assert!(entry["created"].is_null() || entry["created"] == "2024-02-29T23:59:59Z", "{entry}");
    }
}

#[test]
fn every_member_of_the_config() {
    let scratch = Scratch::new();
    scratch.image(
        "v1",
        &[],
        json!({"config": {"Env": ["PATH=/bin", "OLD=1", "GONE=1"], "Labels": {"a": "1", "b": "2"},
            "X-Unknown": [3, 1, 2], "ExposedPorts": {"1/tcp": {}}, "Cmd": ["old"]}, "x-mine": {"z": 1, "a": 2}}),
    );
    scratch.prints(&[
        "config",
        "images:v1",
        "--tag=v2",
        "--config.user=1000:100",
        "--config.exposedports=80",
        "--config.exposedports=53/udp",
        "--config.exposedports=-1/tcp",
        "--config.env=OLD=2=3",
        "--config.env=-GONE",
        "--config.env=EMPTY=",
        "--config.entrypoint=/bin/sh",
        "--config.entrypoint=-c",
        "--clear=config.cmd",
        "--config.volume=/data",
        "--config.label=b=",
        "--config.label=-a",
        "--config.label=org.example=x=y",
        "--config.workingdir=/srv",
        "--config.stopsignal=SIGINT",
        "--config.shell=/bin/bash",
        "--config.onbuild=RUN x",
        r#"--config.healthcheck={"Test":["NONE"]}"#,
        "--config.memory=1024",
        "--config.memoryswap=2048",
        "--config.cpushares=7",
        "--config.argsescaped=true",
        "--created=2020-01-01T00:00:00Z",
        "--author=me",
        "--architecture=arm64",
        "--variant=v8",
        "--os=linux",
        "--os.version=1.2",
        "--os.features=f",
        "--manifest.annotation=k=v",
        "--set=/config/X-Mine=[1,2]",
        "--set=/config/X-Text=plain text",
        "--history.author=her",
        "--history.created=2021-01-01T00:00:00Z",
        "--history.created_by=hand",
    ]);
    let config = config_of(&scratch, "images:v2");
    assert_eq!(
        config["config"],
        json!({
            "Env": ["PATH=/bin", "OLD=2=3", "EMPTY="],
            "Labels": {"b": "", "org.example": "x=y"},
            "X-Unknown": [3, 1, 2],
            "ExposedPorts": {"80": {}, "53/udp": {}},
            "User": "1000:100",
            "Entrypoint": ["/bin/sh", "-c"],
            "Volumes": {"/data": {}},
            "WorkingDir": "/srv",
            "StopSignal": "SIGINT",
            "Shell": ["/bin/bash"],
            "OnBuild": ["RUN x"],
            "Healthcheck": {"Test": ["NONE"]},
            "Memory": 1024,
            "MemorySwap": 2048,
            "CpuShares": 7,
            "ArgsEscaped": true,
            "X-Mine": [1, 2],
            "X-Text": "plain text",
        })
    );
    for (member, value) in [
        ("created", json!("2020-01-01T00:00:00Z")),
        ("author", json!("me")),
        ("architecture", json!("arm64")),
        ("variant", json!("v8")),
        ("os", json!("linux")),
        ("os.version", json!("1.2")),
        ("os.features", json!(["f"])),
        ("x-mine", json!({"z": 1, "a": 2})),
        (
            "history",
            json!([{"author": "her", "created": "2021-01-01T00:00:00Z", "created_by": "hand", "empty_layer": true}]),
        ),
    ] {
        assert_eq!(config[member], value, "{member}");
    }
    assert_eq!(manifest_of(&scratch, "v2")["annotations"], json!({"k": "v"}));
    assert_eq!(config_of(&scratch, "images:v1")["config"]["Cmd"], json!(["old"]));

    scratch.prints(&[
        "config",
        "images:v2",
        "--no-history",
        "--clear=manifest.annotations",
        "--clear=config.env",
        "--clear=/config/X-Unknown",
        "--clear=config.labels",
        "--clear=author",
        "--config.label=new=1",
    ]);
    let cleared = config_of(&scratch, "images:v2");
    assert_eq!((&cleared["config"]["Env"], &cleared["config"]["X-Unknown"]), (&Value::Null, &Value::Null));
    assert_eq!((&cleared["config"]["Labels"], &cleared["author"]), (&json!({"new": "1"}), &Value::Null));
    assert_eq!(cleared["history"], config["history"]);
    assert_eq!(manifest_of(&scratch, "v2")["annotations"], Value::Null);
}

#[test]
fn members_that_are_none() {
    let scratch = Scratch::new();
    scratch.small("v1");
    for (option, words) in [
        ("--config.exposedports=http", "expected a port"),
        ("--config.env=NAME", "expected NAME=VALUE"),
        ("--config.env==x", "expected NAME=VALUE"),
        ("--config.healthcheck={", "expected JSON"),
        ("--created=yesterday", "expected a date"),
        ("--history.created=1", "expected a date"),
        ("--clear=config.nonsense", "expected a JSON pointer"),
        ("--set=config/User=x", "expected POINTER=JSON"),
    ] {
        scratch.misused(&["config", "images:v1", option], words);
    }
    scratch.fails(
        &["config", "images:v1", "--set=/config/Cmd/0/x=1"],
        "invalid JSON pointer \"/config/Cmd/0/x\": it goes through what is no object or list",
        "",
    );
    scratch.fails(&["config", "images:v1", "--set=/rootfs/diff_ids=[]"], &rootfs_error(&scratch), "");
}

/// What the edit says of a config that is none any more.
fn rootfs_error(scratch: &Scratch) -> String {
    let layout = scratch.layout("images");
    let mut edit = oci_layout::edit::ImageEdit::open(&layout, "v1", None).unwrap();
    edit.config_mut().unwrap().set("/rootfs/diff_ids", json!([])).unwrap();
    edit.commit_in(&layout, &["v1"]).unwrap_err().to_string()
}

#[test]
fn an_image_in_an_index_is_changed_in_there() {
    let scratch = Scratch::new();
    let layout = scratch.layout("images");
    let mut entries = Vec::new();
    let fill: Fill = |layer| layer.add_dir("a", 0o755).unwrap();
    for arch in ["amd64", "arm64"] {
        let mut entry = json!(put_image(&layout, &[fill], json!({"architecture": arch})));
        entry["platform"] = json!({"os": "linux", "architecture": arch});
        entry["x-unknown"] = json!(1);
        entries.push(entry);
    }
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries, "x-unknown": {"b": 1, "a": 2}});
    let index = layout.put(MediaType::ImageIndex, index.to_string().as_bytes()).unwrap();
    layout.tag(&index, "multi").unwrap();
    scratch.prints(&["config", "images:multi", "--platform=linux/arm64", "--author=me"]);
    let after = manifest_of(&scratch, "multi");
    assert_eq!(after["x-unknown"], json!({"b": 1, "a": 2}));
    assert_eq!(after["manifests"][0], entries[0]);
    assert_ne!(after["manifests"][1]["digest"], entries[1]["digest"]);
    assert_eq!(after["manifests"][1]["x-unknown"], 1);
    let shown = |arch: &str| -> Value {
        serde_json::from_str(&scratch.prints(&[
            "config",
            "images:multi",
            &format!("--platform=linux/{arch}"),
        ]))
        .unwrap()
    };
    assert_eq!((&shown("arm64")["author"], &shown("amd64")["author"]), (&json!("me"), &Value::Null));
}

#[test]
fn what_is_no_image_has_no_config() {
    let scratch = Scratch::new();
    let layout = scratch.layout("images");
    let other = layout.put("application/vnd.example".into(), &b"{}"[..]).unwrap();
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": other, "layers": []});
    let manifest = layout.put(MediaType::ImageManifest, manifest.to_string().as_bytes()).unwrap();
    layout.tag(&manifest, "artifact").unwrap();
    let output = scratch.run(&["config", "images:artifact"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.starts_with(b"error: "));
    let config =
        json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
    let image = put_manifest(&layout, &config, &[]);
    layout.tag(&image, "image").unwrap();
    assert_eq!(config_of(&scratch, "images:image"), config);
}
