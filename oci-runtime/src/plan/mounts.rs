use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oci_spec::runtime::Mount as SpecMount;

use super::namespaces::is_mapped;
use super::{InRoot, Namespaces, Problems};
use crate::step::CopyUp;
use crate::sys::call::MountAttr;

/// A mount of the container, in the order of the spec.
#[derive(Debug, Clone)]
pub(crate) struct Mount {
    pub(crate) target: InRoot,
    pub(crate) kind: Kind,
    /// Attributes of the mount itself.
    pub(crate) attr: MountAttr,
    /// Attributes of the mount and everything below it.
    pub(crate) deep: MountAttr,
    /// Whether the propagation in `deep` goes below, and that in `attr` does not, in the order given.
    pub(crate) propagation: Vec<(u64, bool)>,
    pub(crate) copy_up: Option<CopyUp>,
}

/// What is mounted.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A new instance of a file system.
    New {
        file_system: CString,
        /// Keys and values for fsconfig(2).
        parameters: Vec<(CString, Option<CString>)>,
    },
    /// What is at a path of the host.
    Bind { source: CString, recursive: bool },
    /// The container's control groups, in the way that the host has them.
    Cgroup,
}

/// The propagation of the root: the kernel's flag, and whether it goes below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Propagation {
    pub(crate) flag: u64,
    pub(crate) recursive: bool,
}

const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;
const ATIME: u64 = libc::MOUNT_ATTR__ATIME;
const NOATIME: u64 = libc::MOUNT_ATTR_NOATIME;
const STRICTATIME: u64 = libc::MOUNT_ATTR_STRICTATIME;
const NODIRATIME: u64 = libc::MOUNT_ATTR_NODIRATIME;
/// Linux 5.14.
const NOSYMFOLLOW: u64 = libc::MOUNT_ATTR_NOSYMFOLLOW;

/// Option, attributes to set, attributes to clear. Every one exists with an `r` before it, for everything below.
const ATTRIBUTES: [(&str, u64, u64); 17] = [
    ("ro", RDONLY, 0),
    ("rw", 0, RDONLY),
    ("nosuid", NOSUID, 0),
    ("suid", 0, NOSUID),
    ("nodev", NODEV, 0),
    ("dev", 0, NODEV),
    ("noexec", NOEXEC, 0),
    ("exec", 0, NOEXEC),
    ("nosymfollow", NOSYMFOLLOW, 0),
    ("symfollow", 0, NOSYMFOLLOW),
    ("nodiratime", NODIRATIME, 0),
    ("diratime", 0, NODIRATIME),
    ("noatime", NOATIME, ATIME),
    ("strictatime", STRICTATIME, ATIME),
    // Relative access times are the kernel's default, the value zero of the field.
    ("relatime", 0, ATIME),
    ("atime", 0, ATIME),
    ("norelatime", 0, ATIME),
];

const PROPAGATIONS: [(&str, u64); 4] = [
    ("private", libc::MS_PRIVATE),
    ("slave", libc::MS_SLAVE),
    ("shared", libc::MS_SHARED),
    ("unbindable", libc::MS_UNBINDABLE),
];

/// Options of the file system itself that fsconfig(2) takes as flags; meaningless for a bind mount.
const SUPERBLOCK: [&str; 8] =
    ["sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand", "nostrictatime"];

pub(super) fn root_propagation(value: Option<&str>, problems: &mut Problems) -> Propagation {
    let value = value.unwrap_or_default();
    let (name, recursive) = match value {
        "" => ("private", true),
        "rprivate" | "rslave" | "runbindable" | "rshared" => (value.get(1..).unwrap_or_default(), true),
        _ => (value, false),
    };
    let pointer = "/linux/rootfsPropagation";
    match PROPAGATIONS.iter().find(|(known, _)| *known == name) {
        Some((_, libc::MS_SHARED)) => problems.add(pointer, "shared is not supported by this version"),
        Some((_, flag)) => return Propagation { flag: *flag, recursive },
        None => problems.add(pointer, format!("{value:?} is not a propagation")),
    }
    Propagation { flag: libc::MS_PRIVATE, recursive: true }
}

