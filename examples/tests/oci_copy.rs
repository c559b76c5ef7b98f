//! `oci-copy` against skopeo, umoci and podman: what one writes, the other reads, through every kind of archive; and the
//! program by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test program")]

mod peers;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use oci_client::registry::Registry;
use oci_digest::content::{self, MemoryStore, SourceExt};
use oci_digest::{Algorithm, Digest, MediaType, digest_of, platform};
use oci_layout::ImageLayout;
use oci_layout::edit::{Artifact, Family, ImageEdit, IndexEdit, LayerAddition};
use oci_unpack::compression::{Compression, Encoder};
use serde_json::Value;

fn oci_copy(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oci-copy"));
    command.current_dir(folder).args(arguments);
    command
}

/// Runs it where it must succeed; what it printed.
fn ok(folder: &Path, arguments: &[&str]) -> String {
    String::from_utf8(peers::run(&mut oci_copy(folder, arguments)).stdout).unwrap()
}

/// Runs it where it must fail: the exit code and what it says.
fn fails(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = oci_copy(folder, arguments).output().unwrap();
    assert!(!output.status.success(), "{arguments:?} succeeded");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn skopeo(folder: &Path, arguments: &[&str]) -> Output {
    peers::run(Command::new("skopeo").current_dir(folder).args(arguments))
}

/// An empty tar with a file in it, as a layer.
fn tar(name: &str, text: &str) -> Vec<u8> {
    let mut header = vec![0u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    for (at, field) in [
        (100, "0000644\0".to_owned()),
        (108, "0000000\0".to_owned()),
        (116, "0000000\0".to_owned()),
        (124, format!("{:011o}\0", text.len())),
        (136, "00000000000\0".to_owned()),
        (148, "        ".to_owned()),
        (156, "0".to_owned()),
        (257, "ustar\x0000".to_owned()),
    ] {
        header[at..at + field.len()].copy_from_slice(field.as_bytes());
    }
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut body = text.as_bytes().to_vec();
    body.resize(text.len().div_ceil(512) * 512, 0);
    [header, body, vec![0; 1024]].concat()
}

fn compressed(bytes: &[u8], compression: Compression) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new(), compression, None).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image of layers, each of one file and of another compression; what they hold together.
fn image(layout: &ImageLayout, family: Family, arch: &str, layers: &[(&str, Compression)], tag: &str) {
    let mut edit = ImageEdit::new(family, &platform::parse(&format!("linux/{arch}")).unwrap());
    for (name, compression) in layers {
        let plain = tar(name, &format!("{name} of {tag}\n"));
        let blob = layout.put(compression.media_type(), &*compressed(&plain, *compression)).unwrap();
        edit.append_layer(LayerAddition::new(blob, digest_of(Algorithm::Sha256, &plain))).unwrap();
    }
    edit.config_mut()
        .unwrap()
        .created("2020-01-01T00:00:00Z")
        .cmd(["/bin/sh"])
        .env("TAG", tag)
        .label("a", "b");
    edit.commit(layout, &[tag]).unwrap();
}

/// A layout with an image that has an uncompressed and two gzip layers, one with docker's types, and an index.
fn layout(folder: &Path) -> ImageLayout {
    let layout = ImageLayout::create(folder.join("layout")).unwrap();
    let layers = [("one", Compression::None), ("two", Compression::Gzip), ("three", Compression::Gzip)];
    image(&layout, Family::Oci, "amd64", &layers, "small");
    image(&layout, Family::Docker, "amd64", &layers[1..], "docker");
    image(&layout, Family::Oci, "arm64", &layers, "arm");
    let mut index = IndexEdit::new(Family::Oci);
    for tag in ["small", "arm"] {
        index.add_image(&content::image(&layout, tag, None).unwrap()).unwrap();
    }
    index.commit(&layout, &["multi"]).unwrap();
    layout
}

/// What of an image must survive every way, that through another program's writer of JSON among them: how it is run, and the
/// layers' diffIDs with the bytes behind them.
fn essence(layout: &Path, tag: &str) -> (Value, Vec<Digest>) {
    let (config, diff_ids) = exactly(layout, tag);
    let config: Value = serde_json::from_slice(&config).unwrap();
    let members = ["architecture", "os", "config", "rootfs"].map(|name| config[name].clone());
    (Value::from_iter(members), diff_ids)
}

/// The config's bytes, and the layers' diffIDs with the bytes behind them.
fn exactly(layout: &Path, tag: &str) -> (Vec<u8>, Vec<Digest>) {
    let layout = ImageLayout::open(layout).unwrap();
    let image = content::image(&layout, tag, Some(&platform::parse("linux/amd64").unwrap())).unwrap();
    let mut diff_ids = Vec::new();
    for layer in image.layers().unwrap() {
        let blob = layout.read(&layer.descriptor, 1 << 30).unwrap();
        let mut plain = examples::decompress(Box::new(&*blob)).unwrap();
        let mut hasher = oci_digest::HashWriter::new(std::io::sink(), Algorithm::Sha256);
        std::io::copy(&mut plain, &mut hasher).unwrap();
        let actual = hasher.finish().1;
        assert_eq!(actual, layer.diff_id);
        diff_ids.push(actual);
    }
    (image.config.bytes().to_vec(), diff_ids)
}

const AMD64: [&str; 2] = ["--override-arch", "amd64"];

#[test]
fn skopeo_reads_what_we_write_and_we_what_it_writes() {
    need_tools!("skopeo_reads_what_we_write_and_we_what_it_writes", "skopeo");
    let folder = peers::scratch();
    let at = folder.path();
    layout(at);
    for tag in ["small", "docker"] {
        let expected = essence(&at.join("layout"), tag);
        let from = format!("oci:layout:{tag}");
        for (kind, file) in [("oci-archive", "o.tar:x"), ("docker-archive", "d.tar:app:v1"), ("dir", "d")] {
            // skopeo does not find docker's media types in an OCI layout, ours or its own.
            let is_known = tag == "small" || kind != "oci-archive";
            // Ours to skopeo.
            let ours = format!("{kind}:{tag}-ours-{file}");
            ok(at, &["copy", "--platform", "linux/amd64", &from, &ours]);
            let back = format!("oci:back:{tag}-{kind}-ours");
            if is_known {
                skopeo(at, &[&AMD64[..], &["copy", "-q", &ours, &back]].concat());
                assert_eq!(essence(&at.join("back"), &format!("{tag}-{kind}-ours")), expected, "{ours}");
            }
            // What only we had in hand is as it was, byte for byte.
            ok(at, &["copy", "--platform", "linux/amd64", &ours, "oci:own:x"]);
            assert!(exactly(&at.join("own"), "x") == exactly(&at.join("layout"), tag), "{ours}");
            // skopeo's to ours, also through a pipe.
            let theirs = format!("{kind}:{tag}-theirs-{file}");
            let readable = if tag == "small" { &from } else { "dir:docker-ours-flat" };
            if tag == "docker" {
                ok(at, &["copy", "--platform", "linux/amd64", &from, "dir:docker-ours-flat"]);
            }
            skopeo(at, &[&AMD64[..], &["copy", "-q", readable, &theirs]].concat());
            ok(at, &["copy", "--platform", "linux/amd64", &theirs, &format!("oci:mine:{tag}-{kind}")]);
            assert_eq!(essence(&at.join("mine"), &format!("{tag}-{kind}")), expected, "{theirs}");
            if kind != "dir" {
                let file =
                    std::fs::File::open(at.join(format!("{tag}-theirs-{}", file.split(':').next().unwrap())));
                let mut command = oci_copy(
                    at,
                    &[
                        "copy",
                        "--platform",
                        "linux/amd64",
                        &format!("{kind}:-"),
                        &format!("oci:piped:{tag}-{kind}"),
                    ],
                );
                peers::run(command.stdin(file.unwrap()));
                assert_eq!(essence(&at.join("piped"), &format!("{tag}-{kind}")), expected, "{theirs} piped");
            }
        }
    }
}

#[test]
fn an_index_goes_whole_where_there_is_room_for_it() {
    need_tools!("an_index_goes_whole_where_there_is_room_for_it", "skopeo");
    let folder = peers::scratch();
    let at = folder.path();
    let root = layout(at).resolve("multi").unwrap();
    for place in ["oci-archive:o.tar:m", "dir:d", "oci:other:m"] {
        ok(at, &["copy", "--all", "oci:layout:multi", place]);
        let raw = skopeo(at, &["inspect", "--raw", place]).stdout;
        assert_eq!(digest_of(Algorithm::Sha256, &raw), *root.digest(), "{place}");
        skopeo(at, &["copy", "-q", "--all", place, &format!("oci:back:{}", place.replace([':', '.'], "-"))]);
        assert_eq!(ok(at, &["inspect", "--raw", place]).as_bytes(), raw);
    }
    skopeo(at, &["copy", "-q", "--all", "oci:layout:multi", "oci-archive:theirs.tar:m"]);
    skopeo(at, &["copy", "-q", "--all", "oci:layout:multi", "dir:theirs"]);
    for place in ["oci-archive:theirs.tar:m", "dir:theirs"] {
        // skopeo compresses what was not, so that the index is another one.
        let raw = skopeo(at, &["inspect", "--raw", place]).stdout;
        ok(at, &["copy", "--all", place, "oci:mine:m"]);
        let mine = ImageLayout::open(at.join("mine")).unwrap();
        assert_eq!(*mine.resolve("m").unwrap().digest(), digest_of(Algorithm::Sha256, &raw), "{place}");
        assert_eq!(essence(&at.join("mine"), "m"), essence(&at.join("layout"), "small"));
    }
    // A docker archive holds one image, and says so.
    let (code, said) = fails(at, &["copy", "--all", "oci:layout:multi", "docker-archive:d.tar:m:1"]);
    assert!(code == 1 && said.contains("unsupported media type"), "{said}");
    assert!(!at.join("d.tar").exists());
    ok(at, &["copy", "--platform", "linux/arm64", "oci:layout:multi", "docker-archive:d.tar:m:1"]);
    let config: Value =
        serde_json::from_str(&ok(at, &["inspect", "--config", "docker-archive:d.tar"])).unwrap();
    assert_eq!(config["architecture"], "arm64");
}

#[test]
fn a_format_makes_images_what_other_tools_look_for() {
    need_tools!("a_format_makes_images_what_other_tools_look_for", "skopeo");
    let folder = peers::scratch();
    let at = folder.path();
    let made = layout(at);
    let expected = essence(&at.join("layout"), "docker");
    // docker's images, where skopeo looks for OCI's alone.
    for (n, place) in ["oci:given:x", "oci-archive:given.tar:x"].iter().enumerate() {
        ok(at, &["copy", "--format", "oci", "oci:layout:docker", place]);
        let raw: Value = serde_json::from_slice(&skopeo(at, &["inspect", "--raw", place]).stdout).unwrap();
        assert_eq!(raw["mediaType"], MediaType::ImageManifest.as_ref());
        skopeo(at, &[&AMD64[..], &["copy", "-q", place, &format!("oci:back:{n}")]].concat());
        assert_eq!(essence(&at.join("back"), &n.to_string()), expected, "{place}");
        // The config's bytes are the same.
        ok(at, &["copy", place, &format!("oci:mine:{n}")]);
        assert!(
            exactly(&at.join("mine"), &n.to_string()) == exactly(&at.join("layout"), "docker"),
            "{place}"
        );
    }
    // The other way, an index with all that it names, which skopeo reads as docker's and turns back.
    ok(at, &["copy", "--all", "--format", "docker", "oci:layout:multi", "dir:list"]);
    let raw: Value = serde_json::from_slice(&skopeo(at, &["inspect", "--raw", "dir:list"]).stdout).unwrap();
    assert_eq!(raw["mediaType"], Family::Docker.index().as_ref());
    assert_eq!(raw["manifests"][1]["mediaType"], Family::Docker.manifest().as_ref());
    skopeo(at, &["copy", "-q", "--all", "dir:list", "oci:back:list"]);
    assert_eq!(essence(&at.join("back"), "list"), essence(&at.join("layout"), "small"));
    // And skopeo's own conversion comes to the same manifest but for the order and spaces of its JSON.
    ok(at, &["copy", "--format", "docker", "--platform", "linux/arm64", "oci:layout:multi", "dir:ours"]);
    let arm =
        ["--override-arch", "arm64", "copy", "-q", "--format", "v2s2", "oci:layout:multi", "dir:theirs"];
    skopeo(at, &arm);
    let manifest = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(at.join(name).join("manifest.json")).unwrap()).unwrap()
    };
    let (ours, theirs) = (manifest("ours"), manifest("theirs"));
    assert_eq!(ours["mediaType"], theirs["mediaType"]);
    assert_eq!(ours["config"], theirs["config"]);
    // skopeo compresses what was not.
    assert_eq!(ours["layers"].as_array().unwrap()[1..], theirs["layers"].as_array().unwrap()[1..]);

    // What cannot be said is refused, or told.
    image(&made, Family::Oci, "amd64", &[("z", Compression::Zstd)], "zstd");
    let (code, said) = fails(at, &["copy", "--format", "docker", "oci:layout:zstd", "oci:no:x"]);
    assert!(code == 1 && said.contains("unsupported media type"), "{said}");
    assert!(!at.join("no").exists());
    let mut edit = ImageEdit::open(&made, "small", None).unwrap();
    edit.annotate("a", Some("b"));
    edit.commit(&made, &["annotated"]).unwrap();
    let output = peers::run(&mut oci_copy(
        at,
        &["copy", "--platform", "linux/amd64", "--format", "docker", "oci:layout:annotated", "dir:annotated"],
    ));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("/annotations was left out"), "{said}");
    assert!(manifest("annotated").get("annotations").is_none());
    let (code, _) = fails(at, &["copy", "--format", "oci", "--referrers", "oci:layout:small", "oci:no:x"]);
    assert_eq!(code, 2);
}

