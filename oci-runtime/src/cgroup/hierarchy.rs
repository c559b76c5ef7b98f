use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode as FileMode, OFlags};

use super::file;
use crate::{Error, Problem, Result};

/// `CGROUP_SUPER_MAGIC` of `linux/magic.h`: a version 1 hierarchy.
const V1_MAGIC: u64 = 0x0027_e0eb;
/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`: the unified hierarchy.
const V2_MAGIC: u64 = 0x6367_7270;
/// mountinfo of a machine with many thousands of mounts still fits; what is larger is not read.
const MOUNTINFO_CAP: u64 = 64 << 20;

/// The control group trees this process can see, and its own place in each.
///
/// Read with [`Hierarchy::detect`]; a value stays true as long as nobody mounts or unmounts cgroup file systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    pub(super) unified: Option<Tree>,
    pub(super) v1: Vec<Tree>,
}

/// How the machine arranges its controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// No cgroup file system is mounted where this process can see it.
    Absent,
    /// Only version 1 hierarchies.
    V1,
    /// Only the unified hierarchy.
    V2,
    /// Version 1 hierarchies beside a unified one; each controller is in exactly one of them.
    Hybrid,
}

/// One mounted tree: the unified one, or a version 1 hierarchy with its co-mounted controllers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    /// Where it is mounted.
    pub(super) mount: PathBuf,
    /// This process's own cgroup, as a path below `mount`; empty for the mount's root.
    pub(super) own: PathBuf,
    /// Controllers; a named hierarchy has `name=…` here.
    pub(super) controllers: Vec<String>,
    pub(super) v2: bool,
}

impl Hierarchy {
    /// Reads `/proc/self/mountinfo` and `/proc/self/cgroup`, and checks with `statfs` that each mount point still
    /// shows the file system it is listed with (a later mount may hide it).
    ///
    /// # Errors
    /// [`Error::Io`] when `/proc` cannot be read. A machine without cgroups is not an error: see
    /// [`Mode::Absent`].
    pub fn detect() -> Result<Self> {
        let mountinfo = file::read_path(Path::new("/proc/self/mountinfo"), MOUNTINFO_CAP)?;
        let own = file::read_path(Path::new("/proc/self/cgroup"), MOUNTINFO_CAP)?;
        Ok(Self::parse(&mountinfo, &own, is_cgroup_mount))
    }

    /// The pure part of [`detect`](Self::detect): `is_visible(mount point, is v2)` confirms a mount.
    pub(super) fn parse(mountinfo: &str, own: &str, is_visible: impl Fn(&Path, bool) -> bool) -> Self {
        let mounts: Vec<MountLine> = mountinfo.lines().filter_map(MountLine::parse).collect();
        let mut found = Self { unified: None, v1: Vec::new() };
        for line in own.lines() {
            // proc_pid_cgroup(5): `hierarchy-ID:controller-list:cgroup-path`; the path may hold colons.
            let mut fields = line.splitn(3, ':');
            let (Some(id), Some(list), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let v2 = id == "0" && list.is_empty();
            let controllers: Vec<String> =
                list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            if !v2 && controllers.is_empty() {
                continue;
            }
            let mount = mounts.iter().rev().find(|mount| {
                mount.v2 == v2
                    && controllers.iter().all(|name| mount.options.iter().any(|o| o == name))
                    && is_visible(&mount.point, v2)
            });
            let Some(mount) = mount else { continue };
            let mut tree =
                Tree { mount: mount.point.clone(), own: below(&mount.root, path), controllers, v2 };
            if v2 {
                // Only what the mount's root offers can ever be enabled below it.
                tree.controllers = file::read_path(&tree.mount.join("cgroup.controllers"), 4096)
                    .unwrap_or_default()
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect();
                found.unified = Some(tree);
            } else {
                found.v1.push(tree);
            }
        }
        found
    }

    /// Whether the controllers are in version 1 hierarchies, the unified one, or both.
    pub fn mode(&self) -> Mode {
        match (self.v1.is_empty(), self.unified.is_some()) {
            (true, false) => Mode::Absent,
            (false, false) => Mode::V1,
            (true, true) => Mode::V2,
            (false, true) => Mode::Hybrid,
        }
    }

    /// Every controller and the mount point of the tree it is in; named version 1 hierarchies appear as `name=…`.
    pub fn controllers(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.trees()
            .flat_map(|tree| tree.controllers.iter().map(|name| (name.as_str(), tree.mount.as_path())))
    }

    /// Where the unified tree is mounted.
    pub fn unified_mount(&self) -> Option<&Path> {
        self.unified.as_ref().map(|tree| tree.mount.as_path())
    }

    /// Where this process itself is, in the tree of `controller`, as an absolute folder.
    pub fn own_folder(&self, controller: &str) -> Option<PathBuf> {
        self.tree_of(controller).map(|tree| tree.mount.join(&tree.own))
    }

    /// Whether device access can be limited by rules: the version 1 controller `devices` is mounted writable.
    pub fn can_limit_devices(&self) -> bool {
        self.v1.iter().filter(|tree| tree.has("devices")).any(|tree| {
            rustix::fs::statvfs(&tree.mount)
                .is_ok_and(|stat| !stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
        })
    }

    pub(super) fn trees(&self) -> impl Iterator<Item = &Tree> {
        self.v1.iter().chain(&self.unified)
    }

    /// The tree that holds `controller`. A controller is in one tree only; the unified one is asked first because
    /// `cgroup.controllers` is the kernel's word, while a version 1 mount could be a stale bind mount.
    pub(super) fn tree_of(&self, controller: &str) -> Option<&Tree> {
        self.unified.iter().chain(&self.v1).find(|tree| tree.has(controller))
    }
}

impl Tree {
    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }
}

/// The fields of one line of mountinfo that matter here.
struct MountLine {
    root: String,
    point: PathBuf,
    v2: bool,
    options: Vec<String>,
}

impl MountLine {
    /// proc_pid_mountinfo(5): `id parent major:minor root point options [optional…] - type source super-options`.
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let v2 = match after.next()? {
            "cgroup" => false,
            "cgroup2" => true,
            _ => return None,
        };
        let options = after.nth(1)?.split(',').map(str::to_owned).collect();
        Some(Self { root: unescape(root), point: PathBuf::from(unescape(point)), v2, options })
    }
}

/// Undoes the kernel's `\040`-style octal escapes of space, tab, newline and backslash.
fn unescape(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] = rest {
            bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = after;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Translates the path of `/proc/self/cgroup` to one below a mount whose root is `root`.
///
/// A path outside of the mount (a bind mount of another part, or `/..` as seen from inside a cgroup namespace) has no
/// name here; the mount's root then stands for it.
fn below(root: &str, path: &str) -> PathBuf {
    let path = Path::new(path);
    let inside = path.strip_prefix(root).unwrap_or(Path::new(""));
    if inside.components().all(|part| matches!(part, Component::Normal(_))) {
        inside.to_owned()
    } else {
        PathBuf::new()
    }
}

fn is_cgroup_mount(point: &Path, v2: bool) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = rustix::fs::open(point, flags, FileMode::empty()) else { return false };
    let Ok(stat) = rustix::fs::fstatfs(folder.as_fd()) else { return false };
    // The field's type and sign differ between architectures; the magic numbers fit in 31 bits.
    u64::try_from(stat.f_type).is_ok_and(|magic| magic == if v2 { V2_MAGIC } else { V1_MAGIC })
}

/// What a cgroupsPath of the spec asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// From the root of each tree.
    Absolute(PathBuf),
    /// Below this process's own cgroup.
    Relative(PathBuf),
}

impl Place {
    /// Checks `linux.cgroupsPath`; without one the place is `oci-runtime-<id>` below the own cgroup: one folder, so
    /// that containers which come and go at the same time share no parent that one of them could remove.
    ///
    /// runtime-spec config-linux.md, Cgroups Path: an absolute path MUST be taken relative to the mount point, a
    /// relative one MAY be interpreted relative to a place the runtime chooses.
    pub(super) fn parse(path: Option<&Path>, id: &str) -> Result<Self> {
        let invalid =
            |reason: &str| Error::Spec { problems: vec![Problem::new("/linux/cgroupsPath", reason)] };
        let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
            if id.is_empty() || id.contains(['/', '\n', '\0']) {
                return Err(invalid("the container's id cannot be used as a cgroup name"));
            }
            return Ok(Self::Relative(PathBuf::from(format!("oci-runtime-{id}"))));
        };
        let mut clean = PathBuf::new();
        for part in path.components() {
            match part {
                Component::Normal(name) => {
                    if name.as_encoded_bytes().contains(&b'\n') {
                        return Err(invalid("a cgroup's name must not contain a newline"));
                    }
                    if name.len() > 255 {
                        return Err(invalid("a cgroup's name is longer than 255 bytes"));
                    }
                    clean.push(name);
                }
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(invalid("must not contain `..`"));
                }
            }
        }
        if clean.as_os_str().is_empty() {
            return Err(invalid("names no cgroup of the container's own"));
        }
        if clean.to_str().is_some_and(is_systemd_path) {
            return Err(invalid(
                "is in the systemd driver's form `slice:prefix:name`; only the cgroupfs driver is here",
            ));
        }
        Ok(if path.is_absolute() { Self::Absolute(clean) } else { Self::Relative(clean) })
    }
}

/// `slice:prefix:name`, which tools pass when they expect the systemd driver.
fn is_systemd_path(path: &str) -> bool {
    !path.contains('/') && path.split(':').count() == 3
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
23 1 0:20 / / rw - ext4 /dev/root rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw,relatime - cgroup2 cgroup2 rw
";
    const OWN: &str = "9:name=systemd:/\n4:memory:/a/b:c\n3:cpuset:/\n2:cpu,cpuacct:/x\n0::/../elsewhere\n";

    #[test]
    fn parses_a_hybrid_machine() {
        let found = Hierarchy::parse(HYBRID, OWN, |_, _| true);
        assert_eq!(found.mode(), Mode::Hybrid);
        let own = |name| found.own_folder(name);
        assert_eq!(own("memory"), Some("/sys/fs/cgroup/memory/a/b:c".into()));
        assert_eq!(own("cpuacct"), Some("/sys/fs/cgroup/cpu,cpuacct/x".into()));
        assert_eq!(own("name=systemd"), Some("/sys/fs/cgroup/systemd/".into()));
        // Not mounted, although the kernel knows it.
        assert_eq!(own("cpuset"), None);
        let unified = found.unified.as_ref().unwrap();
        assert_eq!(unified.mount, Path::new("/sys/fs/cgroup/uni fied"));
        assert_eq!(unified.own, Path::new(""));
        assert!(!found.can_limit_devices());
    }

    #[test]
    fn hidden_mounts_do_not_count() {
        let found = Hierarchy::parse(HYBRID, OWN, |point, v2| v2 && point.ends_with("uni fied"));
        assert_eq!(found.mode(), Mode::V2);
        let found = Hierarchy::parse(HYBRID, OWN, |_, v2| !v2);
        assert_eq!(found.mode(), Mode::V1);
        let found = Hierarchy::parse(HYBRID, OWN, |_, _| false);
        assert_eq!(found.mode(), Mode::Absent);
        assert_eq!(Hierarchy::parse("garbage\n\n- - -", "::\n1\n", |_, _| true).mode(), Mode::Absent);
    }

    #[test]
    fn own_path_is_relative_to_the_mounts_root() {
        for (root, path, expected) in [
            ("/", "/", ""),
            ("/", "/a/b", "a/b"),
            ("/docker/x", "/docker/x/y", "y"),
            ("/docker/x", "/docker/x", ""),
            ("/docker/x", "/other", ""),
            ("/", "/../..", ""),
        ] {
            assert_eq!(below(root, path), Path::new(expected), "{root} {path}");
        }
    }

    #[test]
    fn places() {
        let parse = |path: &str| Place::parse(Some(Path::new(path)), "id");
        assert_eq!(parse("/a//b/./c").unwrap(), Place::Absolute("a/b/c".into()));
        assert_eq!(parse("a/b").unwrap(), Place::Relative("a/b".into()));
        assert_eq!(parse("").unwrap(), Place::Relative("oci-runtime-id".into()));
        assert_eq!(Place::parse(None, "x").unwrap(), Place::Relative("oci-runtime-x".into()));
        for bad in ["/", ".", "/../x", "a/../../b", "a\nb", "user.slice:pod:name"] {
            let error = parse(bad).unwrap_err();
            assert!(error.to_string().contains("/linux/cgroupsPath"), "{bad}: {error}");
        }
        assert!(Place::parse(None, "a/b").is_err());
    }

    #[test]
    fn detects_this_machine() {
        // Whatever the machine has, every tree that is found is one.
        let found = Hierarchy::detect().unwrap();
        for tree in found.trees() {
            assert!(is_cgroup_mount(&tree.mount, tree.v2), "{tree:?}");
        }
    }
}
