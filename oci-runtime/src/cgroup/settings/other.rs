//! The controllers with a setting or two: pids, hugetlb, net_cls, net_prio, rdma; and version 2's files by name.

use std::collections::HashMap;

use oci_spec::runtime::{LinuxHugepageLimit, LinuxNetwork, LinuxPids, LinuxRdma};

use super::{Compiled, Face, or_max};

/// `linux.resources.pids`: what is not above 0 means no limit, as runc and crun read it.
pub(super) fn pids(pids: &LinuxPids, out: &mut Compiled<'_>) {
    let limit = pids.limit();
    if limit > 0 {
        if out.face("pids", "/pids/limit").is_some() {
            out.set("pids", "/pids/limit", "pids.max", limit);
        }
    } else if out.hierarchy.tree_of("pids").is_some() {
        out.set_if_there("pids", "/pids/limit", "pids.max", "max");
    }
}

/// `linux.resources.hugepageLimits`.
pub(super) fn huge_pages(limits: &[LinuxHugepageLimit], out: &mut Compiled<'_>) {
    for (index, limit) in limits.iter().enumerate() {
        let property = format!("/hugepageLimits/{index}");
        let size = limit.page_size();
        if !is_page_size(size) {
            // runtime-spec config-linux.md, Huge page limits: `<size><unit-prefix>B`, as in hugetlb's file names.
            out.refuse(&format!("{property}/pageSize"), "must look like 64KB, 2MB or 1GB");
            continue;
        }
        // Reservations are limited beside use where the kernel has them (5.7), or a reservation gets the process
        // killed by SIGBUS at first touch instead of refusing the mapping.
        let value = limit.limit();
        match out.face("hugetlb", &property) {
            Some(Face::V1) => {
                out.set("hugetlb", &property, &format!("hugetlb.{size}.limit_in_bytes"), value);
                let reserved = format!("hugetlb.{size}.rsvd.limit_in_bytes");
                out.set_if_there("hugetlb", &property, &reserved, value);
            }
            Some(Face::V2) => {
                out.set("hugetlb", &property, &format!("hugetlb.{size}.max"), or_max(value));
                let reserved = format!("hugetlb.{size}.rsvd.max");
                out.set_if_there("hugetlb", &property, &reserved, or_max(value));
            }
            None => {}
        }
    }
}