#[test]
fn layouts_share_their_blobs_as_those_of_skopeo_do() {
    need_tools!("layouts_share_their_blobs_as_those_of_skopeo_do", "skopeo");
    let folder = peers::scratch();
    let at = folder.path();
    layout(at);
    let expected = essence(&at.join("layout"), "small");
    let plain = ["--platform", "linux/amd64"];
    let to = ["--dest-shared-blob-dir", "blobs"];
    let from = ["--src-shared-blob-dir", "blobs"];
    // First, because it writes manifests over, which an ordinary user may not where the blob is one of ours, of mode 0444.
    skopeo(at, &[&AMD64[..], &["copy", "-q"], &to, &["oci:layout:small", "oci:theirs:x"]].concat());
    ok(at, &[&["copy"][..], &plain, &to, &["oci:layout:small", "oci:ours:x"]].concat());
    skopeo(at, &[&AMD64[..], &["copy", "-q"], &from, &["oci:ours:x", "oci:back:ours"]].concat());
    ok(at, &[&["copy"][..], &plain, &from, &["oci:theirs:x", "oci:back:theirs"]].concat());
    for tag in ["ours", "theirs"] {
        assert_eq!(essence(&at.join("back"), tag), expected, "{tag}");
    }
    assert_eq!(std::fs::read_dir(at.join("ours/blobs")).unwrap().count(), 0);
    let shown = ok(at, &["inspect", "--config", "--shared-blob-dir", "blobs", "oci:ours:x"]);
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["config"]["Labels"]["a"], "b");
}

