//! What the process inside sees.

use oci_runtime::Container;
use oci_runtime::spec;
use serde_json::json;

use crate::Check;
use crate::root::{House, finish, image_options, is_root};

pub(crate) const CHECKS: &[Check] = &[
    ("sees_its_own_world", its_own_world),
    ("sees_its_mounts_and_devices", mounts_and_devices),
    ("sees_masked_and_read_only_paths", masked_and_read_only),
    ("sees_its_user_and_capabilities", user_and_capabilities),
    ("sees_its_limits", limits),
    ("sees_no_other_descriptors", descriptors),
    ("sees_default_signal_actions", signals),
    ("sees_bind_mounts", bind_mounts),
    ("sees_a_read_only_root", read_only_root),
    ("sees_a_keyring_of_its_own", keyring),
    ("sees_its_sysctl", sysctl),
    ("sees_what_the_default_spec_gives", default_spec),
    ("sees_mapped_ids", mapped_ids),
    ("sees_a_joined_network", joined_network),
];

/// Asserts that every line of `expected` is among the lines of `text`.
pub(crate) fn has(text: &str, expected: &[&str]) {
    for line in expected {
        assert!(text.lines().any(|found| found.trim_end() == *line), "{line:?} is not in:\n{text}");
    }
}

fn its_own_world(house: &House) {
    let orders = [
        "pid",
        "session",
        "cwd",
        "umask",
        "env",
        "cat:/proc/sys/kernel/hostname",
        "connect",
        "cat:/proc/net/dev",
    ];
    let edit = |spec: &mut serde_json::Value| {
        spec["process"]["cwd"] = json!("/made/for it");
        spec["process"]["user"]["umask"] = json!(0o027);
        spec["domainname"] = json!("example.org");
    };
    let (status, text) =
        house.run(edit, &[&orders[..], &["cat:/proc/sys/kernel/domainname"]].concat()).unwrap();
    assert!(status.success(), "{text}");
    has(
        &text,
        &["pid: 1", "session: 1", "cwd: /made/for it", "umask: 27", "env A=b c", "box", "example.org"],
    );
    has(&text, &["connect lo: ok"]);
    assert_eq!(text.matches("env ").count(), 2, "{text}");
    let (_, text) = house.run(|_| {}, &["umask"]).unwrap();
    has(&text, &["umask: 22"]);
}

fn mounts_and_devices(house: &House) {
    let orders = [
        "cat:/proc/mounts",
        "ls:/dev",
        "ls:/dev/pts",
        "stat:/dev/null",
        "stat:/dev/tty",
        "link:/dev/fd",
        "link:/dev/ptmx",
        "link:/dev/stdout",
        "write:/dev/null",
        "stat:/dev/shm",
    ];
    let (_, text) = house.run(|_| {}, &orders).unwrap();
    has(
        &text,
        &[
            "ls /dev: fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero",
            "ls /dev/pts: ptmx",
            "link /dev/fd: /proc/self/fd",
            "link /dev/ptmx: pts/ptmx",
            "link /dev/stdout: /proc/self/fd/1",
            "write /dev/null: ok",
            "stat /dev/shm: dir 1777 0:0 0:0",
        ],
    );
    if is_root() {
        has(&text, &["stat /dev/null: char 666 1:3 0:0", "stat /dev/tty: char 666 5:0 0:0"]);
    } else {
        assert!(text.contains("stat /dev/null: char 666 1:3 "), "{text}");
    }
    let mount =
        |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
    for (start, options) in [
        ("proc /proc proc ", &["nosuid", "noexec", "nodev"][..]),
        ("tmpfs /dev tmpfs ", &["nosuid", "mode=755", "size=65536k"]),
        ("sysfs /sys sysfs ", &["ro"]),
        ("mqueue /dev/mqueue mqueue ", &["noexec"]),
    ] {
        let line = mount(start);
        assert!(options.iter().all(|option| line.contains(option)), "{start}: {line:?} in\n{text}");
    }
    assert!(!text.contains("/old") && text.matches(" / ").count() == 1, "the old root is gone:\n{text}");
}

fn masked_and_read_only(house: &House) {
    // The kernel may be built without one of them; a path that is not there needs no mask.
    let orders = [
        "stat:/proc/timer_list",
        "size:/proc/keys",
        "ls:/sys/firmware",
        "touch:/sys/firmware/x",
        "write:/proc/sys/kernel/hostname",
        "cat:/proc/mounts",
    ];
    let (_, text) = house.run(|_| {}, &orders).unwrap();
    has(&text, &["size /proc/keys: 0", "ls /sys/firmware:", "touch /sys/firmware/x: errno 30"]);
    if is_root() {
        // To another user the file itself says no before its mount does.
        has(&text, &["write /proc/sys/kernel/hostname: errno 30"]);
    }
    for path in ["/proc/bus", "/proc/sys"] {
        assert!(text.contains(&format!("proc {path} proc ro")), "{path}: {text}");
    }
    if std::path::Path::new("/proc/timer_list").exists() {
        assert!(text.contains("stat /proc/timer_list: char 666 1:3"), "{text}");
    }
}

