//! The life of a container: created, started, signalled, waited for and deleted, also by other processes.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode};

use oci_runtime::{Bundle, Container, Error, Options, Status, Stdio};
use serde_json::json;

use crate::Check;
use crate::root::{House, finish, spec};

pub(crate) const CHECKS: &[Check] = &[
    ("life_run_gives_the_exit_code", exit_code),
    ("life_standard_streams_are_pipes", streams),
    ("life_create_waits_for_start", create_and_start),
    ("life_another_process_goes_on", another_process),
    ("life_kill_and_delete", kill_and_delete),
    ("life_created_is_deleted_unstarted", delete_created),
    ("life_init_keeps_nothing_of_the_caller", init_of_created),
    ("life_an_id_is_taken_once", taken),
    ("life_survives_a_host_that_collects_all_children", collected),
    ("life_explains_itself", explains),
];

pub(crate) fn load(orders: &[&str]) -> oci_spec::runtime::Spec {
    Bundle::parse(spec(orders).to_string().as_bytes(), "test").unwrap().spec
}

fn exit_code(house: &House) {
    let (status, _) = house.run(|_| {}, &["exit:42"]).unwrap();
    assert_eq!((status.code(), status.signal(), status.shell_code()), (Some(42), None, 42));
    let (status, _) = house.run(|_| {}, &[]).unwrap();
    assert!(status.success());
    let (status, _) = house.run(|_| {}, &["signal"]).unwrap();
    assert!(status.signal().is_some() && status.shell_code() > 128, "{status}");
    assert!(house.is_clean());
}

fn streams(house: &House) {
    let options = house.options().stdin(Stdio::Pipe);
    let mut container = Container::run(&load(&["echo", "err:to stderr"]), options).unwrap();
    container.stdin.take().unwrap().write_all(b"through a pipe\n").unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    container.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    container.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((out.as_str(), err.as_str()), ("through a pipe\n", "to stderr\n"));
    assert!(container.wait().unwrap().success());
    container.delete(false).unwrap();
    // From null there is nothing to read.
    let (_, text) = house.run(|_| {}, &["echo", "out:end"]).unwrap();
    assert_eq!(text, "end\n");
}

fn create_and_start(house: &House) {
    let mut container = Container::create(&load(&["out:started", "exit:3"]), house.options()).unwrap();
    let state = container.state().unwrap();
    assert_eq!((state.status, state.id.as_str()), (Status::Created, container.id()));
    assert!(state.pid > 0 && state.oci_version == "1.2.0");
    assert!(container.try_wait().unwrap().is_none());
    container.start().unwrap();
    let second = container.start();
    assert!(matches!(second, Err(Error::Status { .. })), "{second:?}");
    let mut text = String::new();
    container.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "started\n");
    assert_eq!(container.wait().unwrap().code(), Some(3));
    assert_eq!(container.state().unwrap().status, Status::Stopped);
    container.delete(false).unwrap();
    assert!(house.is_clean());
}

/// `start ID`, `kill ID` and `delete ID` of this test executable.
pub(crate) fn other_process(args: &[String]) -> ExitCode {
    let [order, root, id] = args else { return ExitCode::from(2) };
    let mut container = Container::load(Some(Path::new(root)), id).unwrap();
    match order.as_str() {
        "start" => container.start().unwrap(),
        "kill" => container.kill(libc::SIGKILL).unwrap(),
        "delete" => container.delete(true).unwrap(),
        "status" => println!("{}", container.state().unwrap().status.as_str()),
        other => panic!("{other}"),
    }
    ExitCode::SUCCESS
}