#[test]
fn umoci_reads_what_came_through_archives() {
    need_tools!("umoci_reads_what_came_through_archives", "umoci");
    let folder = peers::scratch();
    let at = folder.path();
    layout(at);
    for (n, place) in ["oci-archive:o.tar:x", "docker-archive:d.tar:x:1", "dir:d"].iter().enumerate() {
        ok(at, &["copy", "--platform", "linux/amd64", "oci:layout:small", place]);
        ok(at, &["copy", "--platform", "linux/amd64", place, "oci:back:x"]);
        let bundle = at.join(n.to_string());
        let mut umoci = Command::new("umoci");
        umoci.current_dir(at).args(["unpack", "--rootless", "--image", "back:x"]).arg(&bundle);
        peers::run(&mut umoci);
        for name in ["one", "two", "three"] {
            let text = std::fs::read_to_string(bundle.join("rootfs").join(name)).unwrap();
            assert_eq!(text, format!("{name} of small\n"), "{place}");
        }
    }
    // And the layout that umoci writes.
    for arguments in [&["init", "--layout", "theirs"][..], &["new", "--image", "theirs:x"]] {
        peers::run(Command::new("umoci").current_dir(at).args(arguments));
    }
    ok(at, &["copy", "oci:theirs:x", "oci-archive:theirs.tar:x"]);
    assert_eq!(ok(at, &["list-tags", "oci-archive:theirs.tar"]), "x\n");
}

