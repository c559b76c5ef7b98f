//! What we repack is the same tree to everybody, and what umoci repacks is the same tree to us.

use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Command;

use oci_unpack::framing::{ArchiveReader, EntryKind, FramingLimits};
use serde_json::json;

use crate::peers;
use crate::peers::tree::{Leave, assert_same};
use crate::random::{Random, has_every_kind};
use crate::scratch::{Scratch, json_of};
use crate::{need_corpus, need_root, need_tools};

#[test]
fn a_random_edit_is_the_same_tree_to_everybody() {
    need_root!("a_random_edit_is_the_same_tree_to_everybody");
    need_tools!("a_random_edit_is_the_same_tree_to_everybody", "umoci", "podman", "tar");
    for seed in 1..=4 {
        let scratch = Scratch::new();
        let mut random = Random::new(seed);
        fs::create_dir(scratch.path("base")).unwrap();
        random.grow(&scratch.path("base"), 150);
        assert!(has_every_kind(&scratch.path("base")), "seed {seed}");
        scratch.prints(&["new", "images:v1"]);
        scratch.prints(&["append", "images:v1", "base"]);
        scratch.prints(&["config", "images:v1", "--config.cmd=sh"]);
        // Twice, so that a whiteout meets what an earlier repack brought.
        edited(&scratch, &mut random, "v1", "v2", 60);
        edited(&scratch, &mut random, "v2", "v3", 60);
        everybody(
            &scratch,
            &format!("seed {seed}"),
            "v3",
            &scratch.path("bundle-v3/rootfs"),
            &["vfs", "overlay"],
        );
    }
}

#[test]
fn an_edited_corpus_image_is_the_same_tree_to_everybody() {
    need_root!("an_edited_corpus_image_is_the_same_tree_to_everybody");
    let corpus = need_corpus!("an_edited_corpus_image_is_the_same_tree_to_everybody");
    need_tools!("an_edited_corpus_image_is_the_same_tree_to_everybody", "umoci", "podman", "tar");
    // With vfs each of many layers is a copy of the whole tree, which takes minutes.
    for (name, drivers) in [("busybox", &["vfs", "overlay"][..]), ("many-layers", &["overlay"])] {
        let scratch = Scratch::new();
        peers::run(Command::new("cp").arg("-r").arg(corpus.join(name)).arg(scratch.path("images")));
        edited(&scratch, &mut Random::new(7), "latest", "edited", 150);
        everybody(&scratch, name, "edited", &scratch.path("bundle-edited/rootfs"), drivers);
    }
}

/// Unpacks an image, edits it and makes another of it.
fn edited(scratch: &Scratch, random: &mut Random, from: &str, to: &str, changes: usize) {
    let bundle = format!("bundle-{to}");
    scratch.prints(&["unpack", &format!("images:{from}"), &bundle]);
    random.edit(&scratch.path(&bundle).join("rootfs"), changes);
    scratch.prints(&["repack", &format!("images:{from}"), &bundle, "--new-tag", to]);
}

/// Has everybody unpack an image, and compares what they make of it with what it was made of.
fn everybody(scratch: &Scratch, what: &str, tag: &str, expected: &Path, drivers: &[&str]) {
    let compare =
        |who: &str, tree: &Path, leave| assert_same(&format!("{what}, {who}"), expected, tree, leave);
    let ours = scratch.path(&format!("ours-{tag}"));
    scratch.prints(&["unpack", "--rootfs-only", &format!("images:{tag}"), ours.to_str().unwrap()]);
    compare("ours", &ours, Leave::default());
    let umoci = scratch.path("umoci");
    peers::run(Command::new("umoci").args(["raw", "unpack", "--image"]).arg(image(scratch, tag)).arg(&umoci));
    compare("umoci", &umoci, LEAVE);
    for driver in drivers {
        let tree = podman(scratch, tag, driver);
        // Its library passes over the entry of the root itself ("." in a layer), whoever made the layer.
        let root = fs::metadata(expected).unwrap();
        lchown(&tree, Some(root.uid()), Some(root.gid())).unwrap();
        fs::set_permissions(&tree, root.permissions()).unwrap();
        compare(&format!("podman with {driver}"), &tree, LEAVE);
    }
    compare("GNU tar", &gnu_tar(scratch, tag), LEAVE);
}

