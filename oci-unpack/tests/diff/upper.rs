//! overlayfs upper folders: edits made through a real mount, in a process with mounts of its own.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::{Command, Stdio};

use oci_unpack::Error;
use oci_unpack::diff;
use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat, setxattr};

use crate::edits::{Dice, UNPRIVILEGED, Where, edit, grow};
use crate::{apply, copy, entries, exact, list, tree};

const SEED: &str = "OCI_UNPACK_EDIT_OVERLAY";

/// Not a test by itself: what the other process does, which sees the mount at `merged`.
#[test]
fn edits_in_the_mount() {
    let Some(seed) = std::env::var_os(SEED) else { return };
    let seed: u64 = seed.to_str().unwrap().parse().unwrap();
    edit(Path::new("merged"), &mut Dice::new(seed), 15, Where::Overlay);
    // Deleted and made anew: opaque in every kernel.
    fs::create_dir_all("merged/anew").unwrap();
    fs::write("merged/anew/file", "new").unwrap();
    // Looked at here: overlayfs does not always count the names of a file, which a copy would go by.
    fs::write("after", tree::show(Path::new("merged"), std::env::var_os(UNPRIVILEGED).is_none())).unwrap();
}

/// Runs [`edits_in_the_mount`] over `lower` and `upper` of this folder. `false` when nothing can be mounted here.
fn edit_mounted(folder: &Path, seed: u64) -> bool {
    for name in ["upper", "work", "merged"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    let root = rustix::process::geteuid().is_root();
    let options = "lowerdir=lower,upperdir=upper,workdir=work";
    let options = if root { options.to_owned() } else { format!("{options},userxattr") };
    let script = r#"
        mount -t overlay overlay -o "$1" merged || exit 77
        if [ -d merged/anew ]; then rm -r merged/anew; fi
        exec "$2" --exact upper::edits_in_the_mount
    "#;
    let mut command = Command::new("unshare");
    command.args(if root { &["-m"][..] } else { &["-Urm"] });
    command.args(["sh", "-c", script, "sh", &options]).arg(std::env::current_exe().unwrap());
    command.current_dir(folder).env(SEED, seed.to_string()).stdout(Stdio::null());
    if !root {
        command.env(UNPRIVILEGED, "1");
    }
    let output = command.output();
    let Ok(output) = output else { return false };
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) || complaint.contains("unshare failed") {
        return false;
    }
    assert!(output.status.success(), "seed {seed}: {complaint}");
    true
}

#[test]
fn a_mount_and_its_upper_folder() {
    for seed in 400..415 {
        // overlayfs takes no upper folder on another overlayfs.
        let dir =
            tempfile::tempdir_in(if Path::new("/dev/shm").exists() { "/dev/shm" } else { "/tmp" }).unwrap();
        let [lower, upper, after, result] =
            ["lower", "upper", "after", "result"].map(|name| dir.path().join(name));
        fs::create_dir(&lower).unwrap();
        grow(&lower, &mut Dice::new(seed), 20);
        fs::create_dir_all(lower.join("anew")).unwrap();
        fs::write(lower.join("anew/old"), "old").unwrap();
        if !edit_mounted(dir.path(), seed) {
            eprintln!("SKIP a_mount_and_its_upper_folder: needs overlay mounts");
            return;
        }
        let diff = diff::overlay_upper(&upper, &exact()).unwrap();
        let (blob, _) = diff.write(Vec::new()).unwrap();
        copy(&lower, &result);
        apply(&blob, &result);
        let shown = tree::show(&result, rustix::process::geteuid().is_root());
        assert_eq!(shown, fs::read_to_string(after).unwrap(), "seed {seed}: {:#?}", list(&diff));
    }
}

#[test]
fn what_each_mark_means() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["plain/below", "opaque/below", "marked"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    for name in ["gone by attribute", "file", "copied up", "marked/gone"] {
        fs::write(at(name), "").unwrap();
    }
    fs::write(at("with content"), "x").unwrap();
    let set =
        |name: &str, attribute: &str, value: &[u8]| setxattr(at(name), attribute, value, XattrFlags::empty());
    if set("opaque", "user.overlay.opaque", b"y").is_err() {
        eprintln!("SKIP what_each_mark_means: needs a temporary folder with user.* attributes");
        return;
    }
    set("gone by attribute", "user.overlay.whiteout", b"").unwrap();
    set("marked", "user.overlay.opaque", b"x").unwrap();
    set("marked/gone", "user.overlay.whiteout", b"y").unwrap();
    set("with content", "user.overlay.whiteout", b"y").unwrap();
    set("copied up", "user.overlay.origin", b"").unwrap();
    set("file", "user.kept", b"1").unwrap();
    // Linux 5.8 lets anybody make these.
    let device = mknodat(CWD, at("gone"), FileType::CharacterDevice, Mode::empty(), makedev(0, 0)).is_ok();
    if !device {
        fs::write(at("gone"), "").unwrap();
        set("gone", "user.overlay.whiteout", b"y").unwrap();
    }
    assert_eq!(device, fs::metadata(at("gone")).unwrap().file_type().is_char_device());
    let diff = diff::overlay_upper(dir.path(), &exact()).unwrap();
    let expected = [
        "M .",
        "M copied up",
        "A file",
        "D gone",
        "D gone by attribute",
        "A marked",
        "D marked/gone",
        "A opaque",
        "A opaque/below",
        "A plain",
        "A plain/below",
        "A with content",
    ];
    assert_eq!(list(&diff), expected);
    let mut events = Vec::new();
    let (blob, _) = diff.write_observed(Vec::new(), &mut |event| events.push(event)).unwrap();
    assert_eq!(events, []);
    let expected = [
        "./",
        "copied up",
        "file",
        ".wh.gone",
        ".wh.gone by attribute",
        "marked/",
        "marked/.wh.gone",
        "opaque/",
        "opaque/.wh..wh..opq",
        "opaque/below/",
        "plain/",
        "plain/below/",
        "with content",
    ];
    assert_eq!(entries(&blob), expected);

    for (attribute, name, word) in
        [("user.overlay.metacopy", "file", "metacopy"), ("user.overlay.redirect", "plain", "redirect_dir")]
    {
        set(name, attribute, b"/elsewhere").unwrap();
        let error = diff::overlay_upper(dir.path(), &exact()).unwrap_err();
        assert!(matches!(&error, Error::Entry { path, .. } if path == name), "{error:?}");
        assert!(error.to_string().contains(word), "{error}");
        rustix::fs::removexattr(at(name), attribute).unwrap();
    }
}

#[test]
fn an_empty_folder_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(diff::overlay_upper(dir.path(), &exact()).unwrap().is_empty());
}
