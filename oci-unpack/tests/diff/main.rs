//! Layers out of what changed: applied to what was before, they make what is there now.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod edits;
mod peers;
mod random;
mod rules;
#[path = "../rootfs/tree.rs"]
mod tree;
mod unpacked;
mod upper;

use std::fs;
use std::path::Path;

use oci_unpack::compression::Compression;
use oci_unpack::diff::{ChangeKind, Diff};
use oci_unpack::pack::{PackOptions, pack};
use oci_unpack::{Rootfs, UnpackOptions};

mod layer {
    /// The time that [`crate::tree::show`] does not show.
    pub(crate) const TIME: i64 = 1000;
}

/// Says everything, down to the last digit of each time.
fn exact() -> PackOptions {
    PackOptions::default()
        .nanoseconds(true)
        .root_entry(true)
        .trusted_xattrs(true)
        .compression(Compression::None)
}

/// A tree with everything on it.
fn show(tree: &Path) -> String {
    tree::show(tree, true)
}

/// Applies a layer to a folder.
fn apply(blob: &[u8], to: &Path) {
    let options = UnpackOptions::default().keep_trusted_xattrs(true).strict(true);
    let mut rootfs = Rootfs::open(to, &options).unwrap();
    rootfs.apply(blob).unwrap();
    rootfs.finish().unwrap();
}

/// Another tree like this one, of which every node is a node of its own.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    apply(&pack(from, Vec::new(), &exact()).unwrap().0, to);
    assert_eq!(show(from), show(to));
}

/// The changes, as text.
fn list(diff: &Diff) -> Vec<String> {
    let letter = |kind| match kind {
        ChangeKind::Added => 'A',
        ChangeKind::Modified => 'M',
        ChangeKind::Deleted => 'D',
    };
    diff.changes().iter().map(|change| format!("{} {}", letter(change.kind), change.path.display())).collect()
}

/// What each entry of a layer is, as `tar -t` would say.
fn entries(blob: &[u8]) -> Vec<String> {
    use oci_unpack::framing::{ArchiveReader, EntryKind, FramingLimits};
    let mut reader = ArchiveReader::new(blob, &FramingLimits::default());
    let mut names = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut name = String::from_utf8_lossy(&entry.path).into_owned();
        if entry.kind == EntryKind::HardLink {
            name += &format!(" == {}", String::from_utf8_lossy(&entry.link));
        }
        names.push(name);
        while reader.data().unwrap().is_some() {}
    }
    names
}
