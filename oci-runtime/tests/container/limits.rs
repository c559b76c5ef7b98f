//! Limits as the container sees and feels them.

use oci_runtime::Error;
use serde_json::json;

use crate::Check;
use crate::root::{House, is_root};

pub(crate) const CHECKS: &[Check] =
    &[("limits_of_its_control_groups", control_groups), ("scheduling_as_the_spec_says", scheduling)];

/// Everything here may be asked for without privileges.
fn scheduling(house: &House) {
    let edit = |spec: &mut serde_json::Value| {
        spec["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5});
        spec["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 4});
        spec["process"]["execCPUAffinity"] = json!({"initial": "0", "final": "0-1"});
        spec["linux"]["personality"] = json!({"domain": "LINUX32"});
        spec["linux"]["memoryPolicy"] =
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    };
    let (_, text) = house.run(edit, &["scheduling"]).unwrap();
    assert!(text.contains("policy 3 nice 5 io 0x6004 domain 8\n"), "{text}");
    // A kernel built without NUMA has no such file.
    assert!(text.contains("memory: bind=static:0\n") || text.contains("memory: ?\n"), "{text}");
    let (_, text) = house.run(|_| {}, &["scheduling"]).unwrap();
    assert!(text.contains("policy 0 nice 0") && text.contains("domain 0\n"), "{text}");
    let wrong = |spec: &mut serde_json::Value| {
        spec["process"]["scheduler"] =
            json!({"policy": "SCHED_OTHER", "priority": 5, "nice": 20, "runtime": 1});
        spec["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_RT", "priority": 8});
        spec["process"]["execCPUAffinity"] = json!({"final": "3-1"});
        spec["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND"});
    };
    let error = house.run(wrong, &["exit:0"]).unwrap_err();
    let Error::Spec { problems } = error else { panic!("{error:?}") };
    let mut pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    pointers.sort_unstable();
    let expected = [
        "/linux/memoryPolicy/nodes",
        "/process/execCPUAffinity/final",
        "/process/ioPriority/priority",
        "/process/scheduler/nice",
        "/process/scheduler/priority",
        "/process/scheduler/runtime",
    ];
    assert_eq!(pointers, expected);
}

/// Limits are in the group's files as the container reads them, and hold.
fn control_groups(house: &House) {
    let edit = |limits: bool| {
        move |spec: &mut serde_json::Value| {
            spec["mounts"].as_array_mut().unwrap().push(json!(
                {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                    "options": ["nosuid", "noexec", "nodev", "ro"]}));
            if limits {
                spec["linux"]["resources"] = json!({
                    "pids": {"limit": 9},
                    "memory": {"limit": 48 << 20},
                    "cpu": {"quota": 50000, "period": 100_000},
                });
            }
        }
    };
    let files = [
        ("pids", "9", ["pids.max", "pids/pids.max"]),
        ("memory", "50331648", ["memory.max", "memory/memory.limit_in_bytes"]),
        ("cpu", "50000", ["cpu.max", "cpu/cpu.cfs_quota_us"]),
    ];
    let paths = files.iter().flat_map(|(.., names)| names);
    let mut orders: Vec<_> = paths.map(|name| format!("cat:/sys/fs/cgroup/{name}")).collect();
    let more =
        ["cat:/proc/self/cgroup", "ls:/sys/fs/cgroup", "touch:/sys/fs/cgroup/x", "threads:20", "eat:64"];
    orders.extend(more.map(str::to_owned));
    let orders: Vec<_> = orders.iter().map(String::as_str).collect();
    let run = |limits, orders: &[&str]| house.run_with(edit(limits), orders, |options| options.cgroups(true));
    let (status, text) = match run(true, &orders) {
        Err(Error::Unsupported { .. } | Error::Spec { .. }) if !is_root() => {
            eprintln!("SKIP limits_of_its_control_groups: needs control groups of this user's own");
            // Without limits there is a container all the same.
            let (_, text) = run(false, &orders[6..9]).unwrap();
            assert!(text.contains("touch /sys/fs/cgroup/x: errno 30"), "{text}");
            return;
        }
        other => other.unwrap(),
    };
    assert!(text.contains("touch /sys/fs/cgroup/x: errno 30"), "{text}");
    // The namespace was made after the groups were entered: each of them is its root.
    let groups = |line: &&str| line.contains(":/");
    assert!(text.lines().filter(groups).all(|line| !line.contains("oci-runtime")), "{text}");
    for (controller, value, _) in files {
        let found = text.lines().any(|line| line.split(' ').next() == Some(value));
        assert!(found, "{controller}: {text}");
    }
    assert!(text.contains("threads: 8 of 20"), "{text}");
    let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default().lines().count() > 1;
    assert!(swaps || status.signal() == Some(9) && !text.contains("eaten"), "{status}: {text}");
}
