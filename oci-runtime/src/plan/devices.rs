use std::ffi::CString;

use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceType};

use super::{InRoot, Mount, MountKind, Problems};

/// A device node or named pipe of the container.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) path: InRoot,
    /// The same path on the host, which stands in where nodes cannot be made.
    pub(crate) host: CString,
    pub(crate) kind: DeviceKind,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceKind {
    Character,
    Block,
    Pipe,
}

/// config-linux.md, Default Devices: these MUST be supplied.
const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// runtime-linux.md, Dev symbolic links.
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];

/// The nodes and links. None of the default ones is made where /dev is bound from the host.
pub(super) fn resolve(
    linux: &Linux,
    mounts: &[Mount],
    problems: &mut Problems,
) -> (Vec<Device>, Vec<(CString, InRoot)>) {
    let list = linux.devices().iter().flatten().enumerate();
    let mut devices: Vec<_> =
        list.filter_map(|(i, device)| one(device, &format!("/linux/devices/{i}"), problems)).collect();
    let dev = InRoot::known("/dev");
    let bound =
        mounts.iter().any(|mount| mount.target == dev && matches!(mount.kind, MountKind::Bind { .. }));
    if bound {
        return (devices, Vec::new());
    }
    for (path, major, minor) in DEFAULT {
        let path = InRoot::known(path);
        if devices.iter().all(|device| device.path != path) && mounts.iter().all(|mount| mount.target != path)
        {
            let host = absolute(&path);
            let kind = DeviceKind::Character;
            devices.push(Device { path, host, kind, major, minor, mode: 0o666, uid: 0, gid: 0 });
        }
    }
    let mut links: Vec<_> = LINKS.iter().map(|(to, at)| (text(to), InRoot::known(at))).collect();
    if mounts.iter().any(|mount| mount.target == InRoot::known("/dev/pts")) {
        links.push((c"pts/ptmx".into(), InRoot::known("/dev/ptmx")));
    }
    (devices, links)
}

fn one(device: &LinuxDevice, pointer: &str, problems: &mut Problems) -> Option<Device> {
    let path = InRoot::new(device.path(), &format!("{pointer}/path"), problems);
    if path.parts.is_empty() || !device.path().is_absolute() {
        problems.add(format!("{pointer}/path"), "must be an absolute path below the root");
    }
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => DeviceKind::Character,
        LinuxDeviceType::B => DeviceKind::Block,
        LinuxDeviceType::P => DeviceKind::Pipe,
        LinuxDeviceType::A => {
            problems.add(format!("{pointer}/type"), "\"a\" is not a type of node");
            return None;
        }
    };
    let mut number = |name: &str, value: i64, bits: u32| match u32::try_from(value) {
        Ok(value) if value < 1 << bits => value,
        // config-linux.md, Devices: the numbers are REQUIRED unless it is a pipe.
        _ if kind == DeviceKind::Pipe => 0,
        _ => {
            problems.add(format!("{pointer}/{name}"), format!("{value} is not a device number"));
            0
        }
    };
    let (major, minor) = (number("major", device.major(), 12), number("minor", device.minor(), 20));
    let mode = device.file_mode().unwrap_or(0o666);
    if mode & !0o7777 & !libc::S_IFMT != 0 {
        problems.add(format!("{pointer}/fileMode"), "has bits that are not permissions");
    }
    Some(Device {
        host: absolute(&path),
        path,
        kind,
        major,
        minor,
        mode: mode & 0o7777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    })
}

fn absolute(path: &InRoot) -> CString {
    text(&path.to_string())
}

fn text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}