#[test]
fn podman_loads_what_we_write_and_we_read_what_it_saves() {
    need_root!("podman_loads_what_we_write_and_we_read_what_it_saves");
    need_tools!("podman_loads_what_we_write_and_we_read_what_it_saves", "podman", "unshare");
    let folder = peers::scratch();
    let at = folder.path();
    layout(at);
    let expected = exactly(&at.join("layout"), "small");
    let podman = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.current_dir(at).args(["-m", "podman", "--root"]).arg(at.join("store")).arg("--runroot");
        command.arg(at.join("run")).args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]);
        peers::run(command.args(arguments))
    };
    ok(
        at,
        &["copy", "--platform", "linux/amd64", "oci:layout:small", "docker-archive:d.tar:example.org/app:v1"],
    );
    ok(
        at,
        &["copy", "--platform", "linux/amd64", "oci:layout:small", "oci-archive:o.tar:example.org/app:v2"],
    );
    ok(at, &["copy", "--platform", "linux/amd64", "oci:layout:small", "dir:d"]);
    let id = digest_of(Algorithm::Sha256, &expected.0);
    for (file, name) in [("d.tar", "example.org/app:v1"), ("o.tar", "example.org/app:v2")] {
        podman(&["load", "-q", "-i", file]);
        let found = podman(&["image", "inspect", "--format", "{{.Id}}", name]).stdout;
        assert_eq!(String::from_utf8(found).unwrap().trim(), id.digest(), "{file}");
    }
    for (n, format) in ["docker-archive", "oci-archive", "docker-dir", "oci-dir"].into_iter().enumerate() {
        let saved = format!("saved-{n}");
        podman(&["save", "-q", "--format", format, "-o", &saved, "example.org/app:v1"]);
        let place = match format {
            "docker-dir" => format!("dir:{saved}"),
            "oci-dir" => format!("oci:{saved}"),
            archive => format!("{archive}:{saved}"),
        };
        ok(at, &["copy", "--platform", "linux/amd64", &place, &format!("oci:back:{n}")]);
        assert_eq!(exactly(&at.join("back"), &n.to_string()).1, expected.1, "{format}");
    }
    // Several images in one archive.
    let two = ["save", "-q", "-m", "-o", "many.tar", "example.org/app:v1", "example.org/app:v2"];
    podman(&two);
    let tags = ok(at, &["list-tags", "docker-archive:many.tar"]);
    assert_eq!(tags, "example.org/app:v1\nexample.org/app:v2\n");
}

