use std::ffi::CString;

use oci_spec::runtime::Linux;

use super::{Namespaces, Problems};

/// A kernel parameter of one of the container's namespaces.
#[derive(Debug, Clone)]
pub(crate) struct Sysctl {
    pub(crate) name: String,
    /// Below the root of procfs.
    pub(crate) path: CString,
    pub(crate) value: CString,
}

const IPC: [&str; 8] = ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"];

pub(super) fn resolve(linux: &Linux, namespaces: &Namespaces, problems: &mut Problems) -> Vec<Sysctl> {
    let mut list: Vec<_> = linux.sysctl().iter().flatten().collect();
    list.sort();
    let mut found = Vec::with_capacity(list.len());
    for (name, value) in list {
        let pointer = format!("/linux/sysctl/{}", name.replace('~', "~0").replace('/', "~1"));
        // A parameter that is not of a namespace would be changed for the whole host.
        match namespace(name) {
            Some((flag, _)) if namespaces.has(flag) => {}
            Some((_, kind)) => {
                problems.add(&pointer, format!("needs a {kind} namespace of the container's own"))
            }
            None => problems.add(&pointer, "is not a parameter of a namespace"),
        }
        let path = format!("sys/{}", if name.contains('/') { name.clone() } else { name.replace('.', "/") });
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            problems.add(&pointer, "is not a name of a parameter");
        }
        let (path, value) = (problems.text(&pointer, path), problems.text(&pointer, value.as_str()));
        found.push(Sysctl { name: name.clone(), path, value });
    }
    found
}

fn namespace(name: &str) -> Option<(i32, &'static str)> {
    let name = name.replace('/', ".");
    if let Some(kernel) = name.strip_prefix("kernel.") {
        return match kernel {
            "domainname" | "hostname" => Some((libc::CLONE_NEWUTS, "uts")),
            _ if IPC.contains(&kernel) => Some((libc::CLONE_NEWIPC, "ipc")),
            _ => None,
        };
    }
    if name.starts_with("fs.mqueue.") {
        return Some((libc::CLONE_NEWIPC, "ipc"));
    }
    name.starts_with("net.").then_some((libc::CLONE_NEWNET, "network"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_of_namespaces() {
        for (name, expected) in [
            ("net.ipv4.ip_forward", Some("network")),
            ("kernel.shmmax", Some("ipc")),
            ("fs.mqueue.msg_max", Some("ipc")),
            ("kernel.hostname", Some("uts")),
            ("kernel.core_pattern", None),
            ("vm.swappiness", None),
            ("network.x", None),
        ] {
            assert_eq!(namespace(name).map(|(_, kind)| kind), expected, "{name}");
        }
    }
}
