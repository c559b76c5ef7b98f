use oci_spec::runtime::LinuxCpu;

use super::{Compiled, Face};

const CPU: &str = "cpu";
const CPUSET: &str = "cpuset";

/// `linux.resources.cpu`. Zero means "not set" for shares, quota and periods; a negative quota is none.
pub(super) fn compile(cpu: &LinuxCpu, out: &mut Compiled<'_>) {
    let idle = cpu.idle();
    if idle.is_some_and(|idle| !(0..=1).contains(&idle)) {
        out.refuse("/cpu/idle", "must be 0 or 1");
    } else if let Some(idle) = idle {
        // Since Linux 5.15, in both versions.
        if out.face(CPU, "/cpu/idle").is_some() {
            out.set(CPU, "/cpu/idle", "cpu.idle", idle);
        }
    }
    if let Some(shares) = cpu.shares().filter(|&shares| shares != 0) {
        match out.face(CPU, "/cpu/shares") {
            // The kernel refuses weights for an idle group, where they would mean nothing.
            Some(_) if idle == Some(1) => {}
            Some(Face::V1) => out.set(CPU, "/cpu/shares", "cpu.shares", shares),
            Some(Face::V2) => out.set(CPU, "/cpu/shares", "cpu.weight", weight_of_shares(shares)),
            None => {}
        }
    }
    bandwidth(cpu, out);
    realtime(cpu, out);
    for (property, file, list) in
        [("/cpu/cpus", "cpuset.cpus", cpu.cpus()), ("/cpu/mems", "cpuset.mems", cpu.mems())]
    {
        let Some(list) = list.as_deref().filter(|list| !list.is_empty()) else { continue };
        if list.bytes().any(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b',' | b':' | b'/' | b' ')) {
            out.refuse(property, "must be a list of numbers and ranges such as `0-3,7`");
        } else if out.face(CPUSET, property).is_some() {
            out.set(CPUSET, property, file, list);
        }
    }
}

fn bandwidth(cpu: &LinuxCpu, out: &mut Compiled<'_>) {
    let quota = cpu.quota().filter(|&quota| quota != 0);
    let period = cpu.period().filter(|&period| period != 0);
    let burst = cpu.burst();
    let property = if quota.is_some() { "/cpu/quota" } else { "/cpu/period" };
    if quota.is_some() || period.is_some() {
        match out.face(CPU, property) {
            Some(Face::V1) => {
                // The period first: the quota is checked against it.
                if let Some(period) = period {
                    out.set(CPU, "/cpu/period", "cpu.cfs_period_us", period);
                }
                if let Some(quota) = quota {
                    out.set(CPU, "/cpu/quota", "cpu.cfs_quota_us", quota.max(-1));
                }
            }
            Some(Face::V2) => {
                let quota = quota.filter(|&quota| quota > 0);
                let quota = quota.map_or_else(|| "max".to_owned(), |quota| quota.to_string());
                // 100 ms is the kernel's own default for the period.
                let value = format!("{quota} {}", period.unwrap_or(100_000));
                out.set(CPU, property, "cpu.max", value);
            }
            None => {}
        }
    }
    // After the quota, which bounds it. Since Linux 5.14.
    if let Some(burst) = burst {
        match out.face(CPU, "/cpu/burst") {
            Some(Face::V1) => out.set(CPU, "/cpu/burst", "cpu.cfs_burst_us", burst),
            Some(Face::V2) => out.set(CPU, "/cpu/burst", "cpu.max.burst", burst),
            None => {}
        }
    }
}

/// Version 1 on kernels with `CONFIG_RT_GROUP_SCHED` only. The kernel takes the values only where the cgroups above
/// have realtime bandwidth to give; it says so with `EINVAL`, which reaches the caller.
fn realtime(cpu: &LinuxCpu, out: &mut Compiled<'_>) {
    if let Some(period) = cpu.realtime_period().filter(|&period| period != 0)
        && out.only_v1(CPU, "/cpu/realtimePeriod")
    {
        out.set(CPU, "/cpu/realtimePeriod", "cpu.rt_period_us", period);
    }
    if let Some(runtime) = cpu.realtime_runtime().filter(|&runtime| runtime != 0)
        && out.only_v1(CPU, "/cpu/realtimeRuntime")
    {
        out.set(CPU, "/cpu/realtimeRuntime", "cpu.rt_runtime_us", runtime);
    }
}

