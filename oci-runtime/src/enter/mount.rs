use std::ffi::CStr;

use super::copy::copy_up;
use super::path::{self, Want};
use super::{At, Call, Child, Result, fail};
use crate::plan::{InRoot, Propagation};
use crate::step::{Mount, Source};
use crate::sys::Errno;
use crate::sys::call::{self, Fd, MountAttr};

/// The first mask of each kind: the next ones are clones of it.
pub(super) struct Masks {
    folder: Fd,
}

impl Masks {
    pub(super) const NONE: Self = Self { folder: -1 };
}

impl Child {
    pub(super) fn attach_root(&mut self, path: &CStr, no_devices: bool) -> Result<()> {
        let tree = call::clone_tree(libc::AT_FDCWD, path, true).at(Call::CloneTree)?;
        if no_devices {
            let attr = MountAttr { set: libc::MOUNT_ATTR_NODEV, ..MountAttr::default() };
            call::mount_setattr(tree, c"", false, &attr).at(Call::Setattr)?;
        }
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let onto = call::openat(libc::AT_FDCWD, path, flags, 0).at(Call::Open)?;
        call::attach(tree, onto).at(Call::Attach)?;
        call::close(onto);
        self.root = tree;
        Ok(())
    }

    pub(super) fn mount(&self, mount: &Mount) -> Result<()> {
        let (tree, want) = match &mount.source {
            Source::New { file_system, parameters } => {
                let context = call::fsopen(file_system).at(Call::Fsopen)?;
                for (key, value) in parameters {
                    call::fsconfig(context, key, value.as_deref()).at(Call::Fsconfig)?;
                }
                call::fscreate(context).at(Call::Fscreate)?;
                let later = if mount.copy_up.is_some() { libc::MOUNT_ATTR_RDONLY } else { 0 };
                let tree = call::fsmount(context, mount.attr.set & !later).at(Call::Fsmount)?;
                call::close(context);
                (tree, Want::Folder)
            }
            Source::Bind { path, recursive } => {
                let tree = call::clone_tree(libc::AT_FDCWD, path, *recursive).at(Call::CloneTree)?;
                if mount.attr != MountAttr::default() {
                    call::mount_setattr(tree, c"", false, &mount.attr).at(Call::Setattr)?;
                }
                let folder = call::stat(tree, c"").at(Call::Stat)?.is_directory();
                (tree, if folder { Want::Folder } else { Want::File })
            }
        };
        if mount.deep != MountAttr::default() {
            call::mount_setattr(tree, c"", true, &mount.deep).at(Call::Setattr)?;
        }
        let want = if mount.make { want } else { Want::Existing };
        let onto = path::target(self.root, &mount.target, want, mount.resolve)?;
        if let Some(wanted) = mount.copy_up {
            copy_up(onto, tree, wanted)?;
            // Not before: nothing can be written to what is read-only.
            let attr = MountAttr { set: mount.attr.set, ..MountAttr::default() };
            call::mount_setattr(tree, c"", false, &attr).at(Call::Setattr)?;
        }
        call::attach(tree, onto).at(Call::Attach)?;
        call::close(onto);
        for (flag, recursive) in &mount.propagation {
            propagate(tree, c"", Propagation { flag: *flag, recursive: *recursive })?;
        }
        call::close(tree);
        Ok(())
    }

    /// A folder disappears under an empty read-only tmpfs, everything else under the null device.
    pub(super) fn mask(&mut self, at: &InRoot) -> Result<()> {
        let Some(onto) = self.existing(at)? else { return Ok(()) };
        let tree = if call::stat(onto, c"").at(Call::Stat)?.is_directory() {
            if self.masks.folder >= 0 {
                call::clone_tree(self.masks.folder, c"", false).at(Call::CloneTree)?
            } else {
                let context = call::fsopen(c"tmpfs").at(Call::Fsopen)?;
                call::fsconfig(context, c"nr_inodes", Some(c"1")).at(Call::Fsconfig)?;
                call::fscreate(context).at(Call::Fscreate)?;
                let attributes = libc::MOUNT_ATTR_RDONLY
                    | libc::MOUNT_ATTR_NOSUID
                    | libc::MOUNT_ATTR_NODEV
                    | libc::MOUNT_ATTR_NOEXEC;
                let tree = call::fsmount(context, attributes).at(Call::Fsmount)?;
                call::close(context);
                self.masks.folder = tree;
                tree
            }
        } else {
            call::clone_tree(self.null, c"", false).at(Call::CloneTree)?
        };
        call::attach(tree, onto).at(Call::Attach)?;
        call::close(onto);
        if tree != self.masks.folder {
            call::close(tree);
        }
        Ok(())
    }

    /// Binds the path over itself, with everything below, and makes that read-only.
    pub(super) fn read_only(&self, at: &InRoot) -> Result<()> {
        let Some(onto) = self.existing(at)? else { return Ok(()) };
        let tree = call::clone_tree(onto, c"", true).at(Call::CloneTree)?;
        let attr = MountAttr { set: libc::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
        call::mount_setattr(tree, c"", true, &attr).at(Call::Setattr)?;
        call::attach(tree, onto).at(Call::Attach)?;
        call::close(tree);
        call::close(onto);
        Ok(())
    }

    /// A path that is not there needs neither a mask nor protection.
    fn existing(&self, at: &InRoot) -> Result<Option<Fd>> {
        match call::open_in_root(self.root, &at.whole, libc::O_PATH, 0) {
            Ok(onto) => Ok(Some(onto)),
            Err(Errno(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
            Err(errno) => Err(errno).at(Call::OpenInRoot),
        }
    }
}

pub(super) fn propagate(dir: Fd, path: &CStr, propagation: Propagation) -> Result<()> {
    let attr = MountAttr { propagation: propagation.flag, ..MountAttr::default() };
    call::mount_setattr(dir, path, propagation.recursive, &attr).at(Call::Setattr)
}

/// Writes a kernel parameter through a procfs that nobody else can reach: what lies at /proc of the container's root
/// may be anything.
pub(super) fn sysctl(name: &CStr, value: &CStr) -> Result<()> {
    const PROC_SUPER_MAGIC: i64 = 0x9fa0;
    let context = call::fsopen(c"proc").at(Call::Fsopen)?;
    call::fscreate(context).at(Call::Fscreate)?;
    let proc = call::fsmount(context, 0).at(Call::Fsmount)?;
    call::close(context);
    let resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_XDEV | libc::RESOLVE_NO_SYMLINKS;
    let file = call::open_how(proc, name, libc::O_WRONLY, resolve).at(Call::OpenInRoot)?;
    if call::file_system(file).at(Call::NotProc)? != PROC_SUPER_MAGIC {
        return fail(Call::NotProc, libc::EINVAL);
    }
    call::write(file, value.to_bytes()).at(Call::Write)?;
    call::close(file);
    call::close(proc);
    Ok(())
}
