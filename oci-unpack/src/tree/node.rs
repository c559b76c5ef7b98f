use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, chmod as chmod_path, fstat, makedev, mknodat, openat, symlinkat};
use rustix::io::Errno;

use super::map::{Attributes, Listed};
use super::resolve::Look;
use super::{Place, Tree};
use crate::recorded::Form;
use crate::{Devices, Error, Result, Warning};

/// Linux keeps 12 bits of a major and 20 bits of a minor number.
const MAX_MAJOR: u32 = (1 << 12) - 1;
const MAX_MINOR: u32 = (1 << 20) - 1;

impl Tree {
    /// Makes a directory, or gives new attributes to the one there is. They are applied at the end.
    pub(crate) fn directory(&mut self, at: Place<'_>, attributes: Listed) -> Result<()> {
        let attributes = Attributes::Listed(Box::new(attributes));
        let known = match self.map.child(at.dir, at.name) {
            Some(dir) => Some(dir),
            None if self.make_dir(at)? => {
                self.new_dir(at, attributes);
                self.map.brought(at.dir, at.name);
                return Ok(());
            }
            None => match self.look(at)? {
                Some(Look::Directory(dir)) => Some(dir),
                _ => None,
            },
        };
        match known {
            Some(dir) => {
                self.copy_up_dir(dir)?;
                self.map.set_attributes(dir, attributes);
            }
            None => {
                self.check_exact(at)?;
                self.tell_duplicate(at)?;
                self.replace_by_dir(at, attributes)?;
            }
        }
        self.map.brought(at.dir, at.name);
        Ok(())
    }

    /// Gives the root new attributes.
    pub(crate) fn root(&mut self, attributes: Listed) {
        self.map.set_attributes(super::ROOT, Attributes::Listed(Box::new(attributes)));
    }

    /// Makes a symbolic link in place of whatever has its name.
    pub(crate) fn symlink(&mut self, at: Place<'_>, target: &[u8], attributes: &Listed) -> Result<()> {
        if target.is_empty() || target.contains(&0) {
            return Err(Error::entry(&self.path_of(at), "a symbolic link needs a target without NUL bytes"));
        }
        if target.len() > 4095 {
            return Err(Error::entry(&self.path_of(at), "the target is longer than 4095 bytes"));
        }
        self.make_anew(at, "linking", |parent, name| symlinkat(target, parent, name))?;
        let parent = self.fd(at.dir)?;
        self.dress_link(&parent, at, attributes)
    }

    pub(super) fn dress_link(&mut self, parent: &OwnedFd, at: Place<'_>, attributes: &Listed) -> Result<()> {
        self.own_at(parent, at, attributes)?;
        self.xattrs_at(parent, at, attributes)?;
        self.time_at(parent, at, attributes.mtime, attributes.layer)
    }

    /// Makes a device in place of whatever has its name.
    pub(crate) fn device(
        &mut self,
        at: Place<'_>,
        kind: FileType,
        (major, minor): (u32, u32),
        attributes: &Listed,
    ) -> Result<()> {
        if major > MAX_MAJOR || minor > MAX_MINOR {
            let reason = format!("the kernel has no device {major}:{minor}");
            return Err(Error::entry(&self.path_of(at), reason));
        }
        if self.lower.is_some() && kind == FileType::CharacterDevice && (major, minor) == (0, 0) {
            return self.skip_device(at, Warning::DeviceIsWhiteout);
        }
        // Without privileges even 0:0, which anybody may make since 5.8: the tree shall not depend on the kernel.
        if !self.means.owners {
            return self.no_device(at, attributes);
        }
        let parent = self.fd(at.dir)?;
        let mut displaced = false;
        let mut result = mknodat(&parent, at.name, kind, Mode::empty(), makedev(major, minor));
        if result == Err(Errno::EXIST) {
            self.displace(at)?;
            displaced = true;
            result = mknodat(&parent, at.name, kind, Mode::empty(), makedev(major, minor));
        }
        match result {
            Ok(()) => {
                if !displaced {
                    self.covered(at);
                }
                self.map.brought(at.dir, at.name);
                self.special(at, kind, attributes)
            }
            // A user namespace, or CAP_MKNOD is missing.
            Err(Errno::PERM) => self.no_device(at, attributes),
            Err(errno) => Err(self.failed("making the device", at, errno)),
        }
    }

