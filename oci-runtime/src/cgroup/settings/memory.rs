use oci_spec::runtime::LinuxMemory;

use super::{Compiled, Face, or_max};

const C: &str = "memory";

/// `linux.resources.memory`. A value of 0 means "not set" and -1 "no limit", as every engine writes them.
pub(super) fn compile(memory: &LinuxMemory, out: &mut Compiled<'_>) {
    let limit = memory.limit().filter(|&limit| limit != 0);
    for (property, value) in [
        ("/memory/limit", memory.limit()),
        ("/memory/reservation", memory.reservation()),
        ("/memory/swap", memory.swap()),
        ("/memory/kernel", memory.kernel()),
        ("/memory/kernelTCP", memory.kernel_tcp()),
    ] {
        if value.is_some_and(|value| value < -1) {
            out.refuse(property, "must be a number of bytes, or -1 for no limit");
            return;
        }
    }
    if let Some(limit) = limit {
        match out.face(C, "/memory/limit") {
            Some(Face::V1) => out.set(C, "/memory/limit", "memory.limit_in_bytes", limit),
            Some(Face::V2) => out.set(C, "/memory/limit", "memory.max", or_max(limit)),
            None => {}
        }
    }
    swap(memory, limit, out);
    if let Some(reservation) = memory.reservation().filter(|&value| value != 0) {
        let property = "/memory/reservation";
        match out.face(C, property) {
            Some(Face::V1) => out.set(C, property, "memory.soft_limit_in_bytes", reservation),
            Some(Face::V2) => out.set(C, property, "memory.low", or_max(reservation)),
            None => {}
        }
    }
    if let Some(swappiness) = memory.swappiness() {
        let property = "/memory/swappiness";
        if swappiness > 100 {
            // runtime-spec config-linux.md, Memory: values are from 0 to 100.
            out.refuse(property, "must be from 0 to 100");
        } else if out.only_v1(C, property) {
            out.set(C, property, "memory.swappiness", swappiness);
        }
    }
    if memory.disable_oom_killer() == Some(true) && out.only_v1(C, "/memory/disableOOMKiller") {
        out.set(C, "/memory/disableOOMKiller", "memory.oom_control", 1);
    }
    for (property, value, file) in [
        ("/memory/kernel", memory.kernel(), "memory.kmem.limit_in_bytes"),
        ("/memory/kernelTCP", memory.kernel_tcp(), "memory.kmem.tcp.limit_in_bytes"),
    ] {
        if let Some(value) = value.filter(|&value| value != 0)
            && out.only_v1(C, property)
        {
            out.set(C, property, file, value);
        }
    }
    if memory.use_hierarchy() == Some(false) {
        // The kernel has known no other way since 5.11; true is therefore nothing to do.
        out.refuse("/memory/useHierarchy", "the kernel always accounts hierarchically");
    }
    // checkBeforeUpdate is about lowering a limit under what is used; a new cgroup uses nothing.
}

/// The spec counts memory and swap together, as version 1 does; version 2 counts swap alone.
fn swap(memory: &LinuxMemory, limit: Option<i64>, out: &mut Compiled<'_>) {
    let property = "/memory/swap";
    let swap = match (memory.swap().filter(|&swap| swap != 0), limit) {
        (Some(swap), _) => swap,
        // "No memory limit" without a word on swap means no limit on either, as on version 1.
        (None, Some(-1)) => {
            if out.face(C, property) == Some(Face::V2) {
                out.set_if_there(C, property, "memory.swap.max", "max");
            }
            return;
        }
        (None, _) => return,
    };
    let Some(face) = out.face(C, property) else { return };
    if swap > 0 {
        match limit {
            None | Some(-1) => {
                return out.refuse(property, "a limit on memory and swap needs a memory limit");
            }
            Some(limit) if swap < limit => {
                return out.refuse(property, "must not be below the memory limit, which it includes");
            }
            Some(_) => {}
        }
    }
    match face {
        // Without swap accounting the file is missing; "no limit" is then already so.
        Face::V1 if swap < 0 => out.set_if_there(C, property, "memory.memsw.limit_in_bytes", swap),
        Face::V1 => out.set(C, property, "memory.memsw.limit_in_bytes", swap),
        Face::V2 if swap < 0 => out.set_if_there(C, property, "memory.swap.max", "max"),
        Face::V2 => match swap - limit.unwrap_or(0) {
            0 => out.set_if_there(C, property, "memory.swap.max", 0),
            alone => out.set(C, property, "memory.swap.max", alone),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{v1, v2, writes};

    #[test]
    fn conversions() {
        for (memory, on_v1, on_v2) in [
            (r#""limit":1048576"#, &["memory.limit_in_bytes=1048576"][..], &["memory.max=1048576"][..]),
            (r#""limit":-1"#, &["memory.limit_in_bytes=-1"], &["memory.max=max", "memory.swap.max=max"]),
            (r#""limit":0,"swap":0,"reservation":0"#, &[], &[]),
            (
                r#""limit":100,"swap":300"#,
                &["memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=300"],
                &["memory.max=100", "memory.swap.max=200"],
            ),
            (
                r#""limit":100,"swap":100"#,
                &["memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=100"],
                &["memory.max=100", "memory.swap.max=0"],
            ),
            (
                r#""limit":100,"swap":-1,"reservation":50"#,
                &[
                    "memory.limit_in_bytes=100",
                    "memory.memsw.limit_in_bytes=-1",
                    "memory.soft_limit_in_bytes=50",
                ],
                &["memory.max=100", "memory.swap.max=max", "memory.low=50"],
            ),
        ] {
            let json = format!("{{\"memory\":{{{memory}}}}}");
            assert_eq!(writes(&json, &v1()), on_v1, "{memory}");
            assert_eq!(writes(&json, &v2()), on_v2, "{memory}");
        }
    }

    #[test]
    fn refused() {
        for (memory, pointer) in [
            (r#""swap":100"#, "/memory/swap"),
            (r#""limit":-1,"swap":100"#, "/memory/swap"),
            (r#""limit":200,"swap":100"#, "/memory/swap"),
            (r#""limit":-2"#, "/memory/limit"),
            (r#""swappiness":101"#, "/memory/swappiness"),
            (r#""useHierarchy":false"#, "/memory/useHierarchy"),
        ] {
            for machine in [v1(), v2()] {
                let out = writes(&format!("{{\"memory\":{{{memory}}}}}"), &machine);
                assert!(out.last().unwrap().starts_with(&format!("! /linux/resources{pointer}:")), "{out:?}");
            }
        }
        for only_v1 in [r#""swappiness":10"#, r#""disableOOMKiller":true"#, r#""kernelTCP":4096"#] {
            let json = format!("{{\"memory\":{{{only_v1}}}}}");
            assert!(!writes(&json, &v1())[0].starts_with('!'), "{only_v1}");
            assert!(writes(&json, &v2())[0].starts_with('!'), "{only_v1}");
        }
    }
}
