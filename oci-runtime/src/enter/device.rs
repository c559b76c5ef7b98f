use std::ffi::CStr;

use super::path::{self, Want};
use super::{At, Call, Child, Result, fail};
use crate::plan::{Device, DeviceKind, InRoot};
use crate::sys::Errno;
use crate::sys::call;

impl Child {
    /// Opens the host's null device and checks what it is, before anything of the container could have put
    /// something else in its place.
    pub(super) fn open_null(&mut self) -> Result<()> {
        let null =
            call::openat(libc::AT_FDCWD, c"/dev/null", libc::O_PATH | libc::O_NOFOLLOW, 0).at(Call::Open)?;
        let found = call::stat(null, c"").at(Call::Stat)?;
        if !is_node(&found, DeviceKind::Character, 1, 3) {
            return fail(Call::NotANode, libc::EINVAL);
        }
        self.null = null;
        Ok(())
    }

    pub(super) fn node(&self, device: &Device) -> Result<()> {
        let Some(last) = device.path.parts.last() else { return fail(Call::Mknod, libc::EINVAL) };
        let folder = path::parent(self.root, &device.path)?;
        let kind = file_type(device.kind);
        let number = libc::makedev(device.major, device.minor);
        match call::mknodat(folder, &last.name, kind | device.mode, number) {
            Ok(()) if (device.uid, device.gid) != (0, 0) => {
                call::chown(folder, &last.name, device.uid, device.gid).at(Call::Chown)?;
            }
            Ok(()) => {}
            // The root brought it along: it must be the same thing.
            Err(Errno(libc::EEXIST)) => {
                let found = call::stat(folder, &last.name).at(Call::Stat)?;
                if !is_node(&found, device.kind, device.major, device.minor) {
                    return fail(Call::Mknod, libc::EEXIST);
                }
            }
            Err(errno) => return Err(errno).at(Call::Mknod),
        }
        self.close_unless_root(folder);
        Ok(())
    }

    pub(super) fn bind_node(&self, device: &Device) -> Result<()> {
        let tree = call::clone_tree(libc::AT_FDCWD, &device.host, false).at(Call::CloneTree)?;
        let found = call::stat(tree, c"").at(Call::Stat)?;
        if !is_node(&found, device.kind, device.major, device.minor) {
            return fail(Call::NotANode, libc::EINVAL);
        }
        let onto = path::target(self.root, &device.path, Want::File, 0)?;
        call::attach(tree, onto).at(Call::Attach)?;
        call::close(onto);
        call::close(tree);
        Ok(())
    }

    pub(super) fn link(&self, content: &CStr, at: &InRoot) -> Result<()> {
        let Some(last) = at.parts.last() else { return Ok(()) };
        let folder = path::parent(self.root, at)?;
        match call::symlinkat(content, folder, &last.name) {
            Ok(()) | Err(Errno(libc::EEXIST)) => {}
            Err(errno) => return Err(errno).at(Call::Symlink),
        }
        self.close_unless_root(folder);
        Ok(())
    }

    fn close_unless_root(&self, folder: call::Fd) {
        if folder != self.root {
            call::close(folder);
        }
    }
}

fn file_type(kind: DeviceKind) -> u32 {
    match kind {
        DeviceKind::Character => libc::S_IFCHR,
        DeviceKind::Block => libc::S_IFBLK,
        DeviceKind::Pipe => libc::S_IFIFO,
    }
}

fn is_node(found: &call::Stat, kind: DeviceKind, major: u32, minor: u32) -> bool {
    found.mode & libc::S_IFMT == file_type(kind)
        && (kind == DeviceKind::Pipe || (found.rdev_major, found.rdev_minor) == (major, minor))
}
