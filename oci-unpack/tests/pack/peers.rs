//! Other programs unpack what is packed here, and find the same tree.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use oci_unpack::compression::Compression;
use oci_unpack::pack::{LayerWriter, Owners, PackOptions, PackedLayer, pack};
use oci_unpack::{Rootfs, UnpackOptions};

use crate::folder::tree;

/// Every node below a folder: name, type and mode, links, size, time, owner, target or content.
fn listing(dir: &Path) -> Vec<String> {
    fn walk(dir: &Path, below: &Path, out: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = below.join(entry.file_name());
            let meta = entry.metadata().unwrap();
            let target = fs::read_link(entry.path()).unwrap_or_default();
            let content = if meta.is_file() { fs::read(entry.path()).unwrap() } else { Vec::new() };
            let digest = oci_digest::digest_of(oci_digest::Algorithm::Sha256, &content);
            let size = if meta.is_dir() { 0 } else { meta.size() };
            let nlink = if meta.is_dir() { 0 } else { meta.nlink() };
            out.push(format!(
                "{:?} {:o} x{nlink} {size} @{} {}:{} {target:?} {digest}",
                String::from_utf8_lossy(name.as_os_str().as_bytes()),
                meta.mode(),
                meta.mtime(),
                meta.uid(),
                meta.gid(),
            ));
            if meta.is_dir() {
                walk(&entry.path(), &name, out);
            }
        }
    }
    let mut out = Vec::new();
    walk(dir, Path::new(""), &mut out);
    out.sort();
    out
}

pub(crate) fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn run(command: &mut Command) {
    let output = command.env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{command:?}");
}

#[test]
fn gnu_tar_and_bsdtar() {
    let dir = tempfile::tempdir().unwrap();
    let tree_dir = dir.path().join("tree");
    fs::create_dir(&tree_dir).unwrap();
    tree(&tree_dir);
    for (program, compression) in [
        ("tar", Compression::None),
        ("tar", Compression::Gzip),
        ("bsdtar", Compression::Gzip),
        ("bsdtar", Compression::Zstd),
    ] {
        if !is_there(program) {
            eprintln!("SKIP gnu_tar_and_bsdtar: needs {program}");
            continue;
        }
        let blob = dir.path().join(format!("layer {compression}"));
        let options = PackOptions::default().compression(compression);
        pack(&tree_dir, fs::File::create(&blob).unwrap(), &options).unwrap();
        let out = dir.path().join(format!("{program} {compression}"));
        fs::create_dir(&out).unwrap();
        run(Command::new(program).arg("-xpf").arg(&blob).arg("-C").arg(&out));
        assert_eq!(listing(&out), listing(&tree_dir), "{program} {compression}");
    }
}

#[test]
fn umoci() {
    if !is_there("umoci") {
        eprintln!("SKIP umoci: needs umoci");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let tree_dir = dir.path().join("tree");
    fs::create_dir(&tree_dir).unwrap();
    tree(&tree_dir);
    // umoci as an ordinary user maps this one to root.
    let root = rustix::process::geteuid().is_root();
    let owners = if root { Owners::Keep } else { Owners::Fixed { uid: 0, gid: 0 } };
    let layout = dir.path().join("layout");
    let (blob, layer) = pack(&tree_dir, Vec::new(), &PackOptions::default().owners(owners)).unwrap();
    write_layout(&layout, &blob, &layer);
    let out = dir.path().join("out");
    umoci_unpack(&layout, &out, !root);
    assert_eq!(listing(&out), listing(&tree_dir));
}

pub(crate) fn umoci_unpack(layout: &Path, out: &Path, rootless: bool) {
    let mut command = Command::new("umoci");
    command
        .args(["--log=error", "raw", "unpack", "--image"])
        .arg(format!("{}:latest", layout.display()))
        .arg(out);
    if rootless {
        command.arg("--rootless");
    }
    run(&mut command);
}

/// The smallest layout with one image of one layer, tagged `latest`.
pub(crate) fn write_layout(layout: &Path, blob: &[u8], layer: &PackedLayer) {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = oci_digest::digest_of(oci_digest::Algorithm::Sha256, bytes);
        fs::write(blobs.join(digest.digest()), bytes).unwrap();
        (digest.to_string(), bytes.len())
    };
    let (layer_digest, layer_size) = put(blob);
    let layer_type = layer.descriptor().media_type().to_string();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}},"config":{{}}}}"#,
        layer.diff_id
    );
    let (config_digest, config_size) = put(config.as_bytes());
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config_digest}","size":{config_size}}},"layers":[{{"mediaType":"{layer_type}","digest":"{layer_digest}","size":{layer_size}}}]}}"#
    );
    let (digest, size) = put(manifest.as_bytes());
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{size},"annotations":{{"org.opencontainers.image.ref.name":"latest"}}}}]}}"#
    );
    fs::write(layout.join("index.json"), index).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