fn user_and_capabilities(house: &House) {
    let (_, text) = house.run(|_| {}, &["ids", "cat:/proc/self/status"]).unwrap();
    // CHOWN 0, KILL 5, NET_BIND_SERVICE 10.
    let sets = [
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000421",
        "CapEff:\t0000000000000421",
        "CapBnd:\t0000000000000421",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t0",
    ];
    has(&text, &sets);
    if !is_root() {
        has(&text, &["ids: 0:0 []"]);
        return;
    }
    has(&text, &["ids: 0:0 []"]);
    let edit = |spec: &mut serde_json::Value| {
        spec["process"]["user"] = json!({"uid": 1000, "gid": 2000, "additionalGids": [3000, 7]});
        let capabilities = &mut spec["process"]["capabilities"];
        capabilities["inheritable"] = json!(["CAP_KILL", "CAP_CHOWN"]);
        capabilities["ambient"] = json!(["CAP_KILL"]);
        spec["process"]["noNewPrivileges"] = json!(false);
        spec["process"]["oomScoreAdj"] = json!(123);
    };
    let (_, text) =
        house.run(edit, &["ids", "cat:/proc/self/status", "cat:/proc/self/oom_score_adj"]).unwrap();
    let groups =
        if text.contains("[3000, 7]") { "ids: 1000:2000 [3000, 7]" } else { "ids: 1000:2000 [7, 3000]" };
    // Of another user only the ambient set survives the execution of a program.
    has(
        &text,
        &[
            groups,
            "CapInh:\t0000000000000021",
            "CapPrm:\t0000000000000020",
            "CapEff:\t0000000000000020",
            "CapBnd:\t0000000000000421",
            "CapAmb:\t0000000000000020",
            "NoNewPrivs:\t0",
            "123",
        ],
    );
}

fn limits(house: &House) {
    let edit = |spec: &mut serde_json::Value| {
        spec["process"]["rlimits"] = json!([
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]);
    };
    let orders = [format!("limit:{}", libc::RLIMIT_NOFILE), format!("limit:{}", libc::RLIMIT_CORE)];
    let (_, text) = house.run(edit, &[&orders[0], &orders[1]]).unwrap();
    has(&text, &["limit 7: 100 200", "limit 4: 0 0"]);
}

/// Descriptors that the caller did not mark close-on-exec stay outside.
fn descriptors(house: &House) {
    let file = std::fs::File::open("/").unwrap();
    // SAFETY: numbers only; the copy without close-on-exec is closed below.
    let leaked = unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&file), 17) };
    assert_eq!(leaked, 17);
    let (_, text) = house.run(|_| {}, &["ls:/proc/self/fd"]).unwrap();
    // SAFETY: closes the copy made above.
    unsafe { libc::close(17) };
    // The fourth is the folder that is being listed.
    has(&text, &["ls /proc/self/fd: 0 1 2 3"]);
}

fn signals(house: &House) {
    // SAFETY: ignores a signal nobody sends here, and takes that back.
    let before = unsafe { libc::signal(libc::SIGUSR2, libc::SIG_IGN) };
    let result = house.run(|_| {}, &["pipe-signal", "cat:/proc/self/status"]);
    // SAFETY: restores the action.
    unsafe { libc::signal(libc::SIGUSR2, before) };
    has(&result.unwrap().1, &["usr2: 0", "SigBlk:\t0000000000000000"]);
}

fn bind_mounts(house: &House) {
    let outside = house.outside("volume");
    std::fs::write(outside.join("file"), "from outside\n").unwrap();
    let file = outside.join("file");
    let edit = |spec: &mut serde_json::Value| {
        let mounts = spec["mounts"].as_array_mut().unwrap();
        mounts.push(
            json!({"destination": "/data", "type": "bind", "source": outside, "options": ["rbind", "rw"]}),
        );
        mounts.push(json!({"destination": "/locked", "type": "bind", "source": outside, "options": ["bind", "ro", "noexec"]}));
        mounts.push(json!({"destination": "/etc/one/file", "type": "bind", "source": file, "options": ["bind", "ro"]}));
    };
    let orders = [
        "cat:/data/file",
        "touch:/data/new",
        "touch:/locked/x",
        "cat:/etc/one/file",
        "write:/etc/one/file",
        "cat:/proc/mounts",
    ];
    let (_, text) = house.run(edit, &orders).unwrap();
    has(&text, &["touch /data/new: ok", "touch /locked/x: errno 30", "write /etc/one/file: errno 30"]);
    assert_eq!(text.matches("from outside").count(), 2, "{text}");
    assert!(text.lines().any(|line| line.contains(" /locked ") && line.contains("noexec")), "{text}");
    assert!(outside.join("new").exists());
}

