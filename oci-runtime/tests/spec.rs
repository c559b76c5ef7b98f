//! Specs out of image configurations: the whole document for a typical image, and what runc and crun make of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Stdio};

use oci_runtime::spec::{self, ImageOptions, Network, UserNamespace};
use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::{LinuxIdMappingBuilder, MountBuilder, PosixRlimitBuilder, PosixRlimitType, Spec};
use serde_json::{Value, json};

fn image(config: &Value) -> ImageConfiguration {
    let image = json!({
        "os": "linux", "architecture": "amd64", "created": "2024-05-06T07:08:09Z",
        "rootfs": {"type": "layers", "diff_ids": []}, "config": config,
    });
    serde_json::from_value(image).unwrap()
}

/// A root with users, and with what the host's programs need when the host's folders are mounted there.
fn root() -> tempfile::TempDir {
    let root = tempfile::Builder::new().prefix("oci-runtime-spec").tempdir().unwrap();
    for folder in ["etc", "proc", "dev", "sys", "tmp", "app", "usr", "bin", "lib", "lib64"] {
        std::fs::create_dir(root.path().join(folder)).unwrap();
    }
    let write = |file: &str, text: &str| std::fs::write(root.path().join(file), text).unwrap();
    write("etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:33:34:Web:/srv/web:/bin/false\n");
    write("etc/group", "root:x:0:\nwww:x:34:\nlogs:x:4:web\nmore:x:100:other,web\n");
    root
}

fn to_json(spec: &Spec) -> Value {
    let mut value = serde_json::to_value(spec).unwrap();
    // Sets and maps come in any order.
    for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
        if let Some(Value::Array(names)) = value.pointer_mut(&format!("/process/capabilities/{set}")) {
            names.sort_by_key(ToString::to_string);
        }
    }
    value
}

#[test]
fn the_whole_document() {
    let root = root();
    let config = json!({
        "User": "web", "Env": ["PATH=/bin", "LANG=C"], "Entrypoint": ["/entry"], "Cmd": ["serve", "--all"],
        "WorkingDir": "/app", "Labels": {"who": "me"}, "StopSignal": "SIGINT", "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/app": {}},
    });
    let limit = PosixRlimitBuilder::default()
        .typ(PosixRlimitType::RlimitNofile)
        .hard(64u64)
        .soft(32u64)
        .build()
        .unwrap();
    let options = ImageOptions::default()
        .hostname("box")
        .env(["LANG=de", "X=y"])
        .memory(spec::parse_size("64m").unwrap())
        .pids(100)
        .cpus(0.5)
        .cap_drop(["ALL"])
        .cap_add(["NET_RAW"])
        .no_new_privileges(true)
        .rlimit(limit)
        .device_rules(true)
        .cgroups_path("/x/y")
        .annotation("who", "you");
    let spec = spec::from_image(&image(&config), root.path(), &options).unwrap();
    let caps = json!(["CAP_NET_RAW"]);
    let expected = json!({
        "ociVersion": "1.0.2",
        "root": {"path": root.path(), "readonly": false},
        "hostname": "box",
        "process": {
            "terminal": false,
            "user": {"uid": 33, "gid": 34, "umask": 0o022, "additionalGids": [4, 100]},
            "args": ["/entry", "serve", "--all"],
            "env": ["PATH=/bin", "HOSTNAME=box", "LANG=de", "X=y", "HOME=/srv/web"],
            "cwd": "/app",
            "capabilities": {
                "bounding": caps, "effective": caps, "permitted": caps, "inheritable": caps, "ambient": caps,
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 64, "soft": 32}],
            "noNewPrivileges": true,
        },
        "annotations": {
            "who": "you",
            "org.opencontainers.image.os": "linux",
            "org.opencontainers.image.architecture": "amd64",
            "org.opencontainers.image.created": "2024-05-06T07:08:09Z",
            "org.opencontainers.image.stopSignal": "SIGINT",
            "org.opencontainers.image.exposedPorts": "80/tcp",
        },
        "linux": {
            "cgroupsPath": "/x/y",
            "namespaces": [
                {"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}, {"type": "cgroup"},
                {"type": "network"},
            ],
            "resources": {
                "devices": [{"allow": false, "access": "rwm"}],
                "memory": {"limit": 67_108_864},
                "cpu": {"quota": 50_000, "period": 100_000},
                "pids": {"limit": 100},
            },
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
                "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
                "/proc/timer_stats", "/sys/dev/block", "/sys/devices/virtual/powercap", "/sys/firmware",
                "/sys/fs/selinux",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
        ],
    });
    assert_eq!(to_json(&spec), expected);
}

#[test]
fn the_callers_mounts_replace_the_default_ones() {
    let root = root();
    let mount = MountBuilder::default().destination("/dev/shm").typ("tmpfs").source("big").build().unwrap();
    let options = ImageOptions::default().args(["/x"]).mount(mount.clone());
    let spec = spec::default_spec(root.path(), &options).unwrap();
    let shm: Vec<_> =
        spec.mounts().iter().flatten().filter(|mount| mount.destination() == Path::new("/dev/shm")).collect();
    assert_eq!(shm, [&mount]);
}

