//! Control groups on the real kernel, in private mount namespaces that show each arrangement of trees.
//!
//! The outer tests start this program again inside `unshare --mount`, where they may rearrange `/sys/fs/cgroup`; the
//! inner ones (ignored otherwise) do the work there. Only uniquely named groups are made, and all of them are removed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use oci_runtime::cgroup::{Cgroup, Hierarchy, Mode, unsupported};
use oci_spec::runtime::LinuxResources;

const PURE_V1: &str = "for t in $(awk '/ - cgroup2 /{print $5}' /proc/self/mountinfo); do umount $t; done";
/// A file system cannot be mounted over itself: on a machine with version 2 alone it is there already.
const V2_FACE: &str =
    "grep -q ' /sys/fs/cgroup cgroup2 ' /proc/mounts || mount -t cgroup2 none /sys/fs/cgroup";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs an inner test in a private mount namespace after `prepare`; `None` when that is not possible here.
fn inside(name: &str, prepare: &str, inner: &str) -> Option<Output> {
    if !is_root() {
        eprintln!("SKIP {name}: needs root");
        return None;
    }
    let exe = std::env::current_exe().unwrap();
    let script = format!("set -e\n{prepare}\nexec \"$0\" --exact {inner} --ignored --nocapture");
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script])
        .arg(exe)
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIP {name}: needs unshare(1): {error}");
            None
        }
    }
}

