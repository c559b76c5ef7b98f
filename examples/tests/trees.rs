//! The unpacked tree of every corpus image beside the one umoci makes of it: names, types, modes, owners, sizes,
//! contents, link targets, hard-link groups, extended attributes and times. And beside what overlayfs makes of its layers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test program")]

mod peers;

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;

use oci_digest::content;
use oci_layout::ImageLayout;
use oci_unpack::{OverlayFormat, UnpackOptions, overlay, unpack};
use peers::tree::{Leave, assert_same, difference, snapshot};

const IMAGES: [&str; 8] =
    ["busybox", "debian", "python", "node", "many-layers", "multi", "python-zstd", "node-zstd"];

const LARGE: [&str; 4] = ["python", "node", "python-zstd", "node-zstd"];

#[test]
fn every_corpus_tree_is_umocis() {
    let corpus = need_corpus!("every_corpus_tree_is_umocis");
    need_root!("every_corpus_tree_is_umocis");
    need_tools!("every_corpus_tree_is_umocis", "umoci", "skopeo");
    for name in IMAGES {
        let folder = peers::scratch();
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        let source = ImageLayout::open(corpus.join(name)).unwrap();
        let image = content::image(&source, "latest", None).unwrap();
        unpack(&source, image.manifest.view(), image.config.view(), &ours, &UnpackOptions::default())
            .unwrap();
        let read_by_umoci = umoci_layout(&corpus.join(name), folder.path(), name);
        peers::run(
            Command::new("umoci")
                .args(["raw", "unpack", "--image"])
                .arg(format!("{}:latest", read_by_umoci.display()))
                .arg(&theirs),
        );
        // A directory's time is the newest entry's that names it; umoci leaves what its last change made of it
        // where a later layer works in it without naming it.
        let leave = Leave { directory_times: image.manifest.view().layers().len() > 1 };
        assert_same(name, &ours, &theirs, leave);
    }
}

#[test]
fn every_corpus_tree_is_that_of_its_layers_mounted() {
    let corpus = need_corpus!("every_corpus_tree_is_that_of_its_layers_mounted");
    need_root!("every_corpus_tree_is_that_of_its_layers_mounted");
    for name in IMAGES {
        let folder = peers::scratch();
        let tree = folder.path().join("tree");
        let source = ImageLayout::open(corpus.join(name)).unwrap();
        let image = content::image(&source, "latest", None).unwrap();
        let (manifest, config) = (image.manifest.view(), image.config.view());
        unpack(&source, manifest, config, &tree, &UnpackOptions::default()).unwrap();
        let wanted = snapshot(&tree, Leave::default());
        // The small ones with the other marks, too: what differs is not the size.
        let formats = [OverlayFormat::Trusted, OverlayFormat::User];
        let formats = if LARGE.contains(&name) { &formats[..1] } else { &formats };
        for format in formats.iter().copied() {
            let layers = folder.path().join(format!("{format:?}"));
            let mut options = UnpackOptions::default().overlay_format(format);
            if format == OverlayFormat::User {
                options = options.layers_at_once(NonZeroUsize::new(3).unwrap());
            }
            let report = overlay::unpack(&source, manifest, config, &layers, &options).unwrap();
            let mounted = peers::overlay::Mounted::new(&layers, report.layers.len(), format);
            let found = difference(&snapshot(mounted.root(), Leave::default()), &wanted);
            assert!(found.is_empty(), "{name}, {format:?}:\n{}", found[..found.len().min(20)].join("\n"));
        }
    }
}

/// A layout that this umoci reads: it knows neither zstd nor indexes, so skopeo makes it another of those.
fn umoci_layout(layout: &Path, scratch: &Path, name: &str) -> std::path::PathBuf {
    if !name.ends_with("-zstd") && name != "multi" {
        return layout.to_owned();
    }
    let copy = scratch.join("layout");
    peers::run(
        Command::new("skopeo")
            .args(["copy", "-q", "--insecure-policy", "--dest-compress-format", "gzip"])
            .args(["--dest-compress-level", "1"])
            .arg(format!("oci:{}:latest", layout.display()))
            .arg(format!("oci:{}:latest", copy.display())),
    );
    copy
}