#[test]
fn real_images_go_through_every_archive() {
    let corpus = need_corpus!("real_images_go_through_every_archive");
    need_tools!("real_images_go_through_every_archive", "skopeo");
    let folder = peers::scratch();
    let at = folder.path();
    for name in ["busybox", "many-layers"] {
        let from = format!("oci:{}:latest", corpus.join(name).display());
        let expected = essence(&corpus.join(name), "latest");
        for place in ["oci-archive:o.tar:x", "docker-archive:d.tar:x/y:1", "dir:d"] {
            ok(at, &["copy", "--platform", "linux/amd64", &from, place]);
            skopeo(at, &[&AMD64[..], &["copy", "-q", place, "oci:theirs:x"]].concat());
            assert_eq!(essence(&at.join("theirs"), "x"), expected, "{name} {place}");
            ok(at, &["copy", "--platform", "linux/amd64", place, "oci:ours:x"]);
            let same = exactly(&at.join("ours"), "x") == exactly(&corpus.join(name), "latest");
            assert!(same, "{name} {place}");
        }
    }
}

#[test]
fn archives_go_to_a_registry_and_back() {
    let folder = peers::scratch();
    let at = folder.path();
    let source = layout(at);
    let root = source.resolve("multi").unwrap();
    Artifact::new("application/vnd.example.sbom").subject(root.clone()).commit(&source, &[]).unwrap();
    let server = Registry::builder().start().unwrap();
    let remote = format!("docker://{}/team/app:v1", server.host());
    ok(at, &["copy", "--all", "--referrers", "oci:layout:multi", "oci-archive:o.tar:v1"]);
    let told = ok(at, &["copy", "--all", "--referrers", "--json", "oci-archive:o.tar:v1", &remote]);
    let done: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!((&done["event"], &done["digest"]), (&"copied".into(), &root.digest().to_string().into()));
    assert_eq!(done["referrers"].as_array().unwrap().len(), 1);
    assert_eq!(ok(at, &["list-tags", &remote]).lines().next(), Some("v1"));
    ok(at, &["copy", "--platform", "linux/arm64", &remote, "docker-archive:d.tar:app:v1"]);
    let layer_count = |place: &str| {
        let shown: Value = serde_json::from_str(&ok(at, &["inspect", place])).unwrap();
        shown["layers"].as_array().unwrap().len()
    };
    assert_eq!(layer_count("docker-archive:d.tar:app:v1"), 3);
    ok(at, &["copy", "--all", "--referrers", &remote, "oci:back:v1"]);
    let back = ImageLayout::open(at.join("back")).unwrap();
    assert_eq!(back.referrers(root.digest(), None).unwrap().len(), 1);
}

