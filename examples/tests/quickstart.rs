//! `quickstart`: the whole way, by itself and with an image out of a real registry.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test program")]

mod peers;

use std::process::{Command, Output, Stdio};

use peers::docker_registry::DockerRegistry;

fn quickstart(arguments: &[&str]) -> Output {
    let folder = peers::scratch();
    let output = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .args(arguments)
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    output
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The rest of the line that begins with a word.
fn line<'t>(text: &'t str, word: &str) -> &'t str {
    let found = text.lines().find_map(|line| line.strip_prefix(word));
    found.unwrap_or_else(|| panic!("no line {word:?} in\n{text}")).trim()
}

/// Whether containers can be run by this user at all.
fn can_run() -> bool {
    let output = Command::new("unshare").args(["-r", "true"]).output();
    rustix::process::geteuid().is_root() || output.is_ok_and(|output| output.status.success())
}

#[test]
fn it_goes_the_whole_way_by_itself() {
    let output = quickstart(&[]);
    let text = stdout(&output);
    if !can_run() {
        peers::skip("it_goes_the_whole_way_by_itself", "root or user namespaces");
        // It must say so, too.
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "));
        return;
    }
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let digest = |step: &str| line(&text, step).split_whitespace().nth(3).unwrap().to_owned();
    let image = digest("build ");
    assert!(image.starts_with("sha256:") && image.len() == 71, "{image}");
    for step in ["push ", "pull ", "run "] {
        assert_eq!(digest(step), image, "{step}");
    }
    // What the process inside sees is a container, and not the host.
    assert_eq!(line(&text, "pid "), "1");
    assert_eq!(line(&text, "hostname "), "quickstart");
    assert_eq!(line(&text, "user "), "0:0");
    assert_eq!(line(&text, "processes "), "1");
    assert_eq!(line(&text, "interfaces "), "lo");
    assert_eq!(line(&text, "privileges "), "NoNewPrivs 1");
    assert_eq!(line(&text, "open files "), "256 (at most 256)");
    assert!(line(&text, "mount       /proc ").starts_with("proc rw"), "{text}");
    if rustix::process::geteuid().is_root() && line(&text, "run ").contains("256 processes") {
        assert_eq!(line(&text, "pids "), "256");
        assert_eq!(line(&text, "memory "), "1073741824");
    }
}

#[test]
fn a_large_image_needs_little_memory() {
    let corpus = need_corpus!("a_large_image_needs_little_memory");
    need_tools!("a_large_image_needs_little_memory", "docker-registry", "skopeo");
    let registry = DockerRegistry::start("plain");
    for name in ["python", "python-zstd"] {
        registry.fill(&corpus.join(name), name);
        let output = quickstart(&[&format!("{}/{name}:latest", registry.host())]);
        let text = stdout(&output);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("\n1.26.4 2.2.2 1.13.1 1.5.0 16.1.0\n"), "{text}");
        let peak = line(&text, "peak memory of this program:");
        let kib: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
        assert!(kib < 48 << 10, "pulling, unpacking and running {name} took {peak}");
        println!("{name}: pulled, unpacked and run with a peak memory of {peak}");
    }
}

#[test]
fn its_exit_code_is_the_programs() {
    let corpus = need_corpus!("its_exit_code_is_the_programs");
    need_tools!("its_exit_code_is_the_programs", "docker-registry", "skopeo");
    let registry = DockerRegistry::start("plain");
    registry.fill(&corpus.join("busybox"), "busybox");
    let image = format!("{}/busybox", registry.host());
    for (command, code) in
        [(&["sh", "-c", "exit 9"][..], 9), (&["no-such-command"], 127), (&["/etc/passwd"], 126)]
    {
        let output = quickstart(&[&[&*image], command].concat());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    for image in ["not a reference", &format!("{image}:no-such-tag")] {
        let output = quickstart(&[image]);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "));
    }
}

/// As in a sandbox or a rootless container: root, but of a user namespace that has one id.
#[test]
fn it_works_for_the_root_of_a_user_namespace() {
    need_tools!("it_works_for_the_root_of_a_user_namespace", "unshare");
    if !Command::new("unshare").args(["-Ur", "true"]).output().unwrap().status.success() {
        peers::skip("it_works_for_the_root_of_a_user_namespace", "user namespaces");
        return;
    }
    let output = Command::new("unshare").arg("-Ur").arg(env!("CARGO_BIN_EXE_quickstart")).output().unwrap();
    let text = stdout(&output);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(line(&text, "pid "), "1");
    assert_eq!(line(&text, "user "), "0:0");
}
