//! The registry and other people's tools.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::http::{INDEX, MANIFEST, described, get, sha256, start};

#[test]
fn skopeo_copies_there_and_back() {
    if Command::new("skopeo").arg("--version").output().is_err() {
        eprintln!("SKIP skopeo_copies_there_and_back: needs skopeo");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let index = write_layout(&layout);
    let server = start();
    let remote = format!("docker://{}/team/app", server.host());
    let from = format!("oci:{}:latest", layout.display());
    // Large enough that the layer goes through a file on its way in.
    skopeo(&[
        "copy",
        "--all",
        "--preserve-digests",
        "--dest-tls-verify=false",
        &from,
        &format!("{remote}:v1"),
    ]);
    assert_eq!(
        get(&server, "/v2/team/app/manifests/v1").header("docker-content-digest"),
        Some(index.as_str())
    );
    let back = folder.path().join("back");
    let to = format!("oci:{}:latest", back.display());
    skopeo(&["copy", "--all", "--preserve-digests", "--src-tls-verify=false", &format!("{remote}:v1"), &to]);
    let blobs = |layout: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(blobs(&back), blobs(&layout));

    // Within the registry layers are mounted, and one platform can be picked.
    let other = format!("docker://{}/team/other:v2", server.host());
    let plain = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    skopeo(&["copy", plain[0], plain[1], &format!("{remote}:v1"), &other]);
    let tags = skopeo(&["list-tags", "--tls-verify=false", &remote]);
    assert_eq!(serde_json::from_slice::<Value>(&tags.stdout).unwrap()["Tags"], json!(["v1"]));
    skopeo(&["inspect", "--tls-verify=false", &other]);
    skopeo(&["delete", "--tls-verify=false", &other]);
    assert_eq!(get(&server, "/v2/team/other/manifests/v2").status, 404);
}

fn skopeo(arguments: &[&str]) -> Output {
    let policy = tempfile::NamedTempFile::new().unwrap();
    fs::write(policy.path(), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    let home = tempfile::tempdir().unwrap();
    let output = Command::new("skopeo")
        .arg("--policy")
        .arg(policy.path())
        .args(arguments)
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "skopeo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A layout with an index of one image; the digest of the index.
fn write_layout(layout: &Path) -> String {
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    let put = |bytes: &[u8]| {
        let hex = sha256(bytes).replace("sha256:", "");
        fs::write(layout.join("blobs/sha256").join(hex), bytes).unwrap();
    };
    let layer: Vec<u8> = vec![0; 3 << 20];
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [sha256(&layer)]},
    })
    .to_string();
    let mut image = json!({"schemaVersion": 2, "mediaType": MANIFEST});
    image["config"] = described("application/vnd.oci.image.config.v1+json", config.as_bytes());
    image["layers"] = json!([described("application/vnd.oci.image.layer.v1.tar", &layer)]);
    let image = image.to_string();
    let mut entry = described(MANIFEST, image.as_bytes());
    let platform: Value = serde_json::from_str(&config).unwrap();
    entry["platform"] = json!({"architecture": platform["architecture"], "os": "linux"});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).to_string();
    for bytes in [&layer[..], config.as_bytes(), image.as_bytes(), index.as_bytes()] {
        put(bytes);
    }
    let mut root = described(INDEX, index.as_bytes());
    root["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(layout.join("index.json"), json!({"schemaVersion": 2, "manifests": [root]}).to_string())
        .unwrap();
    sha256(index.as_bytes())
}