pub(super) fn resolve(
    list: &[&SpecMount],
    bundle: &Path,
    namespaces: &Namespaces,
    problems: &mut Problems,
) -> Vec<Mount> {
    let mounts = list.iter().enumerate();
    mounts.map(|(i, mount)| one(mount, &format!("/mounts/{i}"), bundle, namespaces, problems)).collect()
}

fn one(
    mount: &SpecMount,
    pointer: &str,
    bundle: &Path,
    namespaces: &Namespaces,
    problems: &mut Problems,
) -> Mount {
    if mount.uid_mappings().is_some() || mount.gid_mappings().is_some() {
        problems.add(format!("{pointer}/uidMappings"), "id-mapped mounts are not supported by this version");
    }
    let target = InRoot::new(mount.destination(), &format!("{pointer}/destination"), problems);
    if target.parts.is_empty() {
        problems.add(format!("{pointer}/destination"), "is the root itself");
    }
    let options: Vec<&str> = mount.options().iter().flatten().map(String::as_str).collect();
    let typ = mount.typ().as_deref().unwrap_or_default();
    // config.md, Mounts: a mount with the option `bind` or `rbind` is a bind mount whatever its type says.
    let bind =
        typ == "bind" || typ == "none" || options.iter().any(|option| matches!(*option, "bind" | "rbind"));
    let recursive = options.contains(&"rbind");
    let mut found = Options::default();
    for (i, option) in options.iter().enumerate() {
        found.take(option, bind || typ == "cgroup", &format!("{pointer}/options/{i}"), namespaces, problems);
    }
    let source = mount.source().as_deref();
    let kind = if bind {
        match source {
            Some(source) => {
                let source = bundle.join(source).into_os_string().into_encoded_bytes();
                Kind::Bind { source: problems.text(&format!("{pointer}/source"), source), recursive }
            }
            None => {
                problems.add(format!("{pointer}/source"), "is missing");
                Kind::Cgroup
            }
        }
    } else if typ.is_empty() {
        problems.add(format!("{pointer}/type"), "is missing");
        Kind::Cgroup
    } else if typ == "cgroup" || typ == "cgroup2" {
        Kind::Cgroup
    } else if typ == "sysfs" && namespaces.is_new(libc::CLONE_NEWUSER) && !namespaces.has(libc::CLONE_NEWNET)
    {
        // The kernel lets only the owner of the network namespace mount sysfs: the host's is bound instead.
        Kind::Bind { source: c"/sys".into(), recursive: true }
    } else {
        let mut parameters = std::mem::take(&mut found.parameters);
        if found.copy_up.is_some() {
            if typ != "tmpfs" {
                problems.add(format!("{pointer}/options"), "\"tmpcopyup\" is an option of tmpfs alone");
            }
            // What the options say of the root counts more than the covered folder.
            let says = |names: &[&str]| {
                parameters.iter().any(|(key, _)| names.iter().any(|name| key.to_bytes() == name.as_bytes()))
            };
            found.copy_up = Some(CopyUp { mode: !says(&["mode"]), owner: !says(&["uid", "gid"]) });
        }
        if let Some(source) = source {
            let value = problems.text(&format!("{pointer}/source"), source.as_os_str().as_bytes());
            parameters.insert(0, (c"source".into(), Some(value)));
        }
        Kind::New { file_system: problems.text(&format!("{pointer}/type"), typ), parameters }
    };
    // Below /sys lie the host's control groups: read-only means them too, although the option does not say so.
    if let Kind::Bind { recursive: true, .. } = kind
        && target == InRoot::known("/sys")
        && found.attr.set & RDONLY != 0
    {
        found.deep.set |= RDONLY;
    }
    let Options { attr, deep, propagation, copy_up, .. } = found;
    Mount { target, kind, attr, deep, propagation, copy_up }
}