/// Version 1's shares (2 to 262144, default 1024) as version 2's weight (1 to 10000, default 100).
///
/// The quadratic curve in the logarithm that runc and crun agreed on: it meets both ends and both defaults, where
/// the straight line used before gave a default container 39 instead of 100.
fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            #[expect(clippy::cast_precision_loss, reason = "below 2^18")]
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            // A last-digit error of the power must not carry a whole number to the next.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 1 and 10000"
            )]
            let weight = (10f64.powf(exponent) - 1e-9).ceil() as u64;
            weight.clamp(1, 10_000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{v1, v2, writes};
    use super::*;

    #[test]
    fn shares_to_weight() {
        // Both ends, the default, and points between worked out by hand from the curve.
        for (shares, weight) in
            [(2, 1), (3, 2), (5, 2), (6, 3), (1024, 100), (100_000, 4340), (262_144, 10_000)]
        {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
        let all: Vec<_> = (0..300_000).step_by(7).map(weight_of_shares).collect();
        assert!(all.is_sorted());
        assert_eq!((all[0], all[all.len() - 1]), (1, 10_000));
    }

    #[test]
    fn conversions() {
        for (cpu, on_v1, on_v2) in [
            (r#""shares":1024"#, &["cpu.shares=1024"][..], &["cpu.weight=100"][..]),
            (r#""shares":0,"quota":0,"period":0"#, &[], &[]),
            (
                r#""quota":50000,"period":200000"#,
                &["cpu.cfs_period_us=200000", "cpu.cfs_quota_us=50000"],
                &["cpu.max=50000 200000"],
            ),
            (r#""quota":-1"#, &["cpu.cfs_quota_us=-1"], &["cpu.max=max 100000"]),
            (r#""period":20000"#, &["cpu.cfs_period_us=20000"], &["cpu.max=max 20000"]),
            (
                r#""quota":5000,"burst":2000"#,
                &["cpu.cfs_quota_us=5000", "cpu.cfs_burst_us=2000"],
                &["cpu.max=5000 100000", "cpu.max.burst=2000"],
            ),
            (r#""idle":1,"shares":99"#, &["cpu.idle=1"], &["cpu.idle=1"]),
            (
                r#""idle":0,"shares":1024"#,
                &["cpu.idle=0", "cpu.shares=1024"],
                &["cpu.idle=0", "cpu.weight=100"],
            ),
            (
                r#""cpus":"0-1,3","mems":"0""#,
                &["cpuset.cpus=0-1,3", "cpuset.mems=0"],
                &["cpuset.cpus=0-1,3", "cpuset.mems=0"],
            ),
        ] {
            let json = format!("{{\"cpu\":{{{cpu}}}}}");
            assert_eq!(writes(&json, &v1()), on_v1, "{cpu}");
            assert_eq!(writes(&json, &v2()), on_v2, "{cpu}");
        }
    }

    #[test]
    fn refused() {
        for (cpu, pointer) in [
            (r#""idle":2"#, "/cpu/idle"),
            (r#""cpus":"0\n1""#, "/cpu/cpus"),
            (r#""mems":"all""#, "/cpu/mems"),
        ] {
            for machine in [v1(), v2()] {
                let out = writes(&format!("{{\"cpu\":{{{cpu}}}}}"), &machine);
                assert!(out[0].starts_with(&format!("! /linux/resources{pointer}:")), "{out:?}");
            }
        }
        let json = r#"{"cpu":{"realtimeRuntime":1000,"realtimePeriod":2000}}"#;
        assert_eq!(writes(json, &v1()), ["cpu.rt_period_us=2000", "cpu.rt_runtime_us=1000"]);
        assert_eq!(writes(json, &v2()).len(), 2);
        assert!(writes(json, &v2()).iter().all(|line| line.starts_with("! /linux/resources/cpu/realtime")));
    }
}
