use std::path::PathBuf;

use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType};

use super::Problems;

/// The namespaces of the container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Namespaces {
    /// CLONE_NEW* of those that are made for it.
    pub(crate) new: u64,
    /// Those that exist already.
    pub(crate) join: Vec<Join>,
    /// Ids of the container as ids of the caller; empty without an own user namespace.
    pub(crate) uids: Vec<IdMap>,
    pub(crate) gids: Vec<IdMap>,
}

/// A namespace to enter.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    /// Its CLONE_NEW* flag.
    pub(crate) kind: u64,
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
}

/// A line of `uid_map` or `gid_map`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdMap {
    pub(crate) container: u32,
    pub(crate) host: u32,
    pub(crate) size: u32,
}

impl Namespaces {
    /// Whether the container has a namespace of the kind that is not the caller's.
    pub(crate) fn has(&self, flag: i32) -> bool {
        self.is_new(flag) || self.join.iter().any(|join| join.kind == flag as u64)
    }

    /// Whether a namespace of the kind is made for the container.
    pub(crate) fn is_new(&self, flag: i32) -> bool {
        self.new & flag as u64 != 0
    }
}

const TIME: u64 = 0x80;

pub(super) fn resolve(linux: &Linux, problems: &mut Problems) -> Namespaces {
    let mut found = Namespaces::default();
    let mut seen = 0;
    for (i, namespace) in linux.namespaces().iter().flatten().enumerate() {
        let pointer = format!("/linux/namespaces/{i}");
        let (kind, name) = kind(namespace.typ());
        if seen & kind != 0 {
            problems.add(format!("{pointer}/type"), format!("{name} is there twice"));
            continue;
        }
        seen |= kind;
        if kind == TIME {
            problems.add(format!("{pointer}/type"), "time namespaces are not supported by this version");
            continue;
        }
        match namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
            None => found.new |= kind,
            Some(path) => {
                let pointer = format!("{pointer}/path");
                if !path.is_absolute() {
                    problems.add(&pointer, "must be absolute");
                }
                let later = libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS;
                if kind & later as u64 != 0 {
                    problems.add(
                        &pointer,
                        format!("joining a {name} namespace is not supported by this version"),
                    );
                }
                found.join.push(Join { kind, name, path: path.clone() });
            }
        }
    }
    if !found.has(libc::CLONE_NEWNS) {
        problems.add("/linux/namespaces", "a mount namespace is needed");
    }
    let user = found.is_new(libc::CLONE_NEWUSER);
    found.uids = mappings("uidMappings", linux.uid_mappings().as_deref(), user, problems);
    found.gids = mappings("gidMappings", linux.gid_mappings().as_deref(), user, problems);
    found
}

fn kind(kind: LinuxNamespaceType) -> (u64, &'static str) {
    let (flag, name) = match kind {
        LinuxNamespaceType::Mount => (libc::CLONE_NEWNS, "mount"),
        LinuxNamespaceType::Cgroup => (libc::CLONE_NEWCGROUP, "cgroup"),
        LinuxNamespaceType::Uts => (libc::CLONE_NEWUTS, "uts"),
        LinuxNamespaceType::Ipc => (libc::CLONE_NEWIPC, "ipc"),
        LinuxNamespaceType::User => (libc::CLONE_NEWUSER, "user"),
        LinuxNamespaceType::Pid => (libc::CLONE_NEWPID, "pid"),
        LinuxNamespaceType::Network => (libc::CLONE_NEWNET, "network"),
        LinuxNamespaceType::Time => (TIME as i32, "time"),
    };
    (flag as u64, name)
}

fn mappings(name: &str, list: Option<&[LinuxIdMapping]>, user: bool, problems: &mut Problems) -> Vec<IdMap> {
    let pointer = format!("/linux/{name}");
    let list = list.unwrap_or_default();
    if user && list.is_empty() {
        problems.add(&pointer, "is missing, but there is a new user namespace");
    }
    if !user && !list.is_empty() {
        problems.add(&pointer, "needs a new user namespace");
    }
    // The kernel's limit, user_namespaces(7).
    if list.len() > 340 {
        problems.add(&pointer, "has more than 340 mappings");
    }
    let mut maps: Vec<IdMap> = Vec::with_capacity(list.len());
    for (i, map) in list.iter().enumerate() {
        let map = IdMap { container: map.container_id(), host: map.host_id(), size: map.size() };
        let fits = |start: u32| start.checked_add(map.size).is_some();
        let apart =
            |a: u32, b: u32, other: u32| a >= b.saturating_add(other) || b >= a.saturating_add(map.size);
        if map.size == 0 || !fits(map.container) || !fits(map.host) {
            problems.add(format!("{pointer}/{i}"), "is empty or goes beyond the last id");
        } else if maps
            .iter()
            .any(|o| !apart(map.container, o.container, o.size) || !apart(map.host, o.host, o.size))
        {
            problems.add(format!("{pointer}/{i}"), "overlaps another mapping");
        }
        maps.push(map);
    }
    maps
}

/// Whether `id` of the container is mapped; everything is without an own user namespace.
pub(super) fn is_mapped(maps: &[IdMap], id: u32) -> bool {
    maps.is_empty() || maps.iter().any(|map| id >= map.container && id - map.container < map.size)
}