    /// Makes a named pipe in place of whatever has its name.
    pub(crate) fn fifo(&mut self, at: Place<'_>, attributes: &Listed) -> Result<()> {
        if self.means.record == Some(Form::OverrideStat) {
            return self.empty_file(at, attributes);
        }
        self.make_anew(at, "making the pipe", |parent, name| {
            mknodat(parent, name, FileType::Fifo, Mode::empty(), 0)
        })?;
        self.special(at, FileType::Fifo, attributes)
    }

    fn no_device(&mut self, at: Place<'_>, attributes: &Listed) -> Result<()> {
        if self.means.record == Some(Form::OverrideStat) {
            // Nothing is lost: the attribute says what the file stands for.
            return self.empty_file(at, attributes);
        }
        match self.devices {
            Devices::Skip => self.skip_device(at, Warning::DeviceSkipped),
            Devices::EmptyFile => {
                let path = self.path_of(at);
                self.reporter.warn(&path, Warning::DeviceReplaced)?;
                self.empty_file(at, attributes)
            }
        }
    }

    fn empty_file(&mut self, at: Place<'_>, attributes: &Listed) -> Result<()> {
        let file = self.begin_file(at)?;
        self.end_file(file, at, 0, attributes)
    }

    /// What the device would have replaced must go even so.
    pub(super) fn skip_device(&mut self, at: Place<'_>, warning: Warning) -> Result<()> {
        let path = self.path_of(at);
        self.reporter.warn(&path, warning)?;
        self.remove(at)?;
        self.map.brought(at.dir, at.name);
        self.skipped.insert((at.dir, at.name.into()));
        Ok(())
    }

    pub(super) fn special(&mut self, at: Place<'_>, kind: FileType, attributes: &Listed) -> Result<()> {
        let parent = self.fd(at.dir)?;
        self.own_at(&parent, at, attributes)?;
        // After the owner. Opening such a node could do anything, so only its name's descriptor is taken.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let result = openat(&parent, at.name, flags, Mode::empty()).and_then(|fd| {
            if FileType::from_raw_mode(fstat(&fd)?.st_mode) == kind {
                chmod(&fd, attributes.mode)
            } else {
                Err(Errno::STALE)
            }
        });
        result.map_err(|e| self.failed("setting the mode of", at, e))?;
        self.xattrs_at(&parent, at, attributes)?;
        self.time_at(&parent, at, attributes.mtime, attributes.layer)
    }

    /// Removes what has this name, for something new of this layer.
    pub(super) fn displace(&mut self, at: Place<'_>) -> Result<()> {
        self.check_exact(at)?;
        self.tell_duplicate(at)?;
        self.remove(at)
    }

    /// image-spec layer.md: an archive MUST NOT hold the same name twice; it happens, and the later wins.
    fn tell_duplicate(&mut self, at: Place<'_>) -> Result<()> {
        // A directory that no entry names is in nobody's way, but what this layer brought below it is.
        let below = self.map.child(at.dir, at.name).is_some_and(|dir| self.map.is_touched(dir));
        if below || self.map.is_own(at.dir, at.name) {
            let path = self.path_of(at);
            self.reporter.warn(&path, Warning::Duplicate)?;
        }
        Ok(())
    }

    /// Refuses to take `A` for `a` where the file system does.
    fn check_exact(&mut self, at: Place<'_>) -> Result<()> {
        if !self.means.folds_case {
            return Ok(());
        }
        let parent = self.fd(at.dir)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut exact = false;
        openat(&parent, ".", flags, Mode::empty())
            .and_then(|listing| {
                super::remove::for_each_name(&listing, &mut Vec::with_capacity(16 << 10), |name| {
                    exact |= name == at.name;
                    Ok(())
                })
            })
            .map_err(|e| self.failed("looking beside", at, e))?;
        if exact {
            return Ok(());
        }
        Err(Error::entry(&self.path_of(at), "the file system takes it for another name that differs in case"))
    }
}

/// chmod of a node that only an `O_PATH` descriptor is open of: fchmod refuses those, and the magic link names the
/// very node.
pub(super) fn chmod(fd: &OwnedFd, mode: u32) -> rustix::io::Result<()> {
    chmod_path(format!("/proc/self/fd/{}", fd.as_raw_fd()), Mode::from_raw_mode(mode))
}
