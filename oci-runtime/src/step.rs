//! What the child does, one step after the other, with everything that it needs for it.

use std::ffi::CString;
use std::fmt;

use crate::plan::{Device, DeviceKind, InRoot, Propagation};
use crate::sys::call::{Fd, MountAttr};

/// A step of the child. It holds no reference and is never changed: the child only reads it.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Closes every descriptor in the given ranges: all that are not the container's.
    CloseOthers(Vec<(u32, u32)>),
    /// Gives every signal its default action: what the host ignores, a child would ignore too.
    DefaultSignals,
    /// Waits for the caller, who writes down which process this is, and the id maps. If the caller is killed before,
    /// the process ends too: no program runs that nobody knows of.
    AwaitCaller,
    /// Writes `0` to a `tasks` file of a version 1 control group.
    EnterCgroup(Fd),
    /// Opens the child's own `oom_score_adj`, for the tail to write.
    OpenOomScore {
        proc: Fd,
    },
    Join {
        namespace: Fd,
        kind: u64,
        name: &'static str,
    },
    /// After the control groups were entered, so that they are the roots of the namespace.
    NewCgroupNamespace,
    NewSession,
    Stdio {
        from: Fd,
        to: Fd,
    },
    /// Gives the pipes that stand for standard streams to the container's user.
    OwnStdio {
        which: Fd,
        uid: u32,
        gid: u32,
    },
    Loopback,
    Hostname(CString),
    Domainname(CString),
    Propagation(Propagation),
    /// Clones the root's tree and attaches it over itself, which makes it a mount that can become the root.
    ///
    /// With `no_devices`, nodes that the image brought along cannot be opened.
    Root {
        path: CString,
        no_devices: bool,
    },
    /// Takes ids of the user namespace. Only for a child with memory of its own.
    Become {
        uid: u32,
        gid: u32,
    },
    Mount(Mount),
    /// A symbolic link; one that is there already stays.
    Link {
        content: CString,
        at: InRoot,
    },
    /// Opens the host's node that masks and checks what it is.
    OpenNull,
    Node(Device),
    /// A node of the host in the place of one that may not be made.
    BindNode(Device),
    MakeFolder(InRoot),
    Sysctl {
        name: String,
        path: CString,
        value: CString,
    },
    Mask(InRoot),
    ReadOnly(InRoot),
    /// Makes the mount at the path read-only, after things were made in it.
    FolderReadOnly(InRoot),
    RootReadOnly,
    RootPropagation(Propagation),
    Pivot,
    Cwd(InRoot),
    /// Fails early when there is no program, or none that may be executed.
    FindProgram(Vec<CString>),
    /// Lets capabilities survive the next execve, whoever the user is.
    KeepCapabilities {
        last: u32,
    },
    /// Gathers the descriptors for the tail and executes it.
    Execute {
        program: Fd,
        keep: Vec<(Keep, Fd)>,
    },
}

/// A descriptor that goes on to the tail.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keep {
    Given(Fd),
    OomScore,
}

/// A mount, with its source and everything that is set on it.
#[derive(Debug, Clone)]
pub(crate) struct Mount {
    pub(crate) source: Source,
    pub(crate) target: InRoot,
    /// RESOLVE flags beyond staying in the root.
    pub(crate) resolve: u64,
    pub(crate) attr: MountAttr,
    pub(crate) deep: MountAttr,
    pub(crate) propagation: Vec<(u64, bool)>,
    /// A mount point that is missing is made.
    pub(crate) make: bool,
    pub(crate) copy_up: Option<CopyUp>,
}

/// The new file system begins with a copy of what it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CopyUp {
    /// Its root gets the mode of the covered folder.
    pub(crate) mode: bool,
    /// Its root gets the owner of the covered folder.
    pub(crate) owner: bool,
}

/// Where a mount comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    New { file_system: CString, parameters: Vec<(CString, Option<CString>)> },
    Bind { path: CString, recursive: bool },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CloseOthers(_) => f.write_str("close the caller's descriptors"),
            Self::DefaultSignals => f.write_str("give signals their default actions"),
            Self::AwaitCaller => f.write_str("wait for the caller to note the process and to write id maps"),
            Self::EnterCgroup(_) => f.write_str("enter the control group"),
            Self::OpenOomScore { .. } => f.write_str("open oom_score_adj"),
            Self::Join { name, .. } => write!(f, "join the {name} namespace"),
            Self::NewCgroupNamespace => f.write_str("make a cgroup namespace"),
            Self::NewSession => f.write_str("make a session"),
            Self::Stdio { to, .. } => write!(f, "set descriptor {to}"),
            Self::OwnStdio { which, uid, gid } => write!(f, "give descriptor {which} to {uid}:{gid}"),
            Self::Loopback => f.write_str("bring lo up"),
            Self::Hostname(name) => write!(f, "set the host name {name:?}"),
            Self::Domainname(name) => write!(f, "set the domain name {name:?}"),
            Self::Propagation(propagation) => write!(f, "make every mount {}", propagation.name()),
            Self::Root { path, no_devices } => {
                let nodes = if *no_devices { " without device nodes" } else { "" };
                write!(f, "bind the root {}{nodes}", path.to_string_lossy())
            }
            Self::Become { uid, gid } => write!(f, "become {uid}:{gid} of the user namespace"),
            Self::Mount(mount) => match &mount.source {
                Source::New { file_system, .. } => {
                    let copy = if mount.copy_up.is_some() { " with a copy of what is there" } else { "" };
                    write!(f, "mount {} at {}{copy}", file_system.to_string_lossy(), mount.target)
                }
                Source::Bind { path, .. } => write!(f, "bind {} at {}", path.to_string_lossy(), mount.target),
            },
            Self::Link { content, at } => write!(f, "link {at} to {}", content.to_string_lossy()),
            Self::OpenNull => f.write_str("open /dev/null of the host"),
            Self::Node(device) => write!(f, "make {}", device.described()),
            Self::BindNode(device) => write!(f, "bind {} of the host", device.described()),
            Self::MakeFolder(path) => write!(f, "make the folder {path} where it is missing"),
            Self::Sysctl { name, value, .. } => write!(f, "set {name} to {value:?}"),
            Self::Mask(path) => write!(f, "mask {path}"),
            Self::ReadOnly(path) => write!(f, "make {path} read-only"),
            Self::FolderReadOnly(path) => write!(f, "make the mount at {path} read-only"),
            Self::RootReadOnly => f.write_str("make the root read-only"),
            Self::RootPropagation(propagation) => write!(f, "make the root {}", propagation.name()),
            Self::Pivot => f.write_str("change to the new root and drop the old one"),
            Self::Cwd(path) => write!(f, "change to the working directory {path}"),
            Self::FindProgram(_) => f.write_str("find the program"),
            Self::KeepCapabilities { .. } => f.write_str("keep capabilities for the tail"),
            Self::Execute { .. } => f.write_str("execute the tail"),
        }
    }
}

impl Device {
    fn described(&self) -> String {
        match self.kind {
            DeviceKind::Character => format!("{} (c {}:{})", self.path, self.major, self.minor),
            DeviceKind::Block => format!("{} (b {}:{})", self.path, self.major, self.minor),
            DeviceKind::Pipe => format!("{} (p)", self.path),
        }
    }
}

impl Propagation {
    pub(crate) fn name(self) -> &'static str {
        match self.flag {
            libc::MS_SLAVE => "slave",
            libc::MS_SHARED => "shared",
            libc::MS_UNBINDABLE => "unbindable",
            _ => "private",
        }
    }
}
