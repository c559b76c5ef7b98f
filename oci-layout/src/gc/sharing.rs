//! Layouts that keep their blobs in one folder: none is collected without the others.

use std::path::PathBuf;

use rustix::fs;

use super::GcOptions;
use crate::lock::Lock;
use crate::{Error, ImageLayout, Result};

/// The layouts that the options tell of, without which a shared folder is not collected.
pub(super) fn told(layout: &ImageLayout, options: &GcOptions) -> Result<Vec<ImageLayout>> {
    match &options.sharing {
        Some(paths) => others(layout, paths),
        None if !layout.root.is_shared() => Ok(Vec::new()),
        None => Err(Error::Refused {
            path: layout.path().to_owned(),
            reason: "its blobs are in a folder with those of other layouts, and garbage collection was not told which",
        }),
    }
}

/// The other layouts of a shared folder, each once; a layout with its own blobs has none.
pub(crate) fn others(layout: &ImageLayout, paths: &[PathBuf]) -> Result<Vec<ImageLayout>> {
    if !layout.root.is_shared() {
        return Ok(Vec::new());
    }
    let mut others: Vec<(ImageLayout, (u64, u64))> = Vec::new();
    for path in paths {
        let other = layout.options.clone().open(path)?;
        let identity = identity(&other)?;
        if identity != self::identity(layout)? && others.iter().all(|(_, known)| *known != identity) {
            others.push((other, identity));
        }
    }
    Ok(others.into_iter().map(|(other, _)| other).collect())
}

/// The locks of all layouts, in the one order in which every collection takes them.
pub(super) fn lock(layout: &ImageLayout, others: &[ImageLayout]) -> Result<Vec<Lock>> {
    let mut all = Vec::new();
    for layout in std::iter::once(layout).chain(others) {
        all.push((identity(layout)?, layout));
    }
    all.sort_by_key(|(identity, _)| *identity);
    all.into_iter().map(|(_, layout)| Lock::exclusive(&layout.root)).collect()
}

/// One folder may have several paths.
fn identity(layout: &ImageLayout) -> Result<(u64, u64)> {
    let stat = fs::fstat(layout.root.as_fd()).map_err(Error::io("inspect", layout.path()))?;
    Ok((stat.st_dev, stat.st_ino))
}
