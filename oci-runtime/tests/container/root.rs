//! The root file system, the spec and the state folder that all checks use.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use oci_runtime::spec::ImageOptions;
use oci_runtime::{Bundle, Container, Error, ExitStatus, Options, Result, Stdio};
use serde_json::{Value, json};

#[derive(Debug)]
pub(crate) struct House {
    folder: tempfile::TempDir,
    pub(crate) root: PathBuf,
    pub(crate) state: PathBuf,
    /// Why there can be no containers here.
    pub(crate) impossible: Option<String>,
    next: AtomicU32,
}

impl House {
    pub(crate) fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let root = folder.path().join("root");
        fill(&root);
        let state = folder.path().join("state");
        let mut house = Self { folder, root, state, impossible: None, next: AtomicU32::new(0) };
        if let Err(Error::Unsupported { what, reason }) = house.run(|_| {}, &["pid"]) {
            house.impossible = Some(format!("{what}: {reason}"));
        }
        house
    }

    /// A fresh folder beside the root, which the container cannot see.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(format!("{name}-{}", self.id()));
        fs::create_dir(&path).unwrap();
        path
    }

    /// A fresh root of its own.
    pub(crate) fn another_root(&self) -> PathBuf {
        let path = self.outside("root");
        fill(&path);
        path
    }

    pub(crate) fn id(&self) -> String {
        format!("c{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn options(&self) -> Options {
        // Control groups have checks of their own.
        Options::new(self.id())
            .rootfs(&self.root)
            .state_root(&self.state)
            .cgroups(false)
            .stdin(Stdio::Null)
            .stdout(Stdio::Pipe)
            .stderr(Stdio::Pipe)
    }

    /// Runs the probe to its end: how it ended and what it printed.
    pub(crate) fn run(&self, edit: impl FnOnce(&mut Value), orders: &[&str]) -> Result<(ExitStatus, String)> {
        self.run_with(edit, orders, |options| options)
    }

    pub(crate) fn run_with(
        &self,
        edit: impl FnOnce(&mut Value),
        orders: &[&str],
        options: impl FnOnce(Options) -> Options,
    ) -> Result<(ExitStatus, String)> {
        let mut spec = spec(orders);
        edit(&mut spec);
        let spec = Bundle::parse(spec.to_string().as_bytes(), "test")?.spec;
        let mut container = Container::run(&spec, options(self.options()))?;
        finish(&mut container)
    }

    /// What stays when nothing is left behind.
    pub(crate) fn is_clean(&self) -> bool {
        Container::list(Some(&self.state)).unwrap().is_empty()
    }
}

pub(crate) fn finish(container: &mut Container) -> Result<(ExitStatus, String)> {
    let mut text = String::new();
    container.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    container.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    let status = container.wait()?;
    container.delete(false)?;
    Ok((status, text))
}

pub(crate) fn is_root() -> bool {
    // SAFETY: no arguments.
    unsafe { libc::geteuid() == 0 }
}

/// Options for images, for whoever runs the tests.
pub(crate) fn image_options() -> ImageOptions {
    if is_root() {
        return ImageOptions::default();
    }
    // SAFETY: no arguments.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    ImageOptions::default().rootless(uid, gid)
}

/// What docker and podman give a container, for whoever runs the tests.
pub(crate) fn spec(orders: &[&str]) -> Value {
    let mut args = vec!["/probe"];
    args.extend(orders);
    let capabilities = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let mut spec = json!({
        "ociVersion": "1.2.0",
        "root": {"path": "root"},
        "hostname": "box",
        "process": {
            "args": args, "cwd": "/", "env": ["PATH=/bin:/", "A=b c"],
            "user": {"uid": 0, "gid": 0},
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "noNewPrivileges": true,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
                "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
                "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}, {"type": "network"},
                {"type": "cgroup"},
            ],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/not/there"],
            "readonlyPaths": ["/proc/bus", "/proc/sys", "/proc/sysrq-trigger"],
        },
    });
    if !is_root() {
        // SAFETY: no arguments.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        spec["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": uid, "size": 1}]);
        spec["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": gid, "size": 1}]);
    }
    spec
}

/// Puts this executable and every shared object that it has mapped into `root`.
fn fill(root: &Path) {
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::create_dir_all(root.join("tmp")).unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut objects: Vec<&str> = maps
        .lines()
        .filter_map(|line| line.split_once('/').map(|(_, path)| path))
        .filter(|path| path.contains(".so"))
        .collect();
    objects.sort_unstable();
    objects.dedup();
    for object in objects {
        let source = Path::new("/").join(object);
        let target = root.join(object);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&source, &target).unwrap();
    }
    // The loader is asked for by another name than it is mapped by.
    for name in ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"] {
        let source = Path::new("/").join(name);
        let target = root.join(name);
        if source.exists() && !target.exists() {
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(source, target).unwrap();
        }
    }
    let probe = root.join("probe");
    fs::copy(std::env::current_exe().unwrap(), &probe).unwrap();
    fs::set_permissions(&probe, fs::Permissions::from_mode(0o755)).unwrap();
}
