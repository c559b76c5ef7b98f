use oci_spec::runtime::{LinuxBlockIo, LinuxThrottleDevice};

use super::{Compiled, Face};

/// `linux.resources.blockIO`: controller `blkio` of version 1, `io` of version 2.
pub(super) fn compile(block_io: &LinuxBlockIo, out: &mut Compiled<'_>) {
    if let Some(weight) = block_io.weight().filter(|&weight| weight != 0) {
        self::weight("/blockIO/weight", "", weight, out);
    }
    // Gone from the kernel with the CFQ scheduler, in 5.0.
    if block_io.leaf_weight().is_some_and(|weight| weight != 0) {
        out.refuse("/blockIO/leafWeight", "the kernel has had no leaf weights since 5.0");
    }
    for (index, device) in block_io.weight_device().iter().flatten().enumerate() {
        let property = format!("/blockIO/weightDevice/{index}");
        if device.leaf_weight().is_some_and(|weight| weight != 0) {
            out.refuse(&format!("{property}/leafWeight"), "the kernel has had no leaf weights since 5.0");
        }
        if let Some(weight) = device.weight().filter(|&weight| weight != 0) {
            let number = format!("{}:{} ", device.major(), device.minor());
            self::weight(&format!("{property}/weight"), &number, weight, out);
        }
    }
    throttle("throttleReadBpsDevice", "read_bps_device", "rbps", block_io.throttle_read_bps_device(), out);
    throttle("throttleWriteBpsDevice", "write_bps_device", "wbps", block_io.throttle_write_bps_device(), out);
    throttle(
        "throttleReadIOPSDevice",
        "read_iops_device",
        "riops",
        block_io.throttle_read_iops_device(),
        out,
    );
    throttle(
        "throttleWriteIOPSDevice",
        "write_iops_device",
        "wiops",
        block_io.throttle_write_iops_device(),
        out,
    );
}

/// `device` is empty, or `major:minor` with a space.
fn weight(property: &str, device: &str, weight: u16, out: &mut Compiled<'_>) {
    // runtime-spec config-linux.md, Block IO: from 10 to 1000.
    if !(10..=1000).contains(&weight) {
        return out.refuse(property, "must be from 10 to 1000");
    }
    let plain = format!("{device}{weight}");
    if out.hierarchy.tree_of("io").is_some() {
        // BFQ takes the spec's range, the generic controller 1 to 10000.
        let weight = 1 + (u32::from(weight) - 10) * 9999 / 990;
        let generic = format!("{}{weight}", if device.is_empty() { "default " } else { device });
        out.set_first("io", property, &[("io.bfq.weight", plain), ("io.weight", generic)]);
    } else if out.face("blkio", property).is_some() {
        let files = if device.is_empty() {
            ["blkio.bfq.weight", "blkio.weight"]
        } else {
            ["blkio.bfq.weight_device", "blkio.weight_device"]
        };
        out.set_first("blkio", property, &files.map(|file| (file, plain.clone())));
    }
}

fn throttle(
    name: &str,
    v1: &str,
    v2: &str,
    devices: &Option<Vec<LinuxThrottleDevice>>,
    out: &mut Compiled<'_>,
) {
    for (index, device) in devices.iter().flatten().enumerate() {
        let property = format!("/blockIO/{name}/{index}");
        let number = format!("{}:{}", device.major(), device.minor());
        if out.hierarchy.tree_of("io").is_some_and(|tree| tree.v2) {
            let rate = if device.rate() == 0 { "max".to_owned() } else { device.rate().to_string() };
            out.set("io", &property, "io.max", format!("{number} {v2}={rate}"));
        } else if out.face("blkio", &property) == Some(Face::V1) {
            let file = format!("blkio.throttle.{v1}");
            out.set("blkio", &property, &file, format!("{number} {}", device.rate()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{v1, v2, writes};

    #[test]
    fn conversions() {
        for (block_io, on_v1, on_v2) in [
            (
                r#""weight":10"#,
                &["blkio.bfq.weight=10|blkio.weight=10"][..],
                &["io.bfq.weight=10|io.weight=default 1"][..],
            ),
            (
                r#""weightDevice":[{"major":8,"minor":0,"weight":1000}]"#,
                &["blkio.bfq.weight_device=8:0 1000|blkio.weight_device=8:0 1000"],
                &["io.bfq.weight=8:0 1000|io.weight=8:0 10000"],
            ),
            (
                r#""throttleReadBpsDevice":[{"major":8,"minor":0,"rate":600}],
                   "throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":0}]"#,
                &["blkio.throttle.read_bps_device=8:0 600", "blkio.throttle.write_iops_device=8:16 0"],
                &["io.max=8:0 rbps=600", "io.max=8:16 wiops=max"],
            ),
        ] {
            let json = format!("{{\"blockIO\":{{{block_io}}}}}");
            assert_eq!(writes(&json, &v1()), on_v1, "{block_io}");
            assert_eq!(writes(&json, &v2()), on_v2, "{block_io}");
        }
    }

    #[test]
    fn refused() {
        for (block_io, pointer) in [
            (r#""weight":9"#, "/blockIO/weight"),
            (r#""leafWeight":100"#, "/blockIO/leafWeight"),
            (
                r#""weightDevice":[{"major":8,"minor":0,"leafWeight":10}]"#,
                "/blockIO/weightDevice/0/leafWeight",
            ),
        ] {
            for machine in [v1(), v2()] {
                let out = writes(&format!("{{\"blockIO\":{{{block_io}}}}}"), &machine);
                assert!(out[0].starts_with(&format!("! /linux/resources{pointer}:")), "{out:?}");
            }
        }
    }
}
