use std::ffi::CString;
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::process::{Gid, Uid};

use super::{Descriptors, Surroundings, cgroup_mount, open_proc};
use crate::plan::{IdMap, InRoot, Mount as PlannedMount, MountKind, Plan, Propagation};
use crate::step::{Keep, Mount, Source, Step};
use crate::sys::call::{Fd, MountAttr};
use crate::sys::stub::REPORT_FD;
use crate::{Error, Result};

/// Where the tail finds its descriptors, beside [`REPORT_FD`].
pub(super) const START_FD: Fd = 4;
pub(super) const STATUS_FD: Fd = 5;
pub(super) const OOM_SCORE_FD: Fd = 6;

const CAP_MKNOD: u32 = 27;

/// The steps of the child and the number of its socket.
pub(super) fn build(
    plan: &Plan,
    around: &Surroundings<'_>,
    program: Fd,
    descriptors: &mut Descriptors,
) -> Result<(Vec<Step>, Fd)> {
    let socket = descriptors.add(around.socket)?;
    let mut keep = vec![(Keep::Given(socket), REPORT_FD)];
    if let Some((start, status)) = around.gate {
        keep.push((Keep::Given(descriptors.add(start)?), START_FD));
        keep.push((Keep::Given(descriptors.add(status)?), STATUS_FD));
    }
    let mut steps = Vec::with_capacity(64);
    // Numbers are known only when all descriptors are there: filled in at the end.
    steps.push(Step::CloseOthers(Vec::new()));
    steps.push(Step::DefaultSignals);
    for tasks in around.cgroup.iter().flat_map(|join| &join.tasks) {
        steps.push(Step::EnterCgroup(descriptors.add(tasks)?));
    }
    steps.push(Step::AwaitCaller);
    if plan.process.oom_score_adj.is_some() {
        steps.push(Step::OpenOomScore { proc: descriptors.add(open_proc()?)? });
        keep.push((Keep::OomScore, OOM_SCORE_FD));
    }
    for join in &plan.namespaces.join {
        let file = File::open(&join.path).map_err(|error| {
            Error::io(format!("open the {} namespace {}", join.name, join.path.display()), error)
        })?;
        steps.push(Step::Join { namespace: descriptors.add(file)?, kind: join.kind, name: join.name });
    }
    if plan.namespaces.is_new(libc::CLONE_NEWCGROUP) {
        steps.push(Step::NewCgroupNamespace);
    }
    steps.push(Step::NewSession);
    for (to, from) in (0..).zip(&around.stdio) {
        if let Some(from) = from {
            steps.push(Step::Stdio { from: descriptors.add(from)?, to });
        }
    }
    for (which, (pipe, from)) in (0..).zip(around.pipes.iter().zip(&around.stdio)) {
        if let (true, Some(from)) = (pipe, from) {
            steps.extend(own_pipe(plan, around, *from, which)?);
        }
    }
    if plan.namespaces.is_new(libc::CLONE_NEWNET) {
        steps.push(Step::Loopback);
    }
    steps.extend(plan.hostname.iter().cloned().map(Step::Hostname));
    steps.extend(plan.domainname.iter().cloned().map(Step::Domainname));
    for sysctl in &plan.sysctl {
        let (name, path, value) = (sysctl.name.clone(), sysctl.path.clone(), sysctl.value.clone());
        steps.push(Step::Sysctl { name, path, value });
    }
    root(plan, around, &mut steps)?;
    steps.push(Step::FindProgram(plan.process.candidates.clone()));
    steps.push(Step::KeepCapabilities { last: around.caller.last_capability });
    steps.push(Step::Execute { program, keep });
    if let Some(Step::CloseOthers(ranges)) = steps.first_mut() {
        *ranges = descriptors.others();
    }
    Ok((steps, socket))
}

