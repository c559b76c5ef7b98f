//! A root to work in, and beside it what must stay exactly as it is.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use tempfile::TempDir;

use super::stats::{Stats, stats};

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
        stats(&self.folder.path().join("canary"))
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        // Folders without permissions are in the way of an ordinary user's removal.
        let _ = oci_unpack::remove_tree(&self.root());
    }
}