#[test]
fn mappings_must_hold_the_user() {
    let root = root();
    let range =
        LinuxIdMappingBuilder::default().container_id(0u32).host_id(1000u32).size(34u32).build().unwrap();
    let mapped = UserNamespace::Mapped { uids: vec![range], gids: vec![range] };
    let options = ImageOptions::default().args(["/x"]).user_namespace(mapped);
    assert!(spec::default_spec(root.path(), &options.clone().user("33:33")).is_ok());
    let error = spec::default_spec(root.path(), &options.user("web")).unwrap_err().to_string();
    assert!(error.contains("group id") && error.contains("34"), "{error}");
}

#[test]
fn unknown_users_are_errors_that_name_them() {
    let root = root();
    let error = spec::from_image(
        &image(&json!({"User": "ghost", "Cmd": ["/x"]})),
        root.path(),
        &ImageOptions::default(),
    );
    let error = error.unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("ghost"), "{error}");
}

/// The host's programs, mounted read-only into the root.
fn with_host_programs(mut options: ImageOptions) -> ImageOptions {
    for folder in ["/usr", "/bin", "/lib", "/lib64"] {
        if Path::new(folder).exists() {
            let flags = ["rbind", "ro"].map(str::to_owned).to_vec();
            let mount = MountBuilder::default().destination(folder).typ("bind").source(folder).options(flags);
            options = options.mount(mount.build().unwrap());
        }
    }
    options
}

/// Runs the spec in a private mount namespace and gives what the process printed.
fn run(runtime: &str, spec: &Spec, name: &str) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIP {name}: needs root");
        return None;
    }
    let found = Command::new(runtime).arg("--version").stdout(Stdio::null()).status();
    if found.is_err() {
        eprintln!("SKIP {name}: needs {runtime}");
        return None;
    }
    let bundle = tempfile::Builder::new().prefix("oci-runtime-bundle").tempdir().unwrap();
    spec.save(bundle.path().join("config.json")).unwrap();
    let id = format!("oci-runtime-test-{runtime}-{}", std::process::id());
    // crun refuses hybrid machines: there it gets the version 1 trees only.
    let script = "if grep -q ' - cgroup ' /proc/self/mountinfo; then \
        for tree in $(awk '/ - cgroup2 /{print $5}' /proc/self/mountinfo); do umount $tree; done; fi; exec \"$@\"";
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-ec",
            script,
            "sh",
            "timeout",
            "60",
            runtime,
            "--root",
        ])
        .arg(bundle.path().join("state"))
        .args(["run", "--bundle"])
        .arg(bundle.path())
        .arg(id)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{runtime}: {errors}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

const REPORT: &str = "id -u; id -G; pwd; echo $HOME; cat /proc/sys/kernel/hostname; grep CapBnd /proc/self/status; \
    grep NoNewPrivs /proc/self/status; ls /sys/class/net; cat /proc/self/cgroup | grep -c oci-runtime-test; \
    head -c1 /proc/kcore | wc -c";

#[test]
fn other_runtimes_take_it() {
    for (runtime, test) in [("runc", "other_runtimes_take_it"), ("crun", "other_runtimes_take_it")] {
        let root = root();
        let config = json!({"User": "web", "WorkingDir": "/app", "Entrypoint": ["/bin/sh"]});
        let options = with_host_programs(ImageOptions::default())
            .hostname("box")
            .args(["-c", REPORT])
            .memory(256 << 20)
            .pids(100)
            .no_new_privileges(true)
            .cgroups_path(format!("/oci-runtime-test-{runtime}-{}", std::process::id()));
        let spec = spec::from_image(&image(&config), root.path(), &options).unwrap();
        let Some(out) = run(runtime, &spec, test) else { continue };
        let lines: Vec<_> = out.lines().map(str::trim).collect();
        // With a cgroup namespace of its own the process sees itself at the root: no line has the group's name.
        let expected = [
            "33",
            "34 4 100",
            "/app",
            "/srv/web",
            "box",
            "CapBnd:\t00000000800405fb",
            "NoNewPrivs:\t1",
            "lo",
            "0",
            "0",
        ];
        assert_eq!(lines, expected, "{runtime}");
    }
}

#[test]
fn other_runtimes_take_it_in_a_user_namespace() {
    // runc wants an id for root inside, whoever the process is; crun does not.
    for (runtime, user) in [("runc", "0"), ("crun", "0"), ("crun", "1000:1000")] {
        let root = root();
        let config = json!({"Cmd": ["/bin/sh", "-c", "id -u; cat /proc/self/uid_map; ls -d /sys/fs/cgroup"]});
        // Without a control group's mount: whether one can be had in a user namespace is not the spec's question.
        let options = with_host_programs(ImageOptions::default())
            .network(Network::Host)
            .user(user)
            .rootless(0, 0)
            .cgroups_path(format!("/oci-runtime-test-{runtime}-userns-{}", std::process::id()));
        let mut spec = spec::from_image(&image(&config), root.path(), &options).unwrap();
        if let Some(mounts) = spec.mounts_mut() {
            mounts.retain(|mount| mount.destination() != Path::new("/sys/fs/cgroup"));
        }
        let name = "other_runtimes_take_it_in_a_user_namespace";
        let Some(out) = run(runtime, &spec, name) else { continue };
        let id = user.split(':').next().unwrap();
        let words: Vec<_> = out.split_whitespace().collect();
        assert_eq!(words, [id, id, "0", "1", "/sys/fs/cgroup"], "{runtime}");
    }
}
