use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

use crate::tree::remove_dir;
use crate::{Error, Result};

/// Removes an unpacked tree, also one with folders that not even their owner can enter, as images have them.
///
/// It works by descriptors and follows no link, except in the folder of `path` itself. Nothing there is success.
///
/// # Errors
/// [`Error::Io`] when something cannot be removed, or `path` is not a directory; the call may be repeated then.
pub fn remove_tree(path: &Path) -> Result<()> {
    let io = |errno| Error::io(format!("removing {}", path.display()), errno);
    let Some(name) = path.file_name() else { return Err(io(rustix::io::Errno::INVAL)) };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match open(parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(parent) => remove_dir(parent.as_fd(), name.as_bytes()).map_err(io),
        Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(io(errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn removes_closed_folders_and_no_link_targets() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, kept) = (folder.path().join("tree"), folder.path().join("kept"));
        fs::create_dir_all(tree.join("closed/deeper")).unwrap();
        fs::write(tree.join("closed/deeper/file"), "x").unwrap();
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "stays").unwrap();
        symlink(&kept, tree.join("link")).unwrap();
        fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert_eq!(fs::read(kept.join("file")).unwrap(), b"stays");
        remove_tree(&tree).unwrap();
        assert!(remove_tree(&kept.join("file")).is_err());
    }
}