fn is_page_size(size: &str) -> bool {
    ["KB", "MB", "GB"].iter().any(|unit| {
        size.strip_suffix(unit).is_some_and(|digits| {
            !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

/// `linux.resources.network`, which version 2 has not (there it is the work of eBPF and netfilter).
pub(super) fn network(network: &LinuxNetwork, out: &mut Compiled<'_>) {
    if let Some(class) = network.class_id()
        && out.only_v1("net_cls", "/network/classID")
    {
        out.set("net_cls", "/network/classID", "net_cls.classid", class);
    }
    for (index, priority) in network.priorities().iter().flatten().enumerate() {
        let property = format!("/network/priorities/{index}");
        if priority.name().contains(char::is_whitespace) {
            out.refuse(&format!("{property}/name"), "is not the name of a network interface");
        } else if out.only_v1("net_prio", &property) {
            let value = format!("{} {}", priority.name(), priority.priority());
            out.set("net_prio", &property, "net_prio.ifpriomap", value);
        }
    }
}

/// `linux.resources.rdma`, the same file in both versions.
pub(super) fn rdma(devices: &HashMap<String, LinuxRdma>, out: &mut Compiled<'_>) {
    let mut devices: Vec<_> = devices.iter().collect();
    devices.sort_by_key(|(name, _)| *name);
    for (name, limits) in devices {
        let property = format!("/rdma/{}", escape(name));
        if name.is_empty() || name.contains(char::is_whitespace) {
            out.refuse(&property, "is not the name of an RDMA device");
            continue;
        }
        let mut value = name.clone();
        for (key, limit) in [("hca_handle", limits.hca_handles()), ("hca_object", limits.hca_objects())] {
            if let Some(limit) = limit {
                value.push_str(&format!(" {key}={limit}"));
            }
        }
        if out.face("rdma", &property).is_some() {
            out.set("rdma", &property, "rdma.max", value);
        }
    }
}

/// `linux.resources.unified`: files of version 2 and what to write to each.
pub(super) fn unified(files: &HashMap<String, String>, out: &mut Compiled<'_>) {
    let mut files: Vec<_> = files.iter().collect();
    files.sort();
    for (file, value) in files {
        let property = format!("/unified/{}", escape(file));
        let Some((controller, rest)) = file.split_once('.') else {
            out.refuse(&property, "is not the name of a control file (`controller.setting`)");
            continue;
        };
        if controller.is_empty() || rest.is_empty() || file.contains(['/', '\0']) {
            out.refuse(&property, "is not the name of a control file (`controller.setting`)");
            continue;
        }
        let core = controller == "cgroup";
        if core && !matches!(rest, "max.depth" | "max.descendants" | "pressure") {
            // These move, freeze or kill processes, or change what the cgroup is: the runtime's own work.
            out.refuse(&property, "is not a limit");
            continue;
        }
        let there = out.hierarchy.unified.as_ref();
        if there.is_some_and(|tree| core || tree.has(controller)) {
            // runtime-spec config-linux.md, Unified: the runtime MUST error when a file does not exist.
            out.set(controller, &property, file, value);
        } else {
            let reason =
                format!("needs the cgroup v2 controller `{controller}`, which is not available here");
            out.refuse(&property, reason);
        }
    }
}

/// A key as a part of a JSON pointer (RFC 6901, section 3).
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{machine, v1, v2, writes};

    #[test]
    fn conversions() {
        for (json, on_v1, on_v2) in [
            (r#"{"pids":{"limit":7}}"#, &["pids.max=7"][..], &["pids.max=7"][..]),
            (r#"{"pids":{"limit":-1}}"#, &["pids.max=max"], &["pids.max=max"]),
            (r#"{"pids":{"limit":0}}"#, &["pids.max=max"], &["pids.max=max"]),
            (
                r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304},{"pageSize":"1GB","limit":-1}]}"#,
                &[
                    "hugetlb.2MB.limit_in_bytes=4194304",
                    "hugetlb.2MB.rsvd.limit_in_bytes=4194304",
                    "hugetlb.1GB.limit_in_bytes=-1",
                    "hugetlb.1GB.rsvd.limit_in_bytes=-1",
                ],
                &[
                    "hugetlb.2MB.max=4194304",
                    "hugetlb.2MB.rsvd.max=4194304",
                    "hugetlb.1GB.max=max",
                    "hugetlb.1GB.rsvd.max=max",
                ],
            ),
            (
                r#"{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10},"b":{"hcaObjects":1}}}"#,
                &["rdma.max=b hca_object=1", "rdma.max=mlx5_1 hca_handle=3 hca_object=10"],
                &["rdma.max=b hca_object=1", "rdma.max=mlx5_1 hca_handle=3 hca_object=10"],
            ),
        ] {
            assert_eq!(writes(json, &v1()), on_v1, "{json}");
            assert_eq!(writes(json, &v2()), on_v2, "{json}");
        }
        let network = r#"{"network":{"classID":1048577,"priorities":[{"name":"eth0","priority":5}]}}"#;
        assert_eq!(writes(network, &v1()), ["net_cls.classid=1048577", "net_prio.ifpriomap=eth0 5"]);
        assert_eq!(writes(network, &v2()).iter().filter(|line| line.starts_with('!')).count(), 2);
        // "No limit" needs no controller.
        assert_eq!(writes(r#"{"pids":{"limit":-1}}"#, &machine(&[], &[])), [""; 0]);
    }

    #[test]
    fn unified_files() {
        let json = |file: &str| format!("{{\"unified\":{{\"{file}\":\"1\"}}}}");
        assert_eq!(writes(&json("memory.high"), &v2()), ["memory.high=1"]);
        assert_eq!(writes(&json("cgroup.max.depth"), &v2()), ["cgroup.max.depth=1"]);
        for bad in ["cgroup.procs", "cgroup.kill", "memory", "../memory.max", ".x", "misc.max"] {
            assert!(writes(&json(bad), &v2())[0].starts_with("! "), "{bad}");
        }
        assert!(writes(&json("memory.high"), &v1())[0].contains("`memory`"));
        assert!(writes(&json("../memory.max"), &v2())[0].contains("/unified/..~1memory.max"));
    }

    #[test]
    fn page_sizes() {
        for bad in ["", "MB", "2", "02MB", "2MiB", "-2MB", "../x.2MB", "2mb"] {
            let json = format!("{{\"hugepageLimits\":[{{\"pageSize\":\"{bad}\",\"limit\":1}}]}}");
            assert!(
                writes(&json, &v2())[0].starts_with("! /linux/resources/hugepageLimits/0/pageSize"),
                "{bad}"
            );
        }
    }
}
