//! `oci-run` against a real registry: what it prints, how it exits, and what it leaves behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test program")]

mod peers;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use peers::docker_registry::DockerRegistry;

/// A store of its own, so that no test sees another's images.
struct Store(tempfile::TempDir);

impl Store {
    fn new() -> Self {
        Self(peers::scratch())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oci-run"));
        command.arg("--root").arg(self.0.path()).args(arguments).stdin(Stdio::null());
        // The user's own credentials and folders have no part in this.
        for variable in ["REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"] {
            command.env_remove(variable);
        }
        command.env("HOME", self.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs and expects success; gives standard output.
    fn prints(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs and expects this exit code, one `error:` line that holds the words, nothing on standard output, and
    /// nothing left of a container or a half-stored blob.
    fn fails(&self, code: i32, words: &[&str], arguments: &[&str]) {
        let output = self.run(arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{errors}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        assert_eq!(errors.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{errors}");
        for word in words {
            assert!(errors.contains(word), "{arguments:?}: no {word:?} in\n{errors}");
        }
        self.nothing_left();
    }

    fn nothing_left(&self) {
        assert_eq!(names(&self.0.path().join("containers")), Vec::<String>::new());
        let blobs = self.0.path().join("images/blobs/sha256");
        for name in names(&blobs) {
            let bytes = fs::read(blobs.join(&name)).unwrap();
            let digest = oci_digest::digest_of(oci_digest::Algorithm::Sha256, &bytes);
            assert_eq!(digest.digest(), name, "a blob that is not what its name says");
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// A registry with the busybox image.
fn busybox(corpus: &Path) -> (DockerRegistry, String) {
    let registry = DockerRegistry::start("plain");
    registry.fill(&corpus.join("busybox"), "busybox");
    let image = format!("{}/busybox:latest", registry.host());
    (registry, image)
}

#[test]
fn every_corpus_image_runs() {
    let corpus = need_corpus!("every_corpus_image_runs");
    need_tools!("every_corpus_image_runs", "docker-registry", "skopeo");
    let registry = DockerRegistry::start("plain");
    let store = Store::new();
    let run = |name: &str, command: &[&str]| {
        registry.fill(&corpus.join(name), name);
        let image = format!("{}/{name}:latest", registry.host());
        store.prints(&[&["run", &image], command].concat())
    };
    assert_eq!(run("busybox", &["echo", "hi"]), "hi\n");
    assert!(run("debian", &["cat", "/etc/os-release"]).contains("Debian GNU/Linux"));
    for python in ["python", "python-zstd"] {
        let versions = run(python, &[]);
        assert_eq!(versions.split_whitespace().count(), 5, "{versions}");
        assert!(versions.starts_with("1.26.4 2.2.2 1.13.1 1.5.0 16.1.0"), "{versions}");
    }
    for node in ["node", "node-zstd"] {
        let versions = run(node, &[]);
        assert!(versions.starts_with('v') && versions.contains("4.17.21 5.4.5"), "{versions}");
    }
    assert_eq!(run("multi", &["uname", "-s"]), "Linux\n");
    assert_eq!(run("many-layers", &["sh", "-c", "ls /data | wc -l"]).trim(), layered_names(&corpus));
    store.nothing_left();
}

/// The number of names in /data of the many-layers image, as umoci sees it.
fn layered_names(corpus: &Path) -> String {
    let folder = peers::scratch();
    let root = folder.path().join("root");
    let mut umoci = Command::new("umoci");
    umoci
        .args(["raw", "unpack", "--image"])
        .arg(format!("{}:latest", corpus.join("many-layers").display()))
        .arg(&root);
    if !rustix::process::geteuid().is_root() {
        umoci.arg("--rootless");
    }
    peers::run(&mut umoci);
    names(&root.join("data")).len().to_string()
}

#[test]
fn the_process_decides_the_exit_code() {
    let corpus = need_corpus!("the_process_decides_the_exit_code");
    need_tools!("the_process_decides_the_exit_code", "docker-registry", "skopeo");
    let (_registry, image) = busybox(&corpus);
    let store = Store::new();
    // A process that kills itself is not pid 1, which the kernel protects from its own signals.
    for (script, code) in
        [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("sh -c 'kill -9 $$'; exit $?", 137)]
    {
        let output = store.run(&["run", &image, "sh", "-c", script]);
        assert_eq!(output.status.code(), Some(code), "{script}: {}", text(&output.stderr));
    }
    store.fails(127, &["no-such-command"], &["run", &image, "no-such-command"]);
    store.fails(127, &["/no/such/file"], &["run", &image, "/no/such/file"]);
    store.fails(126, &["/etc/passwd"], &["run", &image, "/etc/passwd"]);
    store.fails(126, &["/etc"], &["run", &image, "/etc"]);
}

#[test]
fn options_reach_the_process() {
    let corpus = need_corpus!("options_reach_the_process");
    need_tools!("options_reach_the_process", "docker-registry", "skopeo");
    let (_registry, image) = busybox(&corpus);
    let store = Store::new();
    let script = "echo $A $B; hostname; pwd; id -u; ls /proc/self/fd | wc -l; echo $$";
    let printed = store.prints(&[
        "run",
        "-e",
        "A=one",
        "-e",
        "B=two words",
        "--name",
        "named",
        &image,
        "sh",
        "-c",
        script,
    ]);
    // ls has its own descriptor of the folder: 0, 1, 2 and that one.
    assert_eq!(printed, "one two words\nnamed\n/\n0\n4\n1\n");
    let interfaces = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | sort | tr '\\n' ' '";
    let none = store.prints(&["run", "--network", "none", &image, "sh", "-c", interfaces]);
    assert!(!none.contains("eth"), "{none}");
    let host = store.prints(&["run", "--network", "host", &image, "readlink", "/proc/self/ns/net"]);
    assert_eq!(host.trim(), fs::read_link("/proc/self/ns/net").unwrap().to_string_lossy());

    let mut with_input = store.command(&["run", "-i", &image, "cat"]);
    let mut child = with_input.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through and through\n").unwrap();
    assert_eq!(text(&child.wait_with_output().unwrap().stdout), "through and through\n");
    // Without -i there is nothing to read.
    let mut without = store.command(&["run", &image, "cat"]);
    let mut child = without.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(b"not for you\n");
    assert_eq!(text(&child.wait_with_output().unwrap().stdout), "");
    store.nothing_left();
}

#[test]
fn limits_hold() {
    let corpus = need_corpus!("limits_hold");
    need_root!("limits_hold");
    need_tools!("limits_hold", "docker-registry", "skopeo");
    let (_registry, image) = busybox(&corpus);
    let store = Store::new();
    let limits = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null;
                  cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null; true";
    let printed = store.prints(&["run", "--memory", "64m", "--pids", "20", &image, "sh", "-c", limits]);
    assert_eq!(printed, "67108864\n20\n");
    // The limit is the kernel's, not a number in a file: the twenty-first process is refused.
    let forks = "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done 2>&1; kill $(jobs -p) 2>/dev/null";
    let output = store.run(&["run", "--pids", "20", &image, "sh", "-c", forks]);
    let all = text(&output.stdout) + &text(&output.stderr);
    assert!(all.contains("can't fork"), "{all}");
    let eats = "head -c 200m /dev/zero | tail -c 200m > /dev/null; echo survived";
    let output = store.run(&["run", "--memory", "32m", &image, "sh", "-c", eats]);
    assert!(
        !output.status.success()
            || !text(&output.stdout).contains("survived")
            || text(&output.stderr).contains("Killed")
    );
    store.fails(1, &["memory"], &["run", "--memory", "much", &image, "true"]);
    store.nothing_left();
}

#[test]
fn an_image_that_is_there_is_not_pulled_again() {
    let corpus = need_corpus!("an_image_that_is_there_is_not_pulled_again");
    need_tools!("an_image_that_is_there_is_not_pulled_again", "docker-registry", "skopeo");
    let (registry, image) = busybox(&corpus);
    let store = Store::new();
    assert_eq!(store.prints(&["run", &image, "echo", "one"]), "one\n");
    drop(registry);
    assert_eq!(store.prints(&["run", &image, "echo", "two"]), "two\n");
}

#[test]
fn wrong_names_and_passwords() {
    let corpus = need_corpus!("wrong_names_and_passwords");
    need_tools!("wrong_names_and_passwords", "docker-registry", "skopeo", "htpasswd", "openssl");
    let (registry, image) = busybox(&corpus);
    let store = Store::new();
    let host = registry.host();
    store.fails(1, &["no-such-tag"], &["run", &format!("{host}/busybox:no-such-tag"), "true"]);
    store.fails(1, &["no-such-name"], &["run", &format!("{host}/no-such-name"), "true"]);
    for malformed in
        ["UPPER/case", "a//b", "127.0.0.1:99999/x", "x:", "x@sha256:12", "x@sha512:zz", "", ":tag", "-"]
    {
        store.fails(1, &["reference"], &["run", "--", malformed, "true"]);
    }
    let guard = DockerRegistry::start("htpasswd");
    let guarded = format!("{}/busybox:latest", guard.host());
    guard.fill_as_alice(&corpus.join("busybox"), "busybox");
    store.fails(1, &["401"], &["run", "--creds", "alice:wr0ng", &guarded, "true"]);
    store.fails(1, &["401"], &["run", &guarded, "true"]);
    let leaked = text(&store.run(&["run", "--creds", "alice:wr0ng", &guarded, "true"]).stderr);
    assert!(!leaked.contains("wr0ng"), "{leaked}");
    assert_eq!(store.prints(&["run", "--creds", "alice:s3cret", &guarded, "echo", "in"]), "in\n");
    // The same by a file, as podman and docker write it.
    let file = store.0.path().join("auth.json");
    let auths = format!(r#"{{"auths":{{"{}":{{"auth":"YWxpY2U6czNjcmV0"}}}}}}"#, guard.host());
    fs::write(&file, auths).unwrap();
    let by_file = Store::new();
    let file = file.to_str().unwrap();
    assert_eq!(by_file.prints(&["run", "--authfile", file, &guarded, "echo", "in"]), "in\n");
    Store::new().fails(1, &["no-such-file"], &["run", "--authfile", "/no-such-file", &guarded, "true"]);
    // Nothing listens there any more.
    drop(registry);
    let other = Store::new();
    other.fails(1, &[&host], &["run", &image, "true"]);
}

#[test]
fn a_bearer_token_opens_the_door() {
    let corpus = need_corpus!("a_bearer_token_opens_the_door");
    need_tools!(
        "a_bearer_token_opens_the_door",
        "docker-registry",
        "skopeo",
        "htpasswd",
        "openssl",
        "python3"
    );
    let registry = DockerRegistry::start("token");
    let host = format!("localhost:{}", registry.port);
    for name in ["public/busybox", "private/busybox"] {
        registry.fill_as_alice(&corpus.join("busybox"), name);
    }
    let store = Store::new();
    assert_eq!(store.prints(&["run", &format!("{host}/public/busybox"), "echo", "anyone"]), "anyone\n");
    let private = format!("{host}/private/busybox");
    store.fails(1, &["401"], &["run", &private, "true"]);
    store.fails(1, &["401"], &["run", "--creds", "alice:wrong", &private, "true"]);
    assert_eq!(store.prints(&["run", "--creds", "alice:s3cret", &private, "echo", "alice"]), "alice\n");
}

#[test]
fn broken_content_is_refused() {
    let corpus = need_corpus!("broken_content_is_refused");
    need_tools!("broken_content_is_refused", "docker-registry", "skopeo");
    let layer = layer_of(&corpus.join("busybox"));
    for (name, digest_word, spoil) in [
        (
            "corrupted",
            "digest mismatch",
            (|bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1) as fn(&mut Vec<u8>),
        ),
        ("truncated", "reading the body", |bytes| bytes.truncate(bytes.len() / 2)),
    ] {
        let (registry, image) = busybox(&corpus);
        let stored = registry.stored_blob("plain", &layer);
        let mut bytes = fs::read(&stored).unwrap();
        spoil(&mut bytes);
        fs::write(&stored, bytes).unwrap();
        let store = Store::new();
        store.fails(1, &[digest_word, &layer], &["run", &image, "true"]);
        assert!(!store.0.path().join("images/blobs").join(layer.replace(':', "/")).exists(), "{name}");
    }
}

#[test]
fn a_layer_that_is_not_what_the_config_says_is_refused() {
    let corpus = need_corpus!("a_layer_that_is_not_what_the_config_says_is_refused");
    need_tools!(
        "a_layer_that_is_not_what_the_config_says_is_refused",
        "docker-registry",
        "skopeo",
        "umoci",
        "jq"
    );
    let folder = peers::scratch();
    let layout = folder.path().join("layout");
    peers::run(Command::new("cp").arg("-r").arg(corpus.join("busybox")).arg(&layout));
    rewrite_diff_id(&layout);
    let registry = DockerRegistry::start("plain");
    registry.fill(&layout, "lies");
    let store = Store::new();
    let image = format!("{}/lies:latest", registry.host());
    store.fails(1, &["layer 0", &format!("sha256:{}", "0".repeat(64))], &["run", &image, "true"]);
}

#[test]
fn a_full_disk_is_named_and_left_clean() {
    let corpus = need_corpus!("a_full_disk_is_named_and_left_clean");
    need_root!("a_full_disk_is_named_and_left_clean");
    need_tools!("a_full_disk_is_named_and_left_clean", "docker-registry", "skopeo", "unshare");
    let (_registry, image) = busybox(&corpus);
    // One file system too small for the blob, one too small for the root.
    for size in ["512k", "2m"] {
        let store = Store::new();
        let script = format!(
            "mount -t tmpfs -o size={size} none {root} && {program} --root {root} run {image} true; code=$?;
             find {root} -type f -size +100k; ls {root}/containers 2>/dev/null; exit $code",
            root = store.0.path().display(),
            program = env!("CARGO_BIN_EXE_oci-run"),
        );
        let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).output().unwrap();
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("error: ") && errors.contains("No space left on device"), "{errors}");
        let left: Vec<_> = text(&output.stdout)
            .lines()
            .filter(|line| !line.contains("/images/blobs/"))
            .map(String::from)
            .collect();
        assert_eq!(left, Vec::<String>::new(), "left behind on {size}");
    }
}

#[test]
fn a_signal_ends_the_container_and_its_folder() {
    let corpus = need_corpus!("a_signal_ends_the_container_and_its_folder");
    need_tools!("a_signal_ends_the_container_and_its_folder", "docker-registry", "skopeo");
    let (_registry, image) = busybox(&corpus);
    let store = Store::new();
    let script = "trap 'echo ended; exit 3' TERM; echo ready; while :; do sleep 0.1; done";
    let mut child =
        store.command(&["run", &image, "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "ended");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    store.nothing_left();
}

#[test]
fn two_containers_cannot_have_one_name() {
    let corpus = need_corpus!("two_containers_cannot_have_one_name");
    need_tools!("two_containers_cannot_have_one_name", "docker-registry", "skopeo");
    let (_registry, image) = busybox(&corpus);
    let store = Store::new();
    let mut first = store.command(&["run", "-i", "--name", "one", &image, "sh", "-c", "echo ready; cat"]);
    let mut first = first.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(first.stdout.take().unwrap()));
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let second = store.run(&["run", "--name", "one", &image, "true"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("\"one\""), "{}", text(&second.stderr));
    drop(first.stdin.take());
    assert!(first.wait().unwrap().success());
    assert_eq!(store.prints(&["run", "--name", "one", &image, "echo", "free again"]), "free again\n");
    store.fails(1, &["name"], &["run", "--name", "../out", &image, "true"]);
    store.nothing_left();
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

/// The digest of a layout's only manifest.
fn manifest_of(layout: &Path) -> String {
    json(&layout.join("index.json"))["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

/// The digest of the only layer of a layout's only image.
fn layer_of(layout: &Path) -> String {
    let manifest = json(&blob(layout, &manifest_of(layout)));
    manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
}

/// Makes a layout's image claim that its layer unpacks to other bytes than it does.
fn rewrite_diff_id(layout: &Path) {
    let put = |document: &serde_json::Value| {
        let bytes = serde_json::to_vec(document).unwrap();
        let digest = oci_digest::digest_of(oci_digest::Algorithm::Sha256, &bytes).to_string();
        fs::write(blob(layout, &digest), &bytes).unwrap();
        (digest, bytes.len())
    };
    let mut manifest = json(&blob(layout, &manifest_of(layout)));
    let mut config = json(&blob(layout, manifest["config"]["digest"].as_str().unwrap()));
    config["rootfs"]["diff_ids"][0] = format!("sha256:{}", "0".repeat(64)).into();
    let (digest, size) = put(&config);
    manifest["config"]["digest"] = digest.into();
    manifest["config"]["size"] = size.into();
    let (digest, size) = put(&manifest);
    let mut index = json(&layout.join("index.json"));
    index["manifests"][0]["digest"] = digest.into();
    index["manifests"][0]["size"] = size.into();
    fs::write(layout.join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
}
