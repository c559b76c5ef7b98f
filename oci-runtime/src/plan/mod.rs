//! A checked container: what a runtime spec asks for, with every mistake found and everything parsed.

mod capabilities;
mod devices;
mod mounts;
mod namespaces;
mod path;
mod process;
mod refuse;
mod scheduling;
mod sysctl;

use std::collections::HashMap;
use std::ffi::CString;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxResources, Spec};

use crate::error::{Error, Problem, Result};
use crate::seccomp::{self, Filter};

pub(crate) use capabilities::{Capabilities, is_known as is_capability, names as capability_names};
pub(crate) use devices::{Device, DeviceKind};
pub(crate) use mounts::{Kind as MountKind, Mount, Propagation};
pub(crate) use namespaces::{IdMap, Namespaces};
pub(crate) use path::InRoot;
pub(crate) use process::Process;
pub(crate) use scheduling::Scheduling;
pub(crate) use sysctl::Sysctl;

/// A runtime spec that was understood completely: nothing in it is left to fail for being wrong.
///
/// It is made without privileges and without touching the system; [`explain`](Self::explain) says what a
/// container of it does.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) rootfs: PathBuf,
    pub(crate) read_only: bool,
    /// How the mounts of the container's namespace follow the host's.
    pub(crate) propagation: Propagation,
    pub(crate) namespaces: Namespaces,
    pub(crate) hostname: Option<CString>,
    pub(crate) domainname: Option<CString>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) devices: Vec<Device>,
    /// Symbolic links: content, and where.
    pub(crate) links: Vec<(CString, InRoot)>,
    pub(crate) masked: Vec<InRoot>,
    pub(crate) read_only_paths: Vec<InRoot>,
    pub(crate) sysctl: Vec<Sysctl>,
    pub(crate) seccomp: Option<Filter>,
    pub(crate) process: Process,
    pub(crate) scheduling: Scheduling,
    pub(crate) cgroups_path: Option<PathBuf>,
    pub(crate) resources: Option<LinuxResources>,
    pub(crate) annotations: HashMap<String, String>,
    pub(crate) version: String,
}

impl Plan {
    /// Checks `spec`. Relative paths in it (the root, sources of bind mounts) are below `bundle`, which must be
    /// absolute; `rootfs` stands for the spec's `root.path` where given.
    ///
    /// # Errors
    /// [`Error::Spec`] with every problem of the spec: what is wrong, and what this version cannot apply.
    pub fn resolve(spec: &Spec, bundle: &Path, rootfs: Option<&Path>) -> Result<Self> {
        let mut problems = Problems::default();
        let plan = resolve(spec, bundle, rootfs, &mut problems);
        match plan {
            Some(plan) if problems.0.is_empty() => Ok(plan),
            _ => Err(Error::Spec { problems: problems.0 }),
        }
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, pointer: impl Into<String>, reason: impl Into<String>) {
        self.0.push(Problem::new(pointer, reason));
    }

    pub(crate) fn into_vec(self) -> Vec<Problem> {
        self.0
    }

    /// The text as a C string; a text with a NUL is a problem.
    pub(crate) fn text(&mut self, pointer: &str, text: impl Into<Vec<u8>>) -> CString {
        CString::new(text).unwrap_or_else(|_| {
            self.add(pointer, "holds a NUL byte");
            CString::default()
        })
    }
}

fn resolve(spec: &Spec, bundle: &Path, rootfs: Option<&Path>, problems: &mut Problems) -> Option<Plan> {
    version(spec.version(), problems);
    refuse::everything(spec, problems);
    let rootfs = match (rootfs, spec.root()) {
        (Some(path), _) => bundle.join(path),
        (None, Some(root)) => bundle.join(root.path()),
        (None, None) => {
            problems.add("/root", "is missing");
            PathBuf::new()
        }
    };
    if !rootfs.is_absolute() {
        problems.add("/root/path", "must be absolute, or relative to an absolute bundle");
    }
    let Some(linux) = spec.linux() else {
        problems.add("/linux", "is missing");
        return None;
    };
    let namespaces = namespaces::resolve(linux, problems);
    let propagation = mounts::root_propagation(linux.rootfs_propagation().as_deref(), problems);
    let mounts: Vec<_> = spec.mounts().iter().flatten().collect();
    let mounts = mounts::resolve(&mounts, bundle, &namespaces, problems);
    let (devices, links) = devices::resolve(linux, &mounts, problems);
    let paths = |name: &str, list: &Option<Vec<String>>, problems: &mut Problems| -> Vec<InRoot> {
        let list = list.iter().flatten().enumerate();
        list.map(|(i, path)| {
            let pointer = format!("/linux/{name}/{i}");
            if !path.starts_with('/') {
                problems.add(&pointer, "must be absolute");
            }
            InRoot::new(Path::new(path), &pointer, problems)
        })
        .collect()
    };
    let masked = paths("maskedPaths", linux.masked_paths(), problems);
    let read_only_paths = paths("readonlyPaths", linux.readonly_paths(), problems);
    let sysctl = sysctl::resolve(linux, &namespaces, problems);
    let mut name = |name: &str, value: &Option<String>| {
        let value = value.as_ref()?;
        let pointer = format!("/{name}");
        if !namespaces.has(libc::CLONE_NEWUTS) {
            problems.add(&pointer, "needs a uts namespace of the container's own");
        }
        if value.len() > 64 {
            problems.add(&pointer, "is longer than 64 bytes");
        }
        Some(problems.text(&pointer, value.as_str()))
    };
    let hostname = name("hostname", spec.hostname());
    let domainname = name("domainname", spec.domainname());
    let seccomp = linux.seccomp().as_ref().map(|profile| seccomp::resolve(profile, problems));
    let process = process::resolve(spec.process().as_ref(), &namespaces, problems)?;
    Some(Plan {
        rootfs,
        read_only: spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false),
        propagation,
        namespaces,
        hostname,
        domainname,
        mounts,
        devices,
        links,
        masked,
        read_only_paths,
        sysctl,
        seccomp,
        process,
        scheduling: scheduling::resolve(spec, problems),
        cgroups_path: linux.cgroups_path().clone().filter(|path| !path.as_os_str().is_empty()),
        resources: linux.resources().clone(),
        annotations: spec.annotations().clone().unwrap_or_default(),
        version: spec.version().clone(),
    })
}

/// config.md, Specification version: `ociVersion` MUST be in SemVer format; a 1.x runtime takes every 1.y.
fn version(version: &str, problems: &mut Problems) {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<_> = core.split('.').collect();
    match parts.as_slice() {
        ["1", minor, patch] if number(minor) && number(patch) => {}
        [major, minor, patch] if number(major) && number(minor) && number(patch) => {
            problems.add("/ociVersion", format!("version {version} is not 1.x"));
        }
        _ => problems.add("/ociVersion", format!("{version:?} is not a version")),
    }
}