/// A pipe that stands for a standard stream is given to the container's user, who may want to open /dev/stdout.
///
/// By who has the right to: the caller if it may change owners, or else the root of the user namespace, where the
/// pipe belongs to somebody of its own.
fn own_pipe(plan: &Plan, around: &Surroundings<'_>, pipe: BorrowedFd<'_>, which: Fd) -> Result<Option<Step>> {
    const CAP_CHOWN: u32 = 0;
    let (uid, gid) = (plan.process.uid, plan.process.gid);
    if !around.caller.has(CAP_CHOWN) {
        return Ok(Some(Step::OwnStdio { which, uid, gid }));
    }
    let (uid, gid) = (outside(&plan.namespaces.uids, uid), outside(&plan.namespaces.gids, gid));
    rustix::fs::fchown(pipe, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .map_err(|error| Error::io(format!("give a pipe to {uid}:{gid}"), error))?;
    Ok(None)
}

/// The caller's name for an id of the container.
fn outside(maps: &[IdMap], id: u32) -> u32 {
    let map = maps.iter().find(|map| id >= map.container && id - map.container < map.size);
    map.map_or(id, |map| map.host + (id - map.container))
}

/// The steps that make the root and change to it.
fn root(plan: &Plan, around: &Surroundings<'_>, steps: &mut Vec<Step>) -> Result<()> {
    let follows = |mount: &PlannedMount| {
        mount.propagation.iter().any(|(flag, _)| matches!(*flag, libc::MS_SLAVE | libc::MS_SHARED))
    };
    let slave = plan.propagation.flag == libc::MS_SLAVE || plan.mounts.iter().any(follows);
    // A slave receives what the host mounts later; nobody's default.
    let first = if slave { libc::MS_SLAVE } else { libc::MS_PRIVATE };
    steps.push(Step::Propagation(Propagation { flag: first, recursive: true }));
    let path = plan.rootfs.canonicalize();
    let path = path.map_err(|error| Error::io(format!("find the root {}", plan.rootfs.display()), error))?;
    let path = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
    steps.push(Step::Root { path, no_devices: !rules_hold(plan, around) && !has_nodes(plan) });
    if !around.caller.is_mapped(plan) {
        // The root, or whoever is the first that there is.
        let first = |maps: &[IdMap]| maps.iter().map(|map| map.container).min().unwrap_or(0);
        let (uid, gid) = (first(&plan.namespaces.uids), first(&plan.namespaces.gids));
        steps.push(Step::Become { uid, gid });
    }
    if !plan.masked.is_empty() {
        steps.push(Step::OpenNull);
    }
    for mount in &plan.mounts {
        match &mount.kind {
            MountKind::Cgroup => cgroup_mount::steps(mount, plan, around.hierarchy, steps),
            MountKind::New { file_system, parameters } => {
                // What is mounted at the name /proc or /sys must be there: a link would put it elsewhere.
                let strict = matches!(file_system.to_bytes(), b"proc" | b"sysfs");
                let resolve = if strict { libc::RESOLVE_NO_SYMLINKS } else { 0 };
                let source = Source::New { file_system: file_system.clone(), parameters: parameters.clone() };
                steps.push(Step::Mount(step(mount, source, resolve)));
            }
            MountKind::Bind { source, recursive } => {
                let source = Source::Bind { path: source.clone(), recursive: *recursive };
                let mut mount = step(mount, source, 0);
                if slave && mount.propagation.is_empty() && plan.propagation.flag != libc::MS_SLAVE {
                    mount.propagation.push((libc::MS_PRIVATE, true));
                }
                steps.push(Step::Mount(mount));
            }
        }
    }
    // Nodes can only be made by who may do so outside of any user namespace.
    let may_make = around.caller.has(CAP_MKNOD)
        && !plan.namespaces.is_new(libc::CLONE_NEWUSER)
        && crate::own_ids::in_initial_user_namespace();
    for device in &plan.devices {
        let pipe = device.kind == crate::plan::DeviceKind::Pipe;
        let device = device.clone();
        steps.push(if may_make || pipe { Step::Node(device) } else { Step::BindNode(device) });
    }
    for (content, at) in &plan.links {
        steps.push(Step::Link { content: content.clone(), at: at.clone() });
    }
    if !plan.process.cwd.parts.is_empty() {
        steps.push(Step::MakeFolder(plan.process.cwd.clone()));
    }
    steps.extend(plan.read_only_paths.iter().cloned().map(Step::ReadOnly));
    steps.extend(plan.masked.iter().cloned().map(Step::Mask));
    if plan.read_only {
        steps.push(Step::RootReadOnly);
    }
    steps.push(Step::Pivot);
    if plan.propagation.flag != first {
        steps.push(Step::RootPropagation(plan.propagation));
    }
    steps.push(Step::Cwd(plan.process.cwd.clone()));
    Ok(())
}

/// Whether the kernel asks rules before a device is opened. Without them an image's own node of a disk would be the
/// disk, for root inside.
fn rules_hold(plan: &Plan, around: &Surroundings<'_>) -> bool {
    let rules = plan.resources.as_ref().and_then(|resources| resources.devices().as_ref());
    around.cgroup.is_some()
        && around.hierarchy.can_limit_devices()
        && rules.is_some_and(|rules| !rules.is_empty())
}

/// Whether a node of the plan lies in the root itself, and not in a file system that is mounted there.
fn has_nodes(plan: &Plan) -> bool {
    plan.devices.iter().any(|device| {
        let mounted = |path| plan.mounts.iter().any(|mount| mount.target.whole == path);
        !device.path.parts.iter().any(|part| mounted(part.path.clone()))
    })
}

fn step(mount: &PlannedMount, source: Source, resolve: u64) -> Mount {
    Mount {
        source,
        target: mount.target.clone(),
        resolve,
        attr: mount.attr,
        deep: mount.deep,
        propagation: mount.propagation.clone(),
        make: true,
        copy_up: mount.copy_up,
    }
}

/// A mount without anything special.
pub(super) fn plain(source: Source, target: InRoot, set: u64) -> Step {
    let attr = MountAttr { set, ..MountAttr::default() };
    Step::Mount(Mount {
        source,
        target,
        resolve: 0,
        attr,
        deep: MountAttr::default(),
        propagation: Vec::new(),
        make: true,
        copy_up: None,
    })
}
