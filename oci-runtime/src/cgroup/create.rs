use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;
use rustix::fs::Mode as FileMode;
use rustix::io::Errno;

use super::file::{Folder, failed};
use super::hierarchy::{Hierarchy, Mode, Place, Tree};
use super::settings::{Setting, compile};
use super::{Cgroup, Node, collect_pids};
use crate::{Error, Result};

/// Controllers that are enabled on a pure version 2 machine even without a limit, for statistics and later changes.
const WELCOME: &[&str] = &["cpu", "cpuset", "io", "memory", "pids"];
/// How often a path is walked anew when a folder on the way is removed meanwhile.
const ATTEMPTS: u32 = 16;

impl Cgroup {
    /// Makes the group in every tree and writes the limits.
    ///
    /// `path` is `linux.cgroupsPath`: absolute ones start at each tree's root, relative ones below this process's own
    /// group, and without one the group is `oci-runtime-<id>` there. On version 2, processes of the own group may
    /// forbid controllers below it (the "no internal processes" rule); the group is then made beside it.
    ///
    /// `Ok(None)`: no limit was asked for, no path was given, and this user may not make groups anywhere.
    ///
    /// # Errors
    /// [`Error::Spec`] for a path that is not well-formed and for every resource in
    /// [`unsupported`](super::unsupported); [`Error::Unsupported`] when a limit was asked for and the caller may not
    /// make a group in its controller's tree, when a path was given and there is no tree, or when the group of that
    /// name has processes already; [`Error::Io`] naming
    /// the file and the value when the kernel refuses. Folders made until then are removed again.
    pub fn create(
        hierarchy: &Hierarchy,
        id: &str,
        path: Option<&Path>,
        resources: Option<&LinuxResources>,
    ) -> Result<Option<Self>> {
        let place = Place::parse(path, id)?;
        let settings = match resources {
            Some(resources) => {
                let compiled = compile(resources, hierarchy);
                if !compiled.problems.is_empty() {
                    return Err(Error::Spec { problems: compiled.problems });
                }
                compiled.settings
            }
            None => Vec::new(),
        };
        let mut cgroup = Self { nodes: Vec::new() };
        match cgroup.fill(hierarchy, &place, &settings) {
            Ok(None) => {
                // Going on without a group that was asked for by name would be an omission.
                if let Some(path) = path.filter(|_| cgroup.nodes.is_empty()) {
                    return Err(Error::Unsupported {
                        what: format!("cgroup {}", path.display()),
                        reason: "no cgroup file system is mounted".to_owned(),
                    });
                }
            }
            Ok(Some(refusal)) if cgroup.nodes.is_empty() => {
                return if path.is_some() { Err(refusal) } else { Ok(None) };
            }
            Ok(Some(_)) => {}
            Err(error) => {
                // The first failure is the one to tell; what cannot be removed stays empty and harmless.
                let _ = cgroup.remove_folders();
                return Err(error);
            }
        }
        Ok((!cgroup.nodes.is_empty()).then_some(cgroup))
    }

    /// What [`create`](Self::create) may make now, to be destroyed if the caller does not come to say what it made.
    pub(crate) fn planned(hierarchy: &Hierarchy, id: &str, path: Option<&Path>) -> Result<Self> {
        let place = Place::parse(path, id)?;
        let mut nodes = Vec::new();
        for tree in hierarchy.trees() {
            for path in candidates(tree, &place, true) {
                let mut at = tree.mount.clone();
                let on_the_way = path.iter().map(|name| {
                    at.push(name);
                    at.clone()
                });
                let created = on_the_way.filter(|folder| !folder.exists()).collect();
                let controllers = tree.controllers.clone();
                nodes.push(Node { folder: tree.mount.join(&path), controllers, v2: tree.v2, created });
            }
        }
        Ok(Self { nodes })
    }