/// Names that are not text need care in every program.
#[test]
fn odd_names() {
    let dir = tempfile::tempdir().unwrap();
    let names: [&[u8]; 4] = [b"-dash", b"new\nline", b"\xff\xfe", b"\xe2\x82 cut \xe2\x82\xac"];
    let mut layer = LayerWriter::new(Vec::new(), &PackOptions::default().latest_mtime(5)).unwrap();
    for name in names {
        layer.add_file(std::ffi::OsStr::from_bytes(name), 0o644, 1, &b"x"[..]).unwrap();
    }
    let blob = dir.path().join("layer");
    fs::write(&blob, layer.finish().unwrap().0).unwrap();
    for program in ["tar", "bsdtar"] {
        if !is_there(program) {
            eprintln!("SKIP odd_names: needs {program}");
            continue;
        }
        let out = dir.path().join(program);
        fs::create_dir(&out).unwrap();
        // GNU tar says that it does not know hdrcharset, which is no matter.
        let status = Command::new(program)
            .arg("-xpzf")
            .arg(&blob)
            .arg("-C")
            .arg(&out)
            .env("LC_ALL", "C.UTF-8")
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{program}");
        let mut found: Vec<_> =
            fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name().as_bytes().to_vec()).collect();
        found.sort();
        let mut expected = names.map(<[u8]>::to_vec);
        expected.sort();
        assert_eq!(found, expected, "{program}");
    }
}

/// Files with holes, at their ends, between, and nothing but a hole: as sparse entries they come out with the same
/// content and without the zeros, and the layer does not depend on how they lay on the disk.
#[test]
fn sparse_entries() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    let [sparse_dir, whole_dir] = ["sparse", "whole"].map(|name| dir.path().join(name));
    for tree in [&sparse_dir, &whole_dir] {
        fs::create_dir_all(tree.join(&long).parent().unwrap()).unwrap();
        for (name, size, data) in [
            ("plain", 5u64, &[0u64][..]),
            ("hole", 1 << 20, &[][..]),
            ("front", 1 << 20, &[(1 << 20) - 5]),
            ("end", (1 << 20) + 77, &[0]),
            (&long, 3 << 20, &[4096, 100_000, 2 << 20]),
        ] {
            let file = fs::File::create(tree.join(name)).unwrap();
            if tree == &whole_dir {
                file.write_all_at(&vec![0; size as usize], 0).unwrap();
            }
            file.set_len(size).unwrap();
            for at in data {
                file.write_all_at(b"data!", *at).unwrap();
            }
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        let folder = fs::File::open(tree.join(&long).parent().unwrap()).unwrap();
        folder.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    let options = PackOptions::default().compression(Compression::None).sparse(true);
    let blob = dir.path().join("layer.tar");
    let (_, layer) = pack(&sparse_dir, fs::File::create(&blob).unwrap(), &options).unwrap();
    assert!(layer.size < 200_000, "{}", layer.size);
    assert_eq!(pack(&whole_dir, Vec::new(), &options).unwrap().1, layer);
    let allocated = |tree: &Path| fs::metadata(tree.join(&long)).unwrap().blocks() * 512;
    let ours = dir.path().join("ours");
    fs::create_dir(&ours).unwrap();
    let mut rootfs = Rootfs::open(&ours, &UnpackOptions::default()).unwrap();
    rootfs.apply(fs::File::open(&blob).unwrap()).unwrap();
    rootfs.finish().unwrap();
    assert_eq!(listing(&ours), listing(&sparse_dir));
    assert!(allocated(&ours) <= 64 << 10, "{}", allocated(&ours));
    for program in ["tar", "bsdtar"] {
        if !is_there(program) {
            eprintln!("SKIP sparse_entries: needs {program}");
            continue;
        }
        let out = dir.path().join(program);
        fs::create_dir(&out).unwrap();
        run(Command::new(program).arg("-xpf").arg(&blob).arg("-C").arg(&out));
        assert_eq!(listing(&out), listing(&sparse_dir), "{program}");
    }
}
