//! Limits as the container sees and feels them.

use oci_runtime::Error;
use serde_json::json;

use crate::Check;
use crate::root::{House, is_root};

pub(crate) const CHECKS: &[Check] = &[("limits_of_its_control_groups", control_groups)];

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
