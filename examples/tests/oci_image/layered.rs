//! `--overlay` and `--rootless`: layers as overlayfs wants them, and what an ordinary user gets.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use oci_unpack::framing::{Entry, EntryKind};
use serde_json::{Value, json};

use crate::need_root;
use crate::peers;
use crate::peers::tree::{Leave, assert_same};
use crate::scratch::{Fill, Scratch, json_of, names};

#[test]
fn a_bundle_of_layers() {
    let scratch = Scratch::new();
    scratch.image(
        "v1",
        &[
            |layer| layer.add_file("etc/passwd", 0o644, 22, &b"app:x:1:2::/:/bin/old\n"[..]).unwrap(),
            |layer| {
                layer.add_file("etc/passwd", 0o644, 27, &b"app:x:1000:1001::/:/bin/new"[..]).unwrap();
                layer.add_whiteout("absent").unwrap();
            },
            |layer| layer.add_dir("etc", 0o755).unwrap(),
        ],
        json!({"config": {"Cmd": ["x"], "User": "app"}}),
    );
    let before = scratch.everything();
    scratch.prints(&["unpack", "--overlay", "images:v1", "bundle"]);
    let bundle = scratch.path("bundle");
    assert_eq!(names(&bundle), ["config.json", "layers", "oci-image.state", "rootfs"]);
    assert_eq!(names(&bundle.join("layers")), ["0", "1", "2"]);
    assert_eq!(names(&bundle.join("rootfs")), Vec::<String>::new());
    // The user of the uppermost layer that names one.
    let config = json_of(bundle.join("config.json"));
    assert_eq!(
        (&config["process"]["user"]["uid"], &config["root"]["path"]),
        (&json!(1000), &json!("rootfs"))
    );
    let state = state_of(&scratch, "bundle");
    let expected = if rustix::process::geteuid().is_root() { "trusted" } else { "user" };
    assert_eq!(state["overlay"], expected);
    let error = "bundle has layers; --upper names the folder that holds the changes";
    scratch.fails(&["repack", "images:v1", "bundle"], error, "");
    scratch.fails(&["diff", "bundle"], error, "");
    scratch.prints(&["unpack", "--overlay", "--rootfs-only", "images:v1", "only"]);
    assert_eq!(names(&scratch.path("only")), ["0", "1", "2"]);
    scratch.fails(
        &["unpack", "--overlay", "--max-entries=1", "images:v1", "none"],
        "unpacking images:v1",
        "limit exceeded",
    );
    let own = [bundle, scratch.path("only")];
    let left: Vec<_> = scratch
        .everything()
        .into_keys()
        .filter(|path| !own.iter().any(|own| path.starts_with(own)))
        .collect();
    assert_eq!(left, before.into_keys().collect::<Vec<_>>());
}

fn state_of(scratch: &Scratch, bundle: &str) -> Value {
    let bytes = fs::read(scratch.path(bundle).join("oci-image.state")).unwrap();
    serde_json::from_slice(bytes.split(|byte| *byte == b'\n').next().unwrap()).unwrap()
}

#[test]
fn changes_in_an_upper_folder_become_a_layer() {
    need_root!("changes_in_an_upper_folder_become_a_layer");
    let scratch = Scratch::new();
    scratch.small("v1");
    scratch.prints(&["unpack", "--overlay", "images:v1", "bundle"]);
    let script = r#"
        set -e
        mkdir upper work
        mount -t overlay overlay -o lowerdir=bundle/layers/1:bundle/layers/0,upperdir=upper,workdir=work bundle/rootfs
        cd bundle/rootfs
        cp -a . ../../before
        echo changed >etc/motd
        rm motd
        rm -r opt && mkdir opt && echo x >opt/x
        chmod 700 tmp
        cp -a . ../../after
    "#;
    peers::run(Command::new("unshare").args(["-m", "bash", "-c", script]).current_dir(scratch.path("")));
    scratch.prints(&["unpack", "--rootfs-only", "images:v1", "root"]);
    // A name copied up leaves the others of its file below; and cp gives the root the time of the copy.
    assert_same("mounted", &scratch.path("before"), &scratch.path("root"), Leave { directory_times: true });
    let changes = scratch.prints(&["diff", "bundle", "--upper", "upper"]);
    // That etc/motd came from below overlayfs does not note, since it is one name of several there.
    assert_eq!(changes, "M .\nM etc\nA etc/motd\nD motd\nA opt\nA opt/x\nM tmp\n");
    scratch.prints(&["repack", "images:v1", "bundle", "--upper", "upper", "--new-tag", "v2"]);
    scratch.prints(&["unpack", "--rootfs-only", "images:v2", "again"]);
    assert_same("repacked", &scratch.path("after"), &scratch.path("again"), Leave { directory_times: true });
}

