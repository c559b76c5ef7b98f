//! A root to work in, and beside it what must stay exactly as it is.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Everything that `stat` says, and what a link says.
type Stats = BTreeMap<PathBuf, ([u64; 7], [i64; 6], Option<PathBuf>)>;

pub struct Yard {
    folder: TempDir,
    before: Stats,
}

impl Yard {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let canary = folder.path().join("canary");
        std::fs::create_dir_all(canary.join("folder")).unwrap();
        std::fs::write(canary.join("file"), "untouched").unwrap();
        std::fs::write(canary.join("folder/a"), "untouched").unwrap();
        symlink("file", canary.join("link")).unwrap();
        std::fs::set_permissions(canary.join("file"), PermissionsExt::from_mode(0o640)).unwrap();
        std::fs::create_dir(folder.path().join("root")).unwrap();
        let mut yard = Self { before: Stats::new(), folder };
        // Times of access move once, with the first look.
        yard.stats();
        yard.before = yard.stats();
        yard
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub fn check(&self) {
        let names: Vec<_> =
            std::fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "beside the root: {names:?}");
        assert_eq!(self.stats(), self.before, "outside of the root something was touched");
    }

    fn stats(&self) -> Stats {
        let mut stats = Stats::new();
        collect(&self.folder.path().join("canary"), &mut stats);
        stats
    }
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

impl Drop for Yard {
    fn drop(&mut self) {
        // Folders without permissions are in the way of an ordinary user's removal.
        let _ = oci_unpack::remove_tree(&self.root());
    }
}