/// Passes on what the inner test says; one that cannot work on this machine says `SKIP` itself.
fn passes(name: &str, output: Option<Output>) {
    let Some(output) = output else { return };
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if let Some(reason) = text.lines().find_map(|line| line.strip_prefix("SKIP inner: ")) {
        eprintln!("SKIP {name}: {reason}");
        return;
    }
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn version_1() {
    passes("version_1", inside("version_1", PURE_V1, "inner_version_1"));
}

#[test]
fn hybrid() {
    passes("hybrid", inside("hybrid", ":", "inner_hybrid"));
}

#[test]
fn version_2() {
    passes("version_2", inside("version_2", V2_FACE, "inner_version_2"));
}

#[test]
fn an_ordinary_user() {
    if !is_root() {
        return inner_ordinary_user();
    }
    let exe = std::env::current_exe().unwrap();
    let output = Command::new(exe)
        .args(["--exact", "inner_ordinary_user", "--ignored", "--nocapture"])
        .uid(65534)
        .gid(65534)
        .current_dir("/")
        .output();
    match output {
        Ok(output) => passes("an_ordinary_user", Some(output)),
        Err(error) => {
            eprintln!("SKIP an_ordinary_user: needs a test program that others may execute: {error}")
        }
    }
}

#[test]
#[ignore = "run by version_1"]
fn inner_version_1() {
    life(Mode::V1);
}

#[test]
#[ignore = "run by hybrid"]
fn inner_hybrid() {
    life(Mode::Hybrid);
}

#[test]
#[ignore = "run by version_2"]
fn inner_version_2() {
    life(Mode::V2);
}

#[test]
#[ignore = "run by an_ordinary_user"]
fn inner_ordinary_user() {
    let hierarchy = Hierarchy::detect().unwrap();
    let id = format!("test-user-{}", std::process::id());
    let resources = resources(r#"{"pids":{"limit":5}}"#);
    if let Some(cgroup) = Cgroup::create(&hierarchy, &id, None, None).unwrap() {
        // Delegated to this user: then everything must work.
        cgroup.destroy().unwrap();
        eprintln!("SKIP inner: needs a user without control groups of their own");
        return;
    }
    let error = Cgroup::create(&hierarchy, &id, None, Some(&resources)).unwrap_err().to_string();
    assert!(error.contains("/linux/resources/pids/limit") && error.contains("`pids`"), "{error}");
    // A path was asked for by name, so that going on without it would be an omission.
    let path = PathBuf::from(format!("/{id}"));
    let error = Cgroup::create(&hierarchy, &id, Some(&path), None).unwrap_err();
    let expected = hierarchy.mode() == Mode::Absent || error.is_permission_denied();
    assert!(expected || error.to_string().contains("ead-only"), "{error}");
}

fn resources(json: &str) -> LinuxResources {
    serde_json::from_str(json).unwrap()
}

/// Removes the group and the process when an assertion fails.
struct Cleanup {
    cgroup: Cgroup,
    child: Option<Child>,
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = self.cgroup.destroy();
    }
}

/// A shell that does what it reads.
fn shell() -> Child {
    Command::new("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn life(mode: Mode) {
    let hierarchy = Hierarchy::detect().unwrap();
    if hierarchy.mode() != mode {
        eprintln!("SKIP inner: needs cgroup trees arranged as {mode:?}, not {:?}", hierarchy.mode());
        return;
    }
    let top = format!("oci-runtime-test-{}-{mode:?}", std::process::id());
    let path = PathBuf::from(format!("/{top}/parent/box"));
    limits(&hierarchy, &path);
    whole_life(&hierarchy, &path);
    own_place(&hierarchy);
    for (_, mount) in hierarchy.controllers() {
        assert!(!mount.join(&top).exists(), "{mount:?} still has {top}");
    }
}

/// Every limit is either in its file afterwards, or refused by its name.
fn limits(hierarchy: &Hierarchy, path: &Path) {
    let has = |name: &str| hierarchy.controllers().any(|(controller, _)| controller == name);
    for (controller, json, pointer, files) in [
        (
            "memory",
            r#"{"memory":{"limit":33554432,"reservation":16777216}}"#,
            "/memory/limit",
            &[("memory.limit_in_bytes", "33554432"), ("memory.max", "33554432")][..],
        ),
        ("pids", r#"{"pids":{"limit":17}}"#, "/pids/limit", &[("pids.max", "17")]),
        (
            "cpu",
            r#"{"cpu":{"shares":512,"quota":50000,"period":100000}}"#,
            "/cpu/shares",
            &[("cpu.shares", "512"), ("cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000")],
        ),
        ("cpuset", r#"{"cpu":{"cpus":"0"}}"#, "/cpu/cpus", &[("cpuset.cpus", "0")]),
        ("devices", r#"{"devices":[{"allow":false}]}"#, "/devices", &[("devices.list", "c *:* m")]),
        (
            "hugetlb",
            r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#,
            "/hugepageLimits/0",
            &[("hugetlb.2MB.max", "4194304"), ("hugetlb.2MB.limit_in_bytes", "4194304")],
        ),
    ] {
        let wanted = resources(json);
        let problems = unsupported(&wanted, hierarchy);
        if !has(controller) {
            assert!(problems[0].pointer.ends_with(pointer), "{problems:?}");
            assert!(problems[0].reason.contains(&format!("`{controller}`")), "{problems:?}");
            let error = Cgroup::create(hierarchy, "x", Some(path), Some(&wanted)).unwrap_err();
            assert!(error.to_string().contains(pointer), "{error}");
            continue;
        }
        assert_eq!(problems, [], "{controller}");
        let cgroup = Cgroup::create(hierarchy, "x", Some(path), Some(&wanted)).unwrap().unwrap();
        let guard = Cleanup { cgroup, child: None };
        let folder = guard.cgroup.folder(Some(controller)).unwrap();
        let mut seen = 0;
        for (file, value) in files {
            let Ok(text) = std::fs::read_to_string(folder.join(file)) else { continue };
            assert!(text.lines().any(|line| line == *value), "{file}: {text}");
            seen += 1;
        }
        assert!(seen > 0, "no file of {controller} in {folder:?}");
        guard.cgroup.destroy().unwrap();
        assert!(!folder.exists());
        eprintln!("checked {controller}");
    }
}

fn whole_life(hierarchy: &Hierarchy, path: &Path) {
    let has_pids = hierarchy.controllers().any(|(controller, _)| controller == "pids");
    let wanted = has_pids.then(|| resources(r#"{"pids":{"limit":1}}"#));
    let cgroup = Cgroup::create(hierarchy, "x", Some(path), wanted.as_ref()).unwrap().unwrap();
    let mut guard = Cleanup { cgroup: cgroup.clone(), child: None };
    assert_eq!(cgroup.folder(None).is_some(), hierarchy.mode() != Mode::V1);
    assert!(cgroup.pids().unwrap().is_empty());

    // The way in: `tasks` of version 1 takes the one thread that writes.
    let mut join = cgroup.join().unwrap();
    assert_eq!(join.into.is_some(), hierarchy.mode() != Mode::V1);
    assert_eq!(join.tasks.is_empty(), hierarchy.mode() == Mode::V2);
    if let (Some(into), Some(folder)) = (&join.into, cgroup.folder(None)) {
        use std::os::unix::fs::MetadataExt;
        let (there, here) = (rustix::fs::fstat(into).unwrap(), std::fs::metadata(folder).unwrap());
        assert_eq!((there.st_dev, there.st_ino), (here.dev(), here.ino()));
    }
    let tasks = std::mem::take(&mut join.tasks);
    let (count, wanted_path) = (tasks.len(), path.to_str().unwrap().to_owned());
    let moved = std::thread::spawn(move || {
        tasks.iter().for_each(|task| assert_eq!(rustix::io::write(task, b"0").unwrap(), 1));
        std::fs::read_to_string("/proc/thread-self/cgroup").unwrap()
    });
    let moved = moved.join().unwrap();
    let inside = moved.lines().filter(|line| line.ends_with(&wanted_path)).count();
    assert_eq!(inside, count, "{moved}");

    // A process, and what the group says of it.
    let child = guard.child.insert(shell());
    cgroup.add_process(child.id()).unwrap();
    assert_eq!(cgroup.pids().unwrap(), [child.id()]);
    let error = Cgroup::create(hierarchy, "x", Some(path), None).unwrap_err().to_string();
    assert!(error.contains("exists already"), "{error}");
    assert!(cgroup.folders().all(Path::exists), "a refused second create removed the first one's folders");
    let stats = cgroup.stats();
    if has_pids {
        let pids = stats.pids.unwrap();
        assert_eq!((pids.current, pids.limit), (1, Some(1)));
        // Version 2 counts what the process takes from now on, and that may be nothing yet.
        assert!(stats.memory.unwrap().current > 0 || hierarchy.mode() == Mode::V2);
    }
    assert!(stats.cpu.is_some());

    // Standing still, and going on.
    cgroup.freeze().unwrap();
    assert!(cgroup.is_frozen().unwrap());
    writeln!(child.stdin.as_ref().unwrap(), "/bin/true; echo done $?").unwrap();
    cgroup.thaw().unwrap();
    assert!(!cgroup.is_frozen().unwrap());
    if has_pids {
        // The limit holds: the shell cannot fork, says so and ends.
        drop(child.stdin.take());
        let child = guard.child.take().unwrap();
        let output = child.wait_with_output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(complaint.contains("fork"), "{complaint}");
    }

    // A group made inside, with a process in it, frozen; through a state file; killed and removed.
    let again = guard.child.insert(shell());
    let below: Vec<PathBuf> = cgroup.folders().map(|folder| folder.join("deeper/still")).collect();
    for folder in &below {
        std::fs::create_dir_all(folder).unwrap();
        for level in [folder.parent().unwrap(), folder] {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(value) = std::fs::read_to_string(level.parent().unwrap().join(file)) {
                    let _ = std::fs::write(level.join(file), value);
                }
            }
        }
        std::fs::write(folder.join("cgroup.procs"), again.id().to_string()).unwrap();
    }
    assert!(cgroup.pids().unwrap().contains(&again.id()));
    cgroup.freeze().unwrap();
    let state = serde_json::to_string(&cgroup).unwrap();
    let restored: Cgroup = serde_json::from_str(&state).unwrap();
    assert_eq!(restored, cgroup);
    restored.destroy().unwrap();
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(again.wait().unwrap().signal(), Some(9));
    assert!(cgroup.folders().all(|folder| !folder.exists()));
    // And once more is no error.
    restored.destroy().unwrap();
    assert!(restored.pids().unwrap().is_empty());
}

/// Without a path: below the own group, under a name made from the id.
fn own_place(hierarchy: &Hierarchy) {
    let id = format!("test-{}", std::process::id());
    let cgroup = Cgroup::create(hierarchy, &id, None, None).unwrap().unwrap();
    let guard = Cleanup { cgroup, child: None };
    for (controller, _) in hierarchy.controllers() {
        let own = hierarchy.own_folder(controller).unwrap();
        let expected = own.join(format!("oci-runtime-{id}"));
        assert_eq!(guard.cgroup.folder(Some(controller)), Some(expected.as_path()));
        assert!(expected.is_dir());
    }
    guard.cgroup.destroy().unwrap();
    assert!(guard.cgroup.folders().all(|folder| !folder.exists()));
}