fn other(house: &House, order: &str, id: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--other-process", order])
        .arg(&house.state)
        .arg(id)
        .output()
        .unwrap();
    assert!(output.status.success(), "{order}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn another_process(house: &House) {
    let mut container = Container::create(&load(&["out:hello", "sleep"]), house.options()).unwrap();
    let id = container.id().to_owned();
    assert_eq!(other(house, "status", &id), "created");
    other(house, "start", &id);
    let mut text = [0; 6];
    container.stdout.take().unwrap().read_exact(&mut text).unwrap();
    assert_eq!(&text, b"hello\n");
    assert_eq!(other(house, "status", &id), "running");
    other(house, "kill", &id);
    assert_eq!(container.wait().unwrap().signal(), Some(libc::SIGKILL));
    assert_eq!(other(house, "status", &id), "stopped");
    other(house, "delete", &id);
    assert!(Container::load(Some(&house.state), &id).unwrap_err().is_not_found());
}

fn kill_and_delete(house: &House) {
    let mut container = Container::run(&load(&["out:up", "sleep"]), house.options()).unwrap();
    let mut text = [0; 3];
    container.stdout.take().unwrap().read_exact(&mut text).unwrap();
    let refused = container.delete(false);
    assert!(matches!(refused, Err(Error::Status { status: "running", .. })), "{refused:?}");
    assert!(matches!(container.kill(999), Err(Error::Invalid { .. })));
    container.kill(libc::SIGKILL).unwrap();
    assert_eq!(container.wait().unwrap().shell_code(), 137);
    assert!(matches!(container.kill(libc::SIGTERM), Err(Error::Status { .. })));
    container.delete(false).unwrap();
    // By force a running one goes too, and its process with it.
    let mut container = Container::run(&load(&["sleep"]), house.options()).unwrap();
    let pid = container.pid();
    container.delete(true).unwrap();
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(house.is_clean());
}

fn delete_created(house: &House) {
    let mut container = Container::create(&load(&["exit:0"]), house.options()).unwrap();
    container.delete(false).unwrap();
    assert!(house.is_clean());
}

/// The process that waits for start is neither this executable nor holds any of its memory or descriptors.
fn init_of_created(house: &House) {
    let mut container = Container::create(&load(&["exit:0"]), house.options()).unwrap();
    let proc = format!("/proc/{}", container.pid());
    let maps = std::fs::read_to_string(format!("{proc}/maps")).unwrap();
    assert!(!maps.contains("probe") && !maps.contains("[heap]") && !maps.contains(".so"), "{maps}");
    let exe = std::fs::read_link(format!("{proc}/exe"));
    if let Ok(exe) = exe {
        assert!(exe.to_string_lossy().contains("memfd:oci-runtime-init"), "{exe:?}");
    }
    let numbers = || {
        let entries = std::fs::read_dir(format!("{proc}/fd")).ok()?;
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string();
        let mut numbers: Vec<u32> = entries.map(|entry| name(entry).unwrap().parse().unwrap()).collect();
        numbers.sort_unstable();
        Some(numbers)
    };
    // Init puts its pipes in place after it has said that it is ready.
    while numbers().is_some_and(|numbers| numbers == [0, 1, 2, 3, 4, 5]) {
        std::thread::yield_now();
    }
    // Streams, the report pipe and the start pipe.
    assert!(numbers().is_none_or(|numbers| numbers == [0, 1, 2, 3, 4]), "{:?}", numbers());
    container.start().unwrap();
    finish(&mut container).unwrap();
}

fn taken(house: &House) {
    let mut container = Container::run(&load(&["sleep"]), house.options()).unwrap();
    let options = Options::new(container.id()).rootfs(&house.root).state_root(&house.state).cgroups(false);
    assert!(matches!(Container::run(&load(&["exit:0"]), options), Err(Error::Exists { .. })));
    assert_eq!(Container::list(Some(&house.state)).unwrap(), [container.id()]);
    container.delete(true).unwrap();
    for id in ["", "../x", ".x", "a/b"] {
        let options = Options::new(id).rootfs(&house.root).state_root(&house.state);
        assert!(matches!(Container::run(&load(&[]), options), Err(Error::Invalid { .. })), "{id:?}");
    }
}

/// Another thread's waitpid(-1) takes the exit status: wait comes back all the same.
fn collected(house: &House) {
    let mut container = Container::run(&load(&["exit:9"]), house.options()).unwrap();
    let pid = container.pid();
    let mut status = 0;
    // SAFETY: fills one integer.
    let collected = unsafe { libc::waitpid(-1, &raw mut status, 0) };
    assert_eq!(collected, pid);
    match container.wait() {
        Ok(exit) => assert_eq!(exit.code(), Some(9)),
        Err(error) => assert!(matches!(error, Error::Lost { .. }), "{error}"),
    }
    container.delete(false).unwrap();
    assert!(house.is_clean());
}

fn explains(house: &House) {
    let mut spec = spec(&["exit:0"]);
    spec["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]);
    let spec = Bundle::parse(spec.to_string().as_bytes(), "test").unwrap().spec;
    let plan = oci_runtime::Plan::resolve(&spec, &house.state, Some(&house.root)).unwrap();
    let text = plan.explain().unwrap();
    for part in
        ["new namespaces:", "mount tmpfs at /dev", "mask /proc/kcore", "RLIMIT_CORE", "execute the program"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}
