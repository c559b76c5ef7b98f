//! What must not be touched, by everything that `stat` says of it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Numbers, times (of access and change, too) and the target of a link.
pub(crate) type Stats = BTreeMap<PathBuf, ([u64; 7], [i64; 6], Option<PathBuf>)>;

/// Of a folder and all that is in it.
///
/// Looking may move a time of access, but only at the first look (`relatime`): the caller looks once before the look
/// that counts.
pub(crate) fn stats(folder: &Path) -> Stats {
    let mut stats = Stats::new();
    collect(folder, &mut stats);
    stats
}

fn collect(path: &Path, stats: &mut Stats) {
    let meta = path.symlink_metadata().unwrap();
    if meta.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), stats);
        }
    }
    let numbers = [
        meta.dev(),
        meta.ino(),
        meta.mode().into(),
        meta.nlink(),
        meta.uid().into(),
        meta.gid().into(),
        meta.size(),
    ];
    let times =
        [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec(), meta.atime(), meta.atime_nsec()];
    stats.insert(path.to_path_buf(), (numbers, times, path.read_link().ok()));
}
