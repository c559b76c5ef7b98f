//! `unpack`: what a bundle holds.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::scratch::{Scratch, json_of, names, text};

#[test]
fn a_bundle_is_files_and_what_runs_them() {
    let scratch = Scratch::new();
    scratch.image(
        "v1",
        &[
            |layer| {
                layer.add_file("etc/passwd", 0o644, 27, &b"app:x:1000:1001::/srv:/bin/x"[..27]).unwrap();
            },
            |layer| layer.add_file("hello", 0o755, 6, &b"hello\n"[..]).unwrap(),
        ],
        json!({"config": {"Entrypoint": ["/hello"], "Cmd": ["you"], "User": "app", "WorkingDir": "/srv",
            "Env": ["A=b"]}}),
    );
    assert_eq!(scratch.prints(&["unpack", "images:v1", "bundle"]), "");
    let bundle = scratch.path("bundle");
    assert_eq!(names(&bundle), ["config.json", "oci-image.state", "rootfs"]);
    assert_eq!(fs::read_to_string(bundle.join("rootfs/hello")).unwrap(), "hello\n");
    assert_eq!(fs::metadata(&bundle).unwrap().mode() & 0o7777, 0o755);
    let config = json_of(bundle.join("config.json"));
    assert_eq!(config["root"]["path"], "rootfs");
    assert_eq!(config["process"]["args"], json!(["/hello", "you"]));
    assert_eq!(config["process"]["user"]["uid"], 1000);
    assert_eq!(config["process"]["cwd"], "/srv");
}

#[test]
fn a_tag_defaults_to_latest_and_a_digest_is_a_name() {
    let scratch = Scratch::new();
    let digest = scratch.small("latest").digest().to_string();
    scratch.prints(&["unpack", "--rootfs-only", "images", "one"]);
    scratch.prints(&["unpack", "--rootfs-only", &format!("images@{digest}"), "two"]);
    for name in ["one", "two"] {
        assert_eq!(names(&scratch.path(name)), ["etc", "motd", "opt", "tmp"]);
    }
    assert_eq!(names(&scratch.path("one/etc")), ["motd", "motd.too"]);
    let inode = |name| fs::metadata(scratch.path("one/etc").join(name)).unwrap().ino();
    assert_eq!(inode("motd"), inode("motd.too"));
    assert_eq!(fs::metadata(scratch.path("one/tmp")).unwrap().mode() & 0o7777, 0o1777);
}

#[test]
fn an_empty_folder_is_replaced() {
    let scratch = Scratch::new();
    scratch.small("v1");
    for (name, option) in [("bundle", &[][..]), ("root", &["--rootfs-only"])] {
        fs::create_dir(scratch.path(name)).unwrap();
        scratch.prints(&[&["unpack"], option, &["images:v1", name]].concat());
        assert!(!names(&scratch.path(name)).is_empty());
    }
    assert_eq!(names(&scratch.path(".")), ["bundle", "images", "root"]);
}

#[test]
fn an_image_without_a_command_gets_a_shell() {
    let scratch = Scratch::new();
    scratch.image("v1", &[], json!({}));
    let (_, warning) = scratch.warns(&["unpack", "images:v1", "bundle"]);
    assert_eq!(warning, "warning: config.json: the image has no command; config.json runs \"sh\"\n");
    assert_eq!(json_of(scratch.path("bundle/config.json"))["process"]["args"], json!(["sh"]));
    let error = "the image has no command; config.json runs \"sh\"";
    scratch.fails(&["unpack", "--strict", "images:v1", "other"], error, "");
}

#[test]
fn machines_are_told_in_lines() {
    let scratch = Scratch::new();
    scratch.small("v1");
    let out = scratch.prints(&["unpack", "--json", "--rootfs-only", "images:v1", "root"]);
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let expected = ["start", "layer-started", "layer-done", "layer-started", "layer-done", "done"];
    let kinds: Vec<&str> = kinds.into_iter().filter(|kind| *kind != "progress").collect();
    assert_eq!(kinds, expected);
    assert_eq!(events[0]["layers"], 2);
    let last = events.last().unwrap();
    assert_eq!((&last["entries"], &last["bytes"], &last["warnings"]), (&json!(9), &json!(13), &json!(0)));
}

#[test]
fn the_layout_is_only_read() {
    let scratch = Scratch::new();
    scratch.small("v1");
    let before = scratch.everything();
    scratch.prints(&["unpack", "images:v1", "bundle"]);
    let bundle = scratch.path("bundle");
    let after = scratch.everything().into_iter().filter(|(path, _)| !path.starts_with(&bundle)).collect();
    assert_eq!(before, after);
}

#[test]
fn the_platform_chooses_of_an_index() {
    let scratch = Scratch::new();
    let layout = scratch.layout("images");
    let mut entries = Vec::new();
    for arch in ["amd64", "arm64", "s390x"] {
        let mut entry =
            json!(crate::scratch::put_image(&layout, &[], json!({"architecture": arch, "author": arch})));
        entry["platform"] = json!({"os": "linux", "architecture": arch});
        entries.push(entry);
    }
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries});
    let index = layout.put(oci_digest::MediaType::ImageIndex, index.to_string().as_bytes()).unwrap();
    layout.tag(&index, "multi").unwrap();
    for arch in ["amd64", "arm64", "s390x"] {
        let platform = format!("--platform=linux/{arch}");
        let out = scratch.prints(&["stat", "--json", &platform, "images:multi"]);
        assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["author"], arch);
        scratch.warns(&["unpack", &platform, "images:multi", arch]);
    }
    let error =
        "content not found: no image for linux/riscv64, there are linux/amd64, linux/arm64, linux/s390x";
    let output = scratch.run(&["unpack", "--platform", "linux/riscv64", "images:multi", "none"]);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(text(&output.stderr).contains("linux/riscv64"), "{}", text(&output.stderr));
}

#[test]
fn a_bundle_does_not_depend_on_the_umask() {
    let scratch = Scratch::new();
    scratch.small("v1");
    let mut shell = std::process::Command::new("sh");
    let program = env!("CARGO_BIN_EXE_oci-image");
    let script = r#"umask 0177; [ "$(id -u)" = 0 ] || umask 0077; "$0" unpack images:v1 bundle && "$0" unpack --overlay images:v1 layers"#;
    let output = shell.args(["-c", script, program]).current_dir(scratch.path("")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mode = |name: &str| fs::metadata(scratch.path(name)).unwrap().mode() & 0o7777;
    for (name, expected) in [
        ("bundle", 0o755),
        ("bundle/config.json", 0o644),
        ("bundle/oci-image.state", 0o644),
        ("bundle/rootfs", 0o755),
        ("bundle/rootfs/opt", 0o750),
        ("layers", 0o755),
        ("layers/layers", 0o755),
        ("layers/rootfs", 0o755),
        ("layers/layers/1/opt", 0o750),
    ] {
        assert_eq!(mode(name), expected, "{name}");
    }
}
