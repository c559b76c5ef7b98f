use std::sync::OnceLock;

use super::normal::{normalize, platform};
use crate::Platform;

/// The platform of this process: its operating system, architecture and the level of the processor.
///
/// On amd64 the variant is the highest level, v2 to v4, whose instructions the processor has, so that an image
/// for a lower level is taken when there is none for this one.
pub fn host() -> Platform {
    static HOST: OnceLock<Platform> = OnceLock::new();
    HOST.get_or_init(|| {
        let arch = match std::env::consts::ARCH {
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "mips" if cfg!(target_endian = "little") => "mipsle",
            "mips64" if cfg!(target_endian = "little") => "mips64le",
            arch => arch,
        };
        normalize(&platform(std::env::consts::OS, arch, level()))
    })
    .clone()
}

/// The levels of the x86-64 psABI.
#[cfg(target_arch = "x86_64")]
fn level() -> Option<&'static str> {
    use std::is_x86_feature_detected as has;
    let v2 = has!("cmpxchg16b")
        && has!("popcnt")
        && has!("sse3")
        && has!("sse4.1")
        && has!("sse4.2")
        && has!("ssse3");
    let v3 = v2
        && has!("avx")
        && has!("avx2")
        && has!("bmi1")
        && has!("bmi2")
        && has!("f16c")
        && has!("fma")
        && has!("lzcnt")
        && has!("movbe");
    let v4 =
        v3 && has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq") && has!("avx512vl");
    match (v2, v3, v4) {
        (_, _, true) => Some("v4"),
        (_, true, _) => Some("v3"),
        (true, _, _) => Some("v2"),
        _ => None,
    }
}

/// The kernel says what it runs on; 8 and more is a 64-bit processor that runs v7 code.
#[cfg(target_arch = "arm")]
fn level() -> Option<&'static str> {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let architecture = text.lines().find_map(|line| line.strip_prefix("CPU architecture"))?;
    match architecture.trim_start_matches([':', ' ', '\t']).chars().next() {
        Some('5') => Some("v5"),
        Some('6') => Some("v6"),
        _ => Some("v7"),
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "arm")))]
fn level() -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_in_its_normal_form() {
        let host = host();
        assert_eq!(normalize(&host), host);
        assert!(super::super::matches(&host, &host));
        #[cfg(target_arch = "x86_64")]
        assert_eq!(host.architecture().to_string(), "amd64");
    }
}
