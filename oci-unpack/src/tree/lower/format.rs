//! The marks by which overlayfs knows what a layer hides.

use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, XattrFlags, fremovexattr, fsetxattr,
    futimens, lgetxattr, major, makedev, minor, mknodat, openat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::look::name_in;
use crate::{Error, OverlayFormat, Result, UnpackOptions};

/// Which marks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    /// `trusted.overlay.*`, or else `user.overlay.*`.
    pub(super) trusted: bool,
    /// Whiteouts are devices, or else files with an attribute.
    devices: bool,
}

/// What a mark holds that makes a directory opaque, and one that says that whiteouts in it are attributes.
const OPAQUE: &[u8] = b"y";
const HAS_XATTR_WHITEOUTS: &[u8] = b"x";

impl Format {
    /// Tries what may be done in a folder of ours.
    pub(super) fn choose(folder: &OwnedFd, options: &UnpackOptions) -> Result<Self> {
        let trusted = match options.overlay_format {
            OverlayFormat::User => false,
            OverlayFormat::Trusted => {
                try_trusted(folder).map_err(|e| Error::io("setting an attribute trusted.overlay.*", e))?;
                true
            }
            OverlayFormat::Auto => try_trusted(folder).is_ok(),
        };
        let devices = !options.no_whiteout_devices
            && try_device(folder).map_err(|e| Error::io("making a whiteout to try it", e))?;
        Ok(Self { trusted, devices })
    }

    fn name(self, name: &str) -> String {
        format!("{}.overlay.{name}", if self.trusted { "trusted" } else { "user" })
    }

    /// Whether something in a layer's folder is a whiteout of ours.
    pub(super) fn is_whiteout(self, dir: &OwnedFd, name: &[u8], stat: &Stat) -> bool {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice => (major(stat.st_rdev), minor(stat.st_rdev)) == (0, 0),
            FileType::RegularFile if !self.devices && stat.st_size == 0 => {
                lgetxattr(name_in(dir, name), self.name("whiteout"), &mut [0u8; 8][..]).is_ok()
            }
            _ => false,
        }
    }

    /// Makes a whiteout. `false`: the name is taken, and what has it hides as much.
    pub(super) fn whiteout(self, dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<bool> {
        // Nobody reads a whiteout's attributes, but two unpackings shall give the same folders.
        let time = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: 0 },
            last_modification: Timespec { tv_sec: 0, tv_nsec: 0 },
        };
        if self.devices {
            return match mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), makedev(0, 0)) {
                Ok(()) => utimensat(dir, name, &time, AtFlags::SYMLINK_NOFOLLOW).map(|()| true),
                Err(Errno::EXIST) => Ok(false),
                Err(errno) => Err(errno),
            };
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(dir, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => {
                fsetxattr(&file, self.name("whiteout"), b"y", XattrFlags::empty())?;
                futimens(&file, &time).map(|()| true)
            }
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Says of a directory that whiteouts were made in it. Only those that are files need that (Linux 6.8).
    pub(super) fn holds_whiteouts(self, dir: &OwnedFd) -> rustix::io::Result<()> {
        if self.devices {
            return Ok(());
        }
        fsetxattr(dir, self.name("opaque"), HAS_XATTR_WHITEOUTS, XattrFlags::empty())
    }

    /// Makes a directory hide whatever lower layers have in it.
    pub(super) fn opaque(self, dir: &OwnedFd) -> rustix::io::Result<()> {
        fsetxattr(dir, self.name("opaque"), OPAQUE, XattrFlags::empty())
    }
}

/// Whether an attribute is part of the format, so that none that a layer brings may act.
pub(in super::super) fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

fn try_trusted(folder: &OwnedFd) -> rustix::io::Result<()> {
    const NAME: &str = "trusted.overlay.probe";
    fsetxattr(folder, NAME, b"", XattrFlags::empty())?;
    fremovexattr(folder, NAME)
}

/// Anybody may make this one device since Linux 5.8.
fn try_device(folder: &OwnedFd) -> rustix::io::Result<bool> {
    const NAME: &str = ".probe-of-whiteouts";
    match mknodat(folder, NAME, FileType::CharacterDevice, Mode::empty(), makedev(0, 0)) {
        Ok(()) => unlinkat(folder, NAME, AtFlags::empty()).map(|()| true),
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}