/// What the options of a mount add up to.
#[derive(Default)]
struct Options {
    attr: MountAttr,
    deep: MountAttr,
    propagation: Vec<(u64, bool)>,
    parameters: Vec<(CString, Option<CString>)>,
    copy_up: Option<CopyUp>,
}

impl Options {
    fn take(
        &mut self,
        option: &str,
        bind: bool,
        pointer: &str,
        namespaces: &Namespaces,
        problems: &mut Problems,
    ) {
        let deep = option.strip_prefix('r');
        if let "bind" | "rbind" | "defaults" | "" = option {
        } else if let Some((_, set, clear)) = ATTRIBUTES.iter().find(|(name, ..)| *name == option) {
            change(&mut self.attr, *set, *clear);
        } else if let Some((_, set, clear)) = ATTRIBUTES.iter().find(|(name, ..)| Some(*name) == deep) {
            change(&mut self.deep, *set, *clear);
        } else if let Some((_, flag)) = PROPAGATIONS.iter().find(|(name, _)| *name == option) {
            self.propagation.push((*flag, false));
        } else if let Some((_, flag)) = PROPAGATIONS.iter().find(|(name, _)| Some(*name) == deep) {
            self.propagation.push((*flag, true));
        } else if option == "tmpcopyup" && !bind {
            self.copy_up = Some(CopyUp { mode: true, owner: true });
        } else if let "idmap" | "ridmap" | "remount" = option {
            problems.add(pointer, format!("{option:?} is not supported by this version"));
        } else if bind {
            problems
                .add(pointer, format!("{option:?} is not an option of a mount that is made of what exists"));
        } else if SUPERBLOCK.contains(&option) {
            self.parameters.push((problems.text(pointer, option), None));
        } else {
            let (key, value) = match option.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (option, None),
            };
            if let Some(id) = value.and_then(|value| value.parse().ok()) {
                let maps = match key {
                    "uid" => &namespaces.uids,
                    "gid" => &namespaces.gids,
                    _ => &Vec::new(),
                };
                if !is_mapped(maps, id) {
                    problems.add(pointer, format!("{key} {id} is not mapped in the user namespace"));
                }
            }
            let value = value.map(|value| problems.text(pointer, value));
            self.parameters.push((problems.text(pointer, key), value));
        }
    }
}

/// A later option takes back an earlier one.
fn change(attr: &mut MountAttr, set: u64, clear: u64) {
    attr.set = attr.set & !clear | set;
    attr.clear = attr.clear & !set | clear;
    // The kernel wants the whole access time field cleared when one of its values is set.
    if set & ATIME != 0 {
        attr.clear |= ATIME;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(list: &[&str], bind: bool) -> (Options, Vec<String>) {
        let (mut found, mut problems) = (Options::default(), Problems::default());
        for option in list {
            found.take(option, bind, "/x", &Namespaces::default(), &mut problems);
        }
        (found, problems.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn later_options_win() {
        for (list, set, clear) in [
            (vec!["ro"], RDONLY, 0),
            (vec!["ro", "rw"], 0, RDONLY),
            (vec!["rw", "ro"], RDONLY, 0),
            (vec!["nosuid", "nodev", "noexec"], NOSUID | NODEV | NOEXEC, 0),
            (vec!["noatime"], NOATIME, ATIME),
            (vec!["noatime", "strictatime"], STRICTATIME, ATIME),
            (vec!["noatime", "relatime"], 0, ATIME),
        ] {
            let (found, problems) = options(&list, true);
            assert_eq!((found.attr.set, found.attr.clear, problems.len()), (set, clear, 0), "{list:?}");
        }
        let (found, _) = options(&["rro", "rslave", "private"], true);
        assert_eq!(found.deep.set, RDONLY);
        assert_eq!(found.propagation, [(libc::MS_SLAVE, true), (libc::MS_PRIVATE, false)]);
    }

    #[test]
    fn unknown_options_are_named() {
        let (found, problems) = options(&["mode=755", "sync"], false);
        assert_eq!(found.parameters.len(), 2);
        assert!(problems.is_empty());
        let (_, problems) = options(&["mode=755", "idmap"], true);
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}
