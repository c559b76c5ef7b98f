use oci_spec::runtime::Mount;

use super::linux;
use super::options::{ImageOptions, Network, UserNamespace};

/// What is used of the runtime-spec is all in its 1.0; runtimes differ in how they take a newer number.
pub(super) const VERSION: &str = "1.0.2";

/// What nobody inside should read: as docker and podman hide it, together.
pub(super) const MASKED_PATHS: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/dev/block",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
];

/// What nobody inside should write.
pub(super) const READONLY_PATHS: &[&str] =
    &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The file systems every Linux program expects (runtime-spec config-linux.md, Default Filesystems), and those that
/// docker, podman and runc add.
pub(super) fn mounts(options: &ImageOptions) -> Vec<Mount> {
    let user_namespace = options.user_namespace != UserNamespace::Host;
    let mut devpts = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    // Group 5 is `tty` by convention; without an id for it inside, the mount would be refused.
    if linux::is_mapped_gid(5, options) {
        devpts.push("gid=5");
    }
    // sysfs can only be mounted by who owns the network namespace it shows.
    let sys = if user_namespace && options.network != Network::None {
        mount("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro", "rro"])
    } else {
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"])
    };
    vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", &devpts),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        sys,
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ]
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount
        .set_destination(destination.into())
        .set_typ(Some(kind.to_owned()))
        .set_source(Some(source.into()))
        .set_options(Some(options.iter().map(|&option| option.to_owned()).collect()));
    mount
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(options: &ImageOptions, destination: &str) -> String {
        let mounts = mounts(options);
        let mount = mounts.iter().find(|mount| mount.destination().to_str() == Some(destination)).unwrap();
        format!("{} {}", mount.typ().as_ref().unwrap(), mount.options().as_ref().unwrap().join(","))
    }

    #[test]
    fn an_ordinary_users_mounts() {
        let root = ImageOptions::default();
        let rootless = root.clone().rootless(1000, 1000);
        assert!(line(&root, "/dev/pts").ends_with(",gid=5"));
        assert!(!line(&rootless, "/dev/pts").contains("gid="));
        assert_eq!(line(&rootless, "/sys"), "sysfs nosuid,noexec,nodev,ro");
        assert_eq!(line(&rootless.network(Network::Host), "/sys"), "none rbind,nosuid,noexec,nodev,ro,rro");
        assert_eq!(line(&root.network(Network::Host), "/sys"), "sysfs nosuid,noexec,nodev,ro");
    }

    #[test]
    fn parents_come_before_what_is_mounted_in_them() {
        let all: Vec<_> = mounts(&ImageOptions::default()).iter().map(|m| m.destination().clone()).collect();
        for (index, path) in all.iter().enumerate() {
            assert!(all[..index].iter().all(|earlier| !earlier.starts_with(path)), "{path:?}");
        }
    }
}
