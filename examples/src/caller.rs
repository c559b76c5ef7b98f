use std::fs;

use oci_runtime::spec::UserNamespace;

use crate::Failure;

/// How this user runs containers: root as root, others in a user namespace with their own id.
pub fn user_namespace() -> UserNamespace {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    if uid.is_root() {
        UserNamespace::Host
    } else {
        UserNamespace::Single { uid: uid.as_raw(), gid: gid.as_raw() }
    }
}

/// A container that was not run: with the machine's reasons, unless it was the image that lacks the program or cannot
/// execute it, and with the exit code a shell would give.
pub fn not_run(error: oci_runtime::Error) -> Failure {
    let code = error.exit_code();
    let obstacles = if code == 1 { obstacles() } else { Vec::new() };
    if obstacles.is_empty() { Failure::from(error) } else { Failure::during(obstacles.join("; "), error) }
        .with_code(code)
}

/// What of this machine keeps this user from running containers, in words, as far as it can be told.
fn obstacles() -> Vec<String> {
    let mut found = Vec::new();
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    if kernel(&release).is_some_and(|version| version < (5, 12)) {
        found.push(format!("the kernel is {release}, and containers need Linux 5.12 (mount_setattr)"));
    }
    if !rustix::process::geteuid().is_root() {
        for (file, forbidding, reason) in [
            ("kernel/unprivileged_userns_clone", "0", "forbids user namespaces to ordinary users"),
            ("kernel/apparmor_restrict_unprivileged_userns", "1", "lets AppArmor forbid user namespaces"),
            ("user/max_user_namespaces", "0", "forbids user namespaces"),
        ] {
            if fs::read_to_string(format!("/proc/sys/{file}")).is_ok_and(|value| value.trim() == forbidding) {
                found.push(format!(
                    "the kernel setting {} is {forbidding}, which {reason}",
                    file.replace('/', ".")
                ));
            }
        }
    } else if !has_capability(CAP_SYS_ADMIN) {
        found.push("this root lacks CAP_SYS_ADMIN, which namespaces and mounts need".to_owned());
    }
    found
}

/// linux/capability.h
const CAP_SYS_ADMIN: u32 = 21;

fn has_capability(number: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    // Where it cannot be told, it is no obstacle that could be named.
    effective
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_none_or(|set| set >> number & 1 == 1)
}

fn kernel(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions() {
        for (release, expected) in [
            ("6.1.0-28-amd64", Some((6, 1))),
            ("5.12-rc3", Some((5, 12))),
            ("6.18.44", Some((6, 18))),
            ("strange", None),
        ] {
            assert_eq!(kernel(release), expected, "{release}");
        }
    }
}
