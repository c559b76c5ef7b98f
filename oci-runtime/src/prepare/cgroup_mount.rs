use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::steps::plain;
use crate::cgroup::{Hierarchy, Mode};
use crate::plan::{InRoot, Mount, Plan, Problems};
use crate::step::{Source, Step};

/// The steps of a mount of type `cgroup`: the unified tree, or a folder with one mount for every hierarchy.
///
/// With a cgroup namespace the trees are mounted anew and show the container's groups as their roots. Without one
/// the host's are bound, always read-only: the host's groups lie open there.
pub(super) fn steps(mount: &Mount, plan: &Plan, hierarchy: &Hierarchy, steps: &mut Vec<Step>) {
    let own = plan.namespaces.has(libc::CLONE_NEWCGROUP);
    if hierarchy.mode() == Mode::Absent {
        steps.push(plain(new("tmpfs", &[("mode", Some("755"))]), mount.target.clone(), mount.attr.set));
        return;
    }
    if !own {
        let path = c"/sys/fs/cgroup".into();
        let mut step = plain(Source::Bind { path, recursive: true }, mount.target.clone(), mount.attr.set);
        if let Step::Mount(bind) = &mut step {
            bind.deep.set |= libc::MOUNT_ATTR_RDONLY;
        }
        steps.push(step);
        return;
    }
    if hierarchy.mode() == Mode::V2 {
        steps.push(plain(new("cgroup2", &[]), mount.target.clone(), mount.attr.set));
        return;
    }
    let writable = mount.attr.set & !libc::MOUNT_ATTR_RDONLY;
    steps.push(plain(new("tmpfs", &[("mode", Some("755"))]), mount.target.clone(), writable));
    let mut trees: BTreeMap<PathBuf, Vec<&str>> = BTreeMap::new();
    for (controller, at) in hierarchy.controllers() {
        trees.entry(at.to_path_buf()).or_default().push(controller);
    }
    let unified = hierarchy.unified_mount();
    let mut links = Vec::new();
    for (at, controllers) in &trees {
        if unified == Some(at.as_path()) {
            continue;
        }
        let Some(name) = at.file_name() else { continue };
        let mut options: Vec<_> = controllers
            .iter()
            .map(|controller| match controller.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (*controller, None),
            })
            .collect();
        // A named hierarchy without controllers must be asked for as such.
        if options.iter().all(|(key, _)| *key == "name") {
            options.insert(0, ("none", None));
        }
        steps.push(plain(new("cgroup", &options), below(&mount.target, name), mount.attr.set));
        // `cpu` beside `cpu,cpuacct`, as hosts have it.
        for controller in
            controllers.iter().filter(|controller| controllers.len() > 1 && !controller.contains('='))
        {
            links.push((name.as_bytes().to_vec(), below(&mount.target, OsStr::new(controller))));
        }
    }
    if let Some(name) = unified.and_then(Path::file_name) {
        steps.push(plain(new("cgroup2", &[]), below(&mount.target, name), mount.attr.set));
    }
    for (content, at) in links {
        steps.push(Step::Link { content: CString::new(content).unwrap_or_default(), at });
    }
    if mount.attr.set & libc::MOUNT_ATTR_RDONLY != 0 {
        steps.push(Step::FolderReadOnly(mount.target.clone()));
    }
}

fn new(file_system: &str, options: &[(&str, Option<&str>)]) -> Source {
    let text = |text: &str| CString::new(text).unwrap_or_default();
    Source::New {
        file_system: text(file_system),
        parameters: options.iter().map(|(key, value)| (text(key), value.map(text))).collect(),
    }
}

fn below(target: &InRoot, name: &OsStr) -> InRoot {
    let path = Path::new(&target.to_string()).join(name);
    InRoot::new(&path, "", &mut Problems::default())
}