fn read_only_root(house: &House) {
    let edit = |spec: &mut serde_json::Value| spec["root"]["readonly"] = json!(true);
    let (_, text) = house.run(edit, &["touch:/x", "touch:/dev/shm/x"]).unwrap();
    has(&text, &["touch /x: errno 30", "touch /dev/shm/x: ok"]);
}

/// Keyrings have no namespace: without one of its own, the container would read the caller's keys.
fn keyring(house: &House) {
    let own = crate::probe::keyring();
    if own == -i64::from(libc::ENOSYS) || own == -i64::from(libc::EPERM) {
        eprintln!("SKIP sees_a_keyring_of_its_own: needs keyrings");
        return;
    }
    let run = |new| {
        let keep = |options: oci_runtime::Options| options.new_keyring(new);
        let (_, text) = house.run_with(|_| {}, &["keyring"], keep).unwrap();
        text.trim().strip_prefix("keyring: ").unwrap().parse::<i64>().unwrap()
    };
    let (first, second) = (run(true), run(true));
    assert!(first > 0 && second > 0 && first != own && first != second, "{own} {first} {second}");
    if own > 0 {
        assert_ne!(run(false), first);
    }
}

fn sysctl(house: &House) {
    let edit = |spec: &mut serde_json::Value| {
        spec["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"});
    };
    let (_, text) = house
        .run(edit, &["cat:/proc/sys/net/ipv4/ip_forward", "cat:/proc/sys/kernel/shm_rmid_forced"])
        .unwrap();
    assert_eq!(text, "1\n1\n");
}

/// The spec that images get, with a limit where groups can be made.
fn default_spec(house: &House) {
    let args =
        ["/probe", "pid", "ids", "cat:/proc/self/status", "ls:/sys/fs/cgroup", "write:/dev/null", "exit:5"];
    let mut options = image_options().args(args);
    if is_root() {
        options = options.memory(64 << 20).pids(50);
    }
    let spec = spec::default_spec(&house.root, &options).unwrap();
    let mut container = Container::run(&spec, house.options().cgroups(true)).unwrap();
    assert!(!is_root() || container.cgroup().is_some());
    let (status, text) = finish(&mut container).unwrap();
    assert_eq!(status.code(), Some(5), "{text}");
    has(&text, &["pid: 1", "ids: 0:0 []", "write /dev/null: ok"]);
    assert!(!text.contains("ls /sys/fs/cgroup: ?"), "{text}");
}

/// Several ids of root's: the child may not change its ids in the memory of the host.
fn mapped_ids(house: &House) {
    if !is_root() {
        // Refused for an ordinary user: see the check of ids that may not be mapped.
        return;
    }
    // SAFETY: asks for a flag.
    let dumpable = || unsafe { libc::prctl(libc::PR_GET_DUMPABLE) };
    let before = dumpable();
    let edit = |spec: &mut serde_json::Value| {
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        spec["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        spec["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 200_000, "size": 65536}]);
        spec["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [5]});
    };
    let orders = [
        "ids",
        "cat:/proc/self/uid_map",
        "cat:/proc/self/gid_map",
        "stat:/dev/shm",
        "write:/dev/null",
        "stat:/probe",
    ];
    let (status, text) = house.run(edit, &orders).unwrap();
    assert!(status.success(), "{text}");
    has(&text, &["ids: 1000:1000 [5]", "stat /dev/shm: dir 1777 0:0 0:0", "write /dev/null: ok"]);
    assert!(text.contains("100000      65536") && text.contains("200000      65536"), "{text}");
    // The files of the root belong to nobody there.
    assert!(text.contains("stat /probe: file 755 0:0 65534:65534"), "{text}");
    assert_eq!(dumpable(), before);
}

/// A network namespace by its path: here the caller's own, as `--network host` of another container would have it.
fn joined_network(house: &House) {
    let edit = |spec: &mut serde_json::Value| {
        for namespace in spec["linux"]["namespaces"].as_array_mut().unwrap() {
            if namespace["type"] == "network" {
                namespace["path"] = json!("/proc/self/ns/net");
            }
        }
    };
    let result = house.run(edit, &["link:/proc/self/ns/net"]);
    if !is_root() {
        // It belongs to somebody else than the container's user namespace.
        assert_eq!(result.unwrap_err().to_string(), "join the network namespace: setns");
        return;
    }
    let (_, text) = result.unwrap();
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    has(&text, &[&format!("link /proc/self/ns/net: {}", own.display())]);
}
