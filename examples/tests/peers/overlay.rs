//! Layers as overlayfs shows them, in a mount that is attached nowhere and ends with its descriptor.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_unpack::{OverlayFormat, overlay};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen,
};

pub struct Mounted {
    root: PathBuf,
    _mount: OwnedFd,
    _empty: tempfile::TempDir,
}

impl Mounted {
    /// Mounts so many layers below a folder, read-only. Needs root and Linux 6.7.
    pub fn new(layers: &Path, count: usize, format: OverlayFormat) -> Self {
        // Two lower folders at least, which the kernel wants.
        let empty = tempfile::tempdir().unwrap();
        let mut lower = overlay::lower_dirs(layers, count);
        lower.push(empty.path().to_owned());
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
        for dir in &lower {
            fsconfig_set_string(&context, "lowerdir+", dir.as_path()).unwrap();
        }
        if format == OverlayFormat::User {
            fsconfig_set_flag(&context, "userxattr").unwrap();
        }
        fsconfig_create(&context).unwrap();
        let flags = MountAttrFlags::MOUNT_ATTR_RDONLY;
        let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags).unwrap();
        // With a dot: the name itself is a link.
        let root = PathBuf::from(format!("/proc/self/fd/{}/.", mount.as_raw_fd()));
        Self { root, _mount: mount, _empty: empty }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
}