/// Where a later layer works in a directory that it does not name, others leave the time that this made.
const LEAVE: Leave = Leave { directory_times: true };

fn image(scratch: &Scratch, tag: &str) -> String {
    format!("{}:{tag}", scratch.path("images").display())
}

/// Pulls the image into a store of its own, mounts it in a mount namespace of its own, and copies what is there.
fn podman(scratch: &Scratch, tag: &str, driver: &str) -> PathBuf {
    let folder = scratch.path(driver);
    fs::create_dir(&folder).unwrap();
    let script = r#"
        set -e
        podman="podman --root $1/root --runroot $1/run --storage-driver $2"
        id=$($podman pull -q "oci:$3")
        tree=$($podman image mount "$id")
        mkdir "$1/copy"
        cp -a "$tree/." "$1/copy/"
        $podman image unmount "$id" >/dev/null
    "#;
    peers::run(
        Command::new("timeout")
            .args(["120", "unshare", "-m", "bash", "-c", script, "podman"])
            .arg(&folder)
            .arg(driver)
            // podman makes a name of the path, for which the scratch folder's has letters too large.
            .arg(format!("images:{tag}"))
            .current_dir(scratch.path("")),
    );
    folder.join("copy")
}

/// Each layer by GNU tar, after what it hides or replaces was removed.
fn gnu_tar(scratch: &Scratch, tag: &str) -> PathBuf {
    let root = scratch.path("gnu-tar");
    fs::create_dir(&root).unwrap();
    let layout = scratch.layout("images");
    let manifest = json_of(layout.blob_path(layout.resolve(tag).unwrap().digest()).unwrap());
    for layer in manifest["layers"].as_array().unwrap() {
        let blob = scratch.path("images/blobs").join(layer["digest"].as_str().unwrap().replace(':', "/"));
        make_room(&root, &blob);
        peers::run(
            Command::new("tar")
                .args(["-x", "-p", "-z", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner"])
                .args(["--exclude=.wh.*", "--delay-directory-restore", "-f"])
                .arg(&blob)
                .arg("-C")
                .arg(&root),
        );
    }
    root
}

fn make_room(root: &Path, blob: &Path) {
    use std::os::unix::ffi::OsStrExt;
    let layer = oci_unpack::compression::Decoder::new(fs::File::open(blob).unwrap(), None).unwrap();
    let mut archive = ArchiveReader::new(std::io::BufReader::new(layer), &FramingLimits::default());
    while let Some(entry) = archive.next_entry().unwrap() {
        let path = Path::new(std::ffi::OsStr::from_bytes(&entry.path));
        let name = path.file_name().unwrap_or_default().as_bytes();
        let is_dir = |path: &Path| path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        let gone = match name.strip_prefix(b".wh.") {
            Some(b".wh..opq") => {
                let folder = root.join(path.parent().unwrap());
                // Nothing of this layer is there yet.
                if is_dir(&folder) {
                    fs::remove_dir_all(&folder).unwrap();
                    fs::create_dir(&folder).unwrap();
                }
                continue;
            }
            Some(hidden) => root.join(path).with_file_name(std::ffi::OsStr::from_bytes(hidden)),
            // tar makes no directory of a file, and no file of a directory that holds something.
            None if is_dir(&root.join(path)) != (entry.kind == EntryKind::Directory) => root.join(path),
            None => continue,
        };
        let _ = if is_dir(&gone) { fs::remove_dir_all(&gone) } else { fs::remove_file(&gone) };
    }
}

#[test]
fn what_umoci_makes_is_the_same_tree_to_us() {
    need_root!("what_umoci_makes_is_the_same_tree_to_us");
    need_tools!("what_umoci_makes_is_the_same_tree_to_us", "umoci");
    let scratch = Scratch::new();
    scratch.small("v1");
    let umoci = |arguments: &[&str]| peers::run(Command::new("umoci").args(arguments));
    let at = |name: &str| scratch.path(name).display().to_string();
    umoci(&["unpack", "--image", &image(&scratch, "v1"), &at("theirs")]);
    let root = scratch.path("theirs/rootfs");
    let mut random = Random::new(3);
    random.grow(&root, 60);
    random.edit(&root, 40);
    umoci(&["repack", "--image", &image(&scratch, "v2"), &at("theirs")]);
    let compare = |tag: &str| {
        let (ours, theirs) = (format!("ours-{tag}"), at(&format!("umoci-{tag}")));
        scratch.prints(&["unpack", "--rootfs-only", &format!("images:{tag}"), &ours]);
        umoci(&["raw", "unpack", "--image", &image(&scratch, tag), &theirs]);
        assert_same(tag, &scratch.path(&ours), theirs.as_ref(), LEAVE);
    };
    compare("v2");
    umoci(&[
        "config",
        "--image",
        &image(&scratch, "v2"),
        "--tag",
        "v3",
        "--config.user",
        "7:8",
        "--config.env",
        "A=b",
    ]);
    let config: serde_json::Value = serde_json::from_str(&scratch.prints(&["config", "images:v3"])).unwrap();
    assert_eq!((&config["config"]["User"], &config["config"]["Env"]), (&json!("7:8"), &json!(["A=b"])));
    fs::create_dir_all(scratch.path("put/sub")).unwrap();
    fs::write(scratch.path("put/sub/file"), "inserted").unwrap();
    umoci(&["insert", "--image", &image(&scratch, "v2"), "--tag", "v4", &at("put"), "/etc/put"]);
    umoci(&["insert", "--image", &image(&scratch, "v4"), "--tag", "v5", "--whiteout", "/etc/motd"]);
    umoci(&["insert", "--image", &image(&scratch, "v5"), "--tag", "v6", "--opaque", &at("put"), "/opt"]);
    for tag in ["v4", "v5", "v6"] {
        compare(tag);
    }
    // And on: what we make of what they made.
    scratch.prints(&["unpack", "images:v6", "bundle"]);
    fs::write(scratch.path("bundle/rootfs/opt/ours"), "ours").unwrap();
    scratch.prints(&["repack", "images:v6", "bundle"]);
    umoci(&["raw", "unpack", "--image", &image(&scratch, "v6"), &at("last")]);
    assert_same("on", &scratch.path("bundle/rootfs"), &scratch.path("last"), LEAVE);
}

#[test]
fn a_bundle_runs_with_runc() {
    need_root!("a_bundle_runs_with_runc");
    let corpus = need_corpus!("a_bundle_runs_with_runc");
    need_tools!("a_bundle_runs_with_runc", "runc");
    let scratch = Scratch::new();
    scratch.prints(&["unpack", corpus.join("busybox").to_str().unwrap(), "bundle"]);
    let config = scratch.path("bundle/config.json");
    let mut spec = json_of(&config);
    spec["process"]["args"] = json!(["cat", "/etc/hostname-of-the-bundle"]);
    fs::write(config, spec.to_string()).unwrap();
    fs::write(scratch.path("bundle/rootfs/etc/hostname-of-the-bundle"), "here\n").unwrap();
    let output = peers::run(
        Command::new("timeout")
            .args(["60", "unshare", "-m", "runc", "--root"])
            .arg(scratch.path("runc"))
            .args(["run", "--bundle"])
            .arg(scratch.path("bundle"))
            .arg(format!("oci-image-test-{}", std::process::id())),
    );
    assert_eq!(output.stdout, b"here\n");
}