fn owned(path: &str, uid: u32, gid: u32, mode: u32, kind: EntryKind) -> Entry {
    let mut entry = Entry::new(path.as_bytes().to_vec(), kind);
    (entry.uid, entry.gid, entry.mode) = (uid, gid, mode);
    entry
}

const OWNED: Fill = |layer| {
    layer.add(owned("home", 1000, 1001, 0o2750, EntryKind::Directory), &b""[..]).unwrap();
    layer.add(owned("home/mine", 1000, 1001, 0o4755, EntryKind::Regular), &b""[..]).unwrap();
    layer.add(owned("root", 0, 0, 0o700, EntryKind::Directory), &b""[..]).unwrap();
};

#[test]
fn owners_are_recorded_and_come_back() {
    let scratch = Scratch::new();
    scratch.image("v1", &[OWNED], json!({"config": {"Cmd": ["x"]}}));
    for (policy, attribute) in [
        ("--rootless", "user.rootlesscontainers"),
        ("--rootless=override-stat", "user.containers.override_stat"),
    ] {
        let bundle = format!("bundle{policy}");
        scratch.prints(&["unpack", policy, "images:v1", &bundle]);
        let root = scratch.path(&bundle).join("rootfs");
        let meta = fs::metadata(root.join("home/mine")).unwrap();
        assert_eq!(meta.uid(), rustix::process::geteuid().as_raw());
        let mut value = [0; 64];
        assert!(rustix::fs::getxattr(root.join("home/mine"), attribute, &mut value).is_ok(), "{policy}");
        assert_eq!(scratch.prints(&["diff", &bundle]), "", "{policy}");
        fs::write(root.join("home/new"), "new").unwrap();
        let changes = scratch.prints(&["diff", &bundle]);
        assert_eq!(changes, "M home\nA home/new\n", "{policy}");
        let tag = format!("images:{}", attribute.replace('.', "-"));
        scratch.prints(&["repack", "images:v1", &bundle, "--new-tag", tag.trim_start_matches("images:")]);
        let entries = top_layer(&scratch, tag.trim_start_matches("images:"));
        let home = entries.iter().find(|entry| entry.path == b"home/").unwrap();
        assert_eq!((home.uid, home.gid, home.mode & 0o7777), (1000, 1001, 0o2750), "{policy}");
        let new = entries.iter().find(|entry| entry.path == b"home/new").unwrap();
        assert_eq!((new.uid, new.gid), (0, 0), "{policy}");
        assert!(entries.iter().all(|entry| entry.xattrs.is_empty()), "{policy}");
    }
}

#[test]
fn whoever_unpacks_gets_what_they_may_have() {
    let scratch = Scratch::new();
    scratch.image("v1", &[OWNED], json!({"config": {"Cmd": ["x"]}}));
    scratch.prints(&["unpack", "images:v1", "bundle"]);
    scratch.prints(&["unpack", "--rootless=drop", "images:v1", "dropped"]);
    let me = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let owner = |bundle: &str| {
        let meta = fs::metadata(scratch.path(bundle).join("rootfs/home/mine")).unwrap();
        (meta.uid(), meta.gid())
    };
    let (expected, word) = if me.0 == 0 { ((1000, 1001), "applied") } else { (me, "dropped") };
    assert_eq!((owner("bundle"), owner("dropped")), (expected, me));
    assert_eq!(state_of(&scratch, "bundle")["owners"], word);
    assert_eq!(state_of(&scratch, "dropped")["owners"], "dropped");
    // What has no owners any more belongs to root in the image.
    fs::write(scratch.path("dropped/rootfs/home/mine"), "x").unwrap();
    scratch.prints(&["repack", "images:v1", "dropped", "--new-tag", "v2"]);
    assert!(top_layer(&scratch, "v2").iter().all(|entry| (entry.uid, entry.gid) == (0, 0)));
    let namespaces = json_of(scratch.path("bundle/config.json"))["linux"]["namespaces"].clone();
    let has_user = namespaces.as_array().unwrap().iter().any(|namespace| namespace["type"] == "user");
    assert_eq!(has_user, me.0 != 0, "an ordinary user's bundle needs a user namespace");
}

/// The entries of an image's uppermost layer.
fn top_layer(scratch: &Scratch, tag: &str) -> Vec<Entry> {
    let layout = scratch.layout("images");
    let manifest = json_of(layout.blob_path(layout.resolve(tag).unwrap().digest()).unwrap());
    let layers = manifest["layers"].as_array().unwrap();
    let digest = layers.last().unwrap()["digest"].as_str().unwrap().replace(':', "/");
    let blob = fs::File::open(scratch.path("images/blobs").join(digest)).unwrap();
    let decoder = oci_unpack::compression::Decoder::new(blob, None).unwrap();
    let mut archive =
        oci_unpack::framing::ArchiveReader::new(std::io::BufReader::new(decoder), &Default::default());
    let mut entries = Vec::new();
    while let Some(entry) = archive.next_entry().unwrap() {
        entries.push(entry);
    }
    entries
}