#[test]
fn a_dry_run_tells_and_does_nothing() {
    let folder = peers::scratch();
    let at = folder.path();
    layout(at);
    for place in ["oci:new:x", "oci-archive:new.tar", "docker-archive:new.tar:x", "dir:new"] {
        let told =
            ok(at, &["copy", "--dry-run", "--json", "--platform", "linux/amd64", "oci:layout:small", place]);
        let plan: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        assert_eq!(
            (&plan["event"], &plan["sent"], &plan["present"]),
            (&"planned".into(), &5.into(), &0.into())
        );
        assert!(!at.join("new").exists() && !at.join("new.tar").exists(), "{place}");
    }
    let there = ok(
        at,
        &["copy", "--dry-run", "--json", "--platform", "linux/amd64", "oci:layout:small", "oci:layout:y"],
    );
    let plan: Value = serde_json::from_str(there.lines().last().unwrap()).unwrap();
    assert_eq!((&plan["sent"], &plan["present"]), (&1.into(), &4.into()));
    assert!(ImageLayout::open(at.join("layout")).unwrap().resolve("y").is_err());
}

#[test]
fn failures_are_one_line_and_their_causes_and_leave_nothing() {
    let folder = peers::scratch();
    let at = folder.path();
    let source = layout(at);
    std::fs::write(at.join("text"), "no archive at all").unwrap();
    let compressed_bytes = compressed(&[0; 4096], Compression::Gzip);
    std::fs::write(at.join("empty.tar.gz"), compressed_bytes).unwrap();
    for (code, arguments, reason) in [
        (1, &["copy", "oci-archive:missing.tar", "oci:x"][..], "cannot open missing.tar"),
        (1, &["copy", "docker-archive:text", "oci:x"], "it is no tar archive"),
        (1, &["copy", "oci-archive:empty.tar.gz", "oci:x"], "oci-layout: it is missing"),
        (1, &["copy", "oci:layout:none", "oci-archive:x.tar"], "none not found"),
        (1, &["copy", "oci:layout:none", "oci:x"], "none not found"),
        (1, &["copy", "oci:layout:none", "dir:x"], "none not found"),
        (1, &["copy", "oci:layout", "oci-archive:x.tar"], "oci:layout holds 4 images: name one of them"),
        (1, &["copy", "--platform", "linux/s390x", "oci:layout:multi", "dir:x.dir"], "no image for platform"),
        (
            1,
            &["inspect", "oci:layout:multi", "--platform", "linux/s390x"],
            "available: linux/amd64, linux/arm64",
        ),
        (1, &["list-tags", "dir:layout"], "has no tags"),
        (1, &["copy", "oci:layout:small", "docker-archive:x.tar:UPPER"], "invalid tag"),
        (2, &["copy", "--referrers", "oci:layout:small", "dir:x"], "has no place for referrers"),
        (2, &["copy", "--json", "oci:layout:small", "oci-archive:-"], "cannot both go to standard output"),
        (2, &["copy", "layout:small", "oci:x"], "expected docker://"),
        (
            2,
            &["copy", "--all", "--platform", "linux/amd64", "oci:layout:small", "oci:x"],
            "cannot be used with",
        ),
        (2, &["frobnicate"], "unrecognized subcommand"),
    ] {
        let (actual, said) = fails(at, arguments);
        assert!(actual == code && said.contains(reason), "{arguments:?}: {actual}: {said}");
        assert!(said.starts_with("error: "), "{said}");
        if code == 1 {
            assert!(said.lines().skip(1).all(|line| line.starts_with("caused by: ")), "{said}");
        }
    }
    let left = std::fs::read_dir(at).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = left.filter(|name| name.starts_with('x') && name != "x.dir").collect();
    assert!(left.is_empty(), "{left:?}");

    // A damaged blob on the way: the archive that was there stays.
    ok(at, &["copy", "oci:layout:arm", "--platform", "linux/arm64", "docker-archive:d.tar:a"]);
    let before = std::fs::read(at.join("d.tar")).unwrap();
    let image = content::image(&source, "small", None).unwrap();
    let layer = source.blob_path(image.manifest.view().layers()[1].digest()).unwrap();
    let mut bytes = std::fs::read(&layer).unwrap();
    bytes[40] ^= 1;
    std::fs::remove_file(&layer).unwrap();
    std::fs::write(&layer, bytes).unwrap();
    for place in ["docker-archive:d.tar:a", "oci-archive:d.tar:a"] {
        let (code, said) = fails(at, &["copy", "--platform", "linux/amd64", "oci:layout:small", place]);
        assert!(code == 1 && said.contains("digest mismatch"), "{said}");
        assert!(std::fs::read(at.join("d.tar")).unwrap() == before);
    }
}

#[test]
fn an_archive_goes_through_a_pipe() {
    let folder = peers::scratch();
    let at = folder.path();
    layout(at);
    for kind in ["oci-archive", "docker-archive"] {
        let place = format!("{kind}:-");
        let mut writer = oci_copy(at, &["copy", "--platform", "linux/amd64", "oci:layout:small", &place])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let target = format!("oci:back:{kind}");
        let mut reader = oci_copy(at, &["copy", "--platform", "linux/amd64", &place, &target]);
        peers::run(reader.stdin(writer.stdout.take().unwrap()));
        assert!(writer.wait().unwrap().success());
        assert!(exactly(&at.join("back"), kind) == exactly(&at.join("layout"), "small"), "{kind}");
    }
    // Without anything that a memory store would not have: the same by the library.
    let memory = MemoryStore::new();
    let layout = ImageLayout::open(at.join("back")).unwrap();
    content::copy(&layout, "oci-archive", &memory, &content::CopyOptions::default()).unwrap();
    assert!(memory.contents().iter().any(|one| *one.media_type() == MediaType::ImageManifest));
}