    /// Makes the node of each tree. A tree where the caller may not write and that no limit needs is left out; the
    /// last such refusal is returned.
    fn fill(&mut self, hierarchy: &Hierarchy, place: &Place, settings: &[Setting]) -> Result<Option<Error>> {
        let mut refusal = None;
        for tree in hierarchy.trees() {
            let wanted: Vec<&Setting> = settings
                .iter()
                .filter(|setting| {
                    let core = setting.controller == "cgroup" && tree.v2;
                    core || hierarchy.tree_of(&setting.controller) == Some(tree)
                })
                .collect();
            match self.add_node(tree, hierarchy.mode(), place, &wanted) {
                Ok(()) => {}
                Err(Failure::NotAllowed { path, error }) => {
                    let Some(first) = wanted.first() else {
                        refusal = Some(failed("make cgroup", &path, error));
                        continue;
                    };
                    return Err(Error::Unsupported {
                        what: format!("the limit {}", first.pointer),
                        reason: format!(
                            "this user may not make a cgroup for controller `{}` at {}: {error}",
                            first.controller,
                            path.display()
                        ),
                    });
                }
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        Ok(refusal)
    }

    fn add_node(
        &mut self,
        tree: &Tree,
        mode: Mode,
        place: &Place,
        wanted: &[&Setting],
    ) -> Result<(), Failure> {
        let mut last = None;
        for path in candidates(tree, place, !wanted.is_empty()) {
            let mut node = Node {
                folder: tree.mount.join(&path),
                controllers: tree.controllers.clone(),
                v2: tree.v2,
                created: Vec::new(),
            };
            let result = make(tree, mode, &path, wanted, &mut node);
            let keep = result.is_ok();
            self.nodes.push(node);
            match result {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
            if !keep {
                let _ = self.remove_last();
            }
            if !last.as_ref().is_some_and(Failure::is_occupied) {
                break;
            }
        }
        last.map_or(Ok(()), Err)
    }

    fn remove_last(&mut self) -> Result<()> {
        match self.nodes.pop() {
            Some(node) => Self { nodes: vec![node] }.remove_folders(),
            None => Ok(()),
        }
    }
}

/// Where a group may be, the best place first.
fn candidates(tree: &Tree, place: &Place, limited: bool) -> Vec<PathBuf> {
    match place {
        Place::Absolute(path) => vec![path.clone()],
        Place::Relative(path) => {
            let mut all = vec![tree.own.join(path)];
            // A sibling of the own group, when the own group's processes forbid controllers below it.
            if let Some(parent) = tree.own.parent().filter(|_| tree.v2 && limited) {
                all.push(parent.join(path));
            }
            all
        }
    }
}

enum Failure {
    /// The caller lacks the privilege for this tree.
    NotAllowed {
        path: PathBuf,
        error: io::Error,
    },
    Other(Error),
}

impl Failure {
    fn new(action: &str, path: &Path, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotAllowed { path: path.to_owned(), error }
            }
            _ => Self::Other(failed(action, path, error)),
        }
    }

    /// A group with processes of its own cannot give controllers to groups below it (`EBUSY`).
    fn is_occupied(&self) -> bool {
        matches!(self, Self::Other(Error::Io { source, .. }) if source.kind() == io::ErrorKind::ResourceBusy)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Makes the folders of `path` in `tree`, enables the controllers on the way, and writes the settings.
fn make(tree: &Tree, mode: Mode, path: &Path, wanted: &[&Setting], node: &mut Node) -> Result<(), Failure> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match make_folders(tree, mode, path, wanted, node) {
            // Another container's destroy() took an empty folder on the way: go from the top again.
            Err(Failure::Other(Error::Io { source, .. }))
                if super::is_gone(&source) && attempt < ATTEMPTS && tree.mount.is_dir() => {}
            Err(failure) => return Err(failure),
            Ok(()) => break,
        }
    }
    if node.created.last() != Some(&node.folder) {
        let mut pids = BTreeSet::new();
        collect_pids(&node.folder, &mut pids)?;
        if !pids.is_empty() {
            return Err(Failure::Other(Error::Unsupported {
                what: format!("using cgroup {}", node.folder.display()),
                reason: format!("it exists already and holds {} processes", pids.len()),
            }));
        }
    }
    let folder = node.open()?;
    for setting in wanted {
        write(&folder, node, setting)?;
    }
    Ok(())
}

fn make_folders(
    tree: &Tree,
    mode: Mode,
    path: &Path,
    wanted: &[&Setting],
    node: &mut Node,
) -> Result<(), Failure> {
    let mut at = tree.mount.clone();
    for name in path.iter() {
        let parent_path = at.clone();
        let parent =
            Folder::open(&parent_path).map_err(|error| Failure::new("open cgroup", &parent_path, error))?;
        if tree.v2 {
            enable(&parent, &parent_path, tree, mode, wanted)?;
        }
        at.push(name);
        if !make_folder(&parent, name, &at)? {
            continue;
        }
        if !node.created.contains(&at) {
            node.created.push(at.clone());
        }
        if !tree.v2 && tree.has("cpuset") {
            inherit_cpuset(&parent, &at)?;
        }
    }
    Ok(())
}

/// Whether the folder was made now.
fn make_folder(parent: &Folder<'_>, name: &OsStr, path: &Path) -> Result<bool, Failure> {
    match rustix::fs::mkdirat(parent.fd(), name, FileMode::from_raw_mode(0o755)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(Failure::new("make cgroup", path, error.into())),
    }
}

/// Writes `cgroup.subtree_control` of one folder on the way, so that the one below it has the controllers.
fn enable(
    parent: &Folder<'_>,
    path: &Path,
    tree: &Tree,
    mode: Mode,
    wanted: &[&Setting],
) -> Result<(), Failure> {
    let enabled = parent.read_raw("cgroup.subtree_control").unwrap_or_default();
    let is_enabled = |name: &str| enabled.split_whitespace().any(|there| there == name);
    let wanted = wanted.iter().filter(|set| set.controller != "cgroup" && !is_enabled(&set.controller));
    // On a hybrid machine the unified tree is only for tracking processes; what it holds stays as it is.
    let welcome: &[&str] = if mode == Mode::V2 { WELCOME } else { &[] };
    let mut welcome = welcome.iter().filter(|name| tree.has(name) && !is_enabled(name)).peekable();
    let mut wanted = wanted.peekable();
    if (wanted.peek().is_some() || welcome.peek().is_some()) && is_occupied(parent) {
        return match wanted.next() {
            None => Ok(()),
            Some(setting) => {
                let (controller, pointer) = (&setting.controller, &setting.pointer);
                let what =
                    format!("enable cgroup controller `{controller}` for {pointer} beside the processes of");
                Err(Failure::new(&what, path, Errno::BUSY.into()))
            }
        };
    }
    for setting in wanted {
        parent.write_raw("cgroup.subtree_control", &format!("+{}", setting.controller)).map_err(|error| {
            let file = path.join("cgroup.subtree_control");
            let what =
                format!("enable cgroup controller `{}` for {} in", setting.controller, setting.pointer);
            Failure::new(&what, &file, error)
        })?;
    }
    for name in welcome {
        // A convenience: statistics will be missing, nothing else.
        let _ = parent.write_raw("cgroup.subtree_control", &format!("+{name}"));
    }
    Ok(())
}

/// Whether a version 2 group, not the root of all, has processes.
///
/// The kernel refuses (`EBUSY`) to give memory or io below such a group, but takes cpu and pids: the group becomes the
/// root of a threaded subtree then, and no process can enter the groups below it any more (cgroup-v2.rst, Threads).
fn is_occupied(folder: &Folder<'_>) -> bool {
    // The root of all has no type, and is free of the rule.
    folder.has("cgroup.type")
        && match folder.read_raw("cgroup.procs") {
            Ok(processes) => !processes.is_empty(),
            // A threaded group has threads alone.
            Err(error) => error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()),
        }
}

