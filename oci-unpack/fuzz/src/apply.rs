//! Hostile layers over a tree: any result, but the same with and without `openat2`, and nothing outside changes.

use std::path::Path;

use oci_unpack::{Limits, Rootfs, UnpackOptions};

use super::choices::Choices;
use super::steps::{HOSTILE, archive, layers};
use super::tree;
use super::yard::Yard;

pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    // Some archives are damaged, so that work stops anywhere.
    let damage = choices.one_in(4).then(|| (choices.byte(), choices.byte()));
    let mut archives: Vec<_> = layers(&mut choices, &HOSTILE).iter().map(|layer| archive(layer)).collect();
    if let (Some((at, value)), Some(last)) = (damage, archives.last_mut()) {
        let at = usize::from(at) * last.len() / 256;
        last[at] = value;
    }
    let results = [true, false].map(|openat2| {
        let yard = Yard::new();
        let result = apply(&yard.root(), &archives, openat2);
        yard.check();
        // After an error the folder is in between, wherever that is.
        let tree = result.is_ok().then(|| tree::show(&yard.root(), rustix::process::geteuid().is_root()));
        (result, tree)
    });
    assert_eq!(results[0], results[1], "with and without openat2");
}

pub fn seeds() -> Vec<Vec<u8>> {
    super::whiteouts::seeds()
}

/// The warnings' number, or the error's message.
pub(crate) fn apply(root: &Path, archives: &[Vec<u8>], openat2: bool) -> Result<u64, String> {
    let limits = Limits::default().bytes(1 << 20).entries(1000);
    let mut options = UnpackOptions::default().limits(limits);
    if !openat2 {
        options = options.without_openat2();
    }
    let text = |error: oci_unpack::Error| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            text += &format!(": {error}");
            source = error.source();
        }
        text
    };
    let mut rootfs = Rootfs::open(root, &options).map_err(text)?;
    // A root of its own time and mode, which are the test's and not the tree's.
    let own = super::layer::archive(&[super::layer::dir("./").time("0")]);
    for archive in [&own].into_iter().chain(archives) {
        rootfs.apply(&archive[..]).map_err(text)?;
    }
    rootfs.finish().map(|report| report.warnings).map_err(text)
}