/// A new cpuset group of version 1 is empty, and nothing can join it before it has CPUs and memory nodes.
fn inherit_cpuset(parent: &Folder<'_>, path: &Path) -> Result<(), Failure> {
    let folder = Folder::open(path).map_err(|error| Failure::new("open cgroup", path, error))?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        // `cgroup.clone_children` may have filled it.
        if !folder.read(file)?.trim().is_empty() {
            continue;
        }
        let value = parent.read(file)?;
        if !value.trim().is_empty() {
            folder.write(file, value.trim())?;
        }
    }
    Ok(())
}

fn write(folder: &Folder<'_>, node: &Node, setting: &Setting) -> Result<(), Failure> {
    let there = setting.files.iter().find(|(file, _)| folder.has(file));
    let Some((file, value)) = there else {
        if setting.optional {
            return Ok(());
        }
        let names: Vec<_> = setting.files.iter().map(|(file, _)| file.as_str()).collect();
        return Err(Failure::Other(Error::Unsupported {
            what: format!("the limit {}", setting.pointer),
            reason: format!(
                "cgroup controller `{}` has no file {} in {}",
                setting.controller,
                names.join(" or "),
                node.folder.display()
            ),
        }));
    };
    folder.write_raw(file, value).map_err(|error| {
        let what = format!("write {value:?} for {} to", setting.pointer);
        Failure::new(&what, &node.folder.join(file), error)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A tree of plain files: `files` in each of `folders`, and what `/proc` would say of it.
    fn faked(
        v2: bool,
        controllers: &str,
        folders: &[&str],
        files: &[&str],
    ) -> (tempfile::TempDir, Hierarchy) {
        let root = tempfile::tempdir().unwrap();
        for folder in folders {
            let folder = root.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            for file in files {
                fs::write(folder.join(file), "").unwrap();
            }
        }
        let mount = root.path().display();
        let (kind, own) = if v2 {
            ("cgroup2", "0::/own\n".to_owned())
        } else {
            ("cgroup", format!("1:{controllers}:/own\n"))
        };
        if v2 {
            fs::write(root.path().join("cgroup.controllers"), controllers.replace(',', " ")).unwrap();
        }
        let mountinfo = format!("9 1 0:9 / {mount} rw - {kind} x rw,{controllers}\n");
        let hierarchy = Hierarchy::parse(&mountinfo, &own, |_, _| true);
        (root, hierarchy)
    }

    fn resources(json: &str) -> LinuxResources {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn writes_version_2() {
        let files = [
            "cgroup.subtree_control",
            "cgroup.procs",
            "memory.max",
            "memory.swap.max",
            "cpu.max",
            "pids.max",
        ];
        let (root, hierarchy) = faked(true, "memory,cpu,pids", &["", "a", "a/b"], &files);
        let wanted =
            resources(r#"{"memory":{"limit":100,"swap":150},"cpu":{"quota":5000},"pids":{"limit":9}}"#);
        let cgroup =
            Cgroup::create(&hierarchy, "x", Some(Path::new("/a/b")), Some(&wanted)).unwrap().unwrap();
        let read = |file: &str| fs::read_to_string(root.path().join(file)).unwrap();
        assert_eq!(read("a/b/memory.max"), "100");
        assert_eq!(read("a/b/memory.swap.max"), "50");
        assert_eq!(read("a/b/cpu.max"), "5000 100000");
        assert_eq!(read("a/b/pids.max"), "9");
        // On the way, never in the group itself: that would forbid processes in it.
        assert!(read("cgroup.subtree_control").starts_with('+'));
        assert!(read("a/cgroup.subtree_control").starts_with('+'));
        assert_eq!(read("a/b/cgroup.subtree_control"), "");
        // What was there before is not ours to remove.
        cgroup.destroy().unwrap();
        assert!(root.path().join("a/b").is_dir());
    }

    #[test]
    fn an_enabled_controller_is_not_enabled_again() {
        let (root, hierarchy) = faked(true, "pids", &["", "a"], &["cgroup.procs", "pids.max"]);
        fs::write(root.path().join("cgroup.subtree_control"), "pids\n").unwrap();
        let wanted = resources(r#"{"pids":{"limit":9}}"#);
        Cgroup::create(&hierarchy, "x", Some(Path::new("/a")), Some(&wanted)).unwrap().unwrap();
        assert_eq!(fs::read_to_string(root.path().join("cgroup.subtree_control")).unwrap(), "pids\n");
    }

    #[test]
    fn a_new_cpuset_has_its_parents_processors() {
        let files = ["cpuset.cpus", "cpuset.mems", "cgroup.procs", "tasks"];
        let (root, hierarchy) = faked(false, "cpuset", &["", "own"], &files);
        for (file, value) in [("own/cpuset.cpus", "0-3\n"), ("own/cpuset.mems", "0\n")] {
            fs::write(root.path().join(file), value).unwrap();
        }
        // A plain folder has no control files when it is made, so the copy is tried on one that is there.
        let child = root.path().join("own/child");
        fs::create_dir(&child).unwrap();
        for file in files {
            fs::write(child.join(file), "").unwrap();
        }
        let own = root.path().join("own");
        let parent = Folder::open(&own).unwrap();
        assert!(inherit_cpuset(&parent, &child).is_ok());
        assert_eq!(fs::read_to_string(child.join("cpuset.cpus")).unwrap(), "0-3");
        assert_eq!(fs::read_to_string(child.join("cpuset.mems")).unwrap(), "0");
        assert_eq!(hierarchy.own_folder("cpuset"), Some(own));
    }

    #[test]
    fn a_missing_file_is_named_and_nothing_stays() {
        let (root, hierarchy) = faked(false, "memory", &[""], &[]);
        let wanted = resources(r#"{"memory":{"limit":100}}"#);
        let path = Path::new("/new/group");
        let error = Cgroup::create(&hierarchy, "x", Some(path), Some(&wanted)).unwrap_err().to_string();
        for part in ["/linux/resources/memory/limit", "`memory`", "memory.limit_in_bytes", "new/group"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!root.path().join("new").exists());
    }

    #[test]
    fn a_group_with_processes_is_not_taken() {
        let (root, hierarchy) = faked(false, "pids", &["taken"], &["cgroup.procs", "pids.max"]);
        fs::write(root.path().join("taken/cgroup.procs"), "12\n13\n").unwrap();
        let error = Cgroup::create(&hierarchy, "x", Some(Path::new("/taken")), None).unwrap_err().to_string();
        assert!(error.contains("taken") && error.contains("2 processes"), "{error}");
        assert!(root.path().join("taken").is_dir());
    }

    #[test]
    fn links_are_not_followed() {
        let (root, hierarchy) = faked(false, "pids", &[""], &[]);
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("link")).unwrap();
        assert!(Cgroup::create(&hierarchy, "x", Some(Path::new("/link/x")), None).is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn without_trees_there_is_no_group() {
        let nothing = Hierarchy::parse("", "", |_, _| true);
        assert_eq!(Cgroup::create(&nothing, "x", None, None).unwrap(), None);
        let named = Cgroup::create(&nothing, "x", Some(Path::new("/x")), None);
        assert!(matches!(named, Err(Error::Unsupported { .. })));
        let wanted = resources(r#"{"pids":{"limit":9}}"#);
        assert!(matches!(Cgroup::create(&nothing, "x", None, Some(&wanted)), Err(Error::Spec { .. })));
    }

    #[test]
    fn many_at_once_share_a_parent() {
        let (root, hierarchy) = faked(false, "pids", &[""], &[]);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let hierarchy = &hierarchy;
                scope.spawn(move || {
                    for round in 0..200 {
                        let path = PathBuf::from(format!("/shared/parent/{thread}-{round}"));
                        let cgroup = Cgroup::create(hierarchy, "x", Some(&path), None).unwrap().unwrap();
                        assert!(cgroup.folders().all(Path::is_dir));
                        cgroup.destroy().unwrap();
                    }
                });
            }
        });
        assert!(fs::read_dir(root.path()).unwrap().count() <= 1);
    }
}
