use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use oci_spec::runtime::{PosixRlimitType, Process as SpecProcess};

use super::namespaces::is_mapped;
use super::{Capabilities, InRoot, Namespaces, Problems, capabilities};

/// The container's process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) args: Vec<CString>,
    pub(crate) env: Vec<CString>,
    /// The paths at which the program is looked for, from the working directory.
    pub(crate) candidates: Vec<CString>,
    pub(crate) cwd: InRoot,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) umask: u32,
    pub(crate) capabilities: Capabilities,
    pub(crate) limits: Vec<Limit>,
    pub(crate) no_new_privileges: bool,
    pub(crate) oom_score_adj: Option<i32>,
}

/// A resource limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) name: &'static str,
    pub(crate) resource: u32,
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// What execvp(3) searches when the environment has no PATH.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn resolve(
    process: Option<&SpecProcess>,
    namespaces: &Namespaces,
    problems: &mut Problems,
) -> Option<Process> {
    let Some(process) = process else {
        problems.add("/process", "is missing");
        return None;
    };
    let mut texts = |name: &str, list: &Option<Vec<String>>| -> Vec<CString> {
        let list = list.iter().flatten().enumerate();
        list.map(|(i, text)| problems.text(&format!("/process/{name}/{i}"), text.as_str())).collect()
    };
    let args = texts("args", process.args());
    let env = texts("env", process.env());
    if args.is_empty() {
        problems.add("/process/args", "must have at least one entry");
    }
    if !process.cwd().is_absolute() {
        problems.add("/process/cwd", "must be absolute");
    }
    let cwd = InRoot::new(process.cwd(), "/process/cwd", problems);
    let user = process.user();
    let groups = user.additional_gids().clone().unwrap_or_default();
    let mut mapped = |pointer: String, maps, id| {
        if !is_mapped(maps, id) {
            problems.add(pointer, format!("{id} is not mapped in the user namespace"));
        }
    };
    mapped("/process/user/uid".into(), &namespaces.uids, user.uid());
    mapped("/process/user/gid".into(), &namespaces.gids, user.gid());
    for (i, gid) in groups.iter().enumerate() {
        mapped(format!("/process/user/additionalGids/{i}"), &namespaces.gids, *gid);
    }
    if let Some(umask) = user.umask().filter(|umask| umask & !0o777 != 0) {
        problems.add("/process/user/umask", format!("{umask:#o} is not a mask of permissions"));
    }
    let oom_score_adj = process.oom_score_adj();
    if oom_score_adj.is_some_and(|score| !(-1000..=1000).contains(&score)) {
        problems.add("/process/oomScoreAdj", "must be between -1000 and 1000");
    }
    Some(Process {
        candidates: candidates(args.first(), &env),
        args,
        env,
        cwd,
        uid: user.uid(),
        gid: user.gid(),
        groups,
        umask: user.umask().unwrap_or(0o022),
        capabilities: capabilities::resolve(process.capabilities().as_ref(), problems),
        limits: limits(process, problems),
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        oom_score_adj,
    })
}

/// config.md, Process: args have execvp's semantics: a name without a slash is looked for in PATH.
fn candidates(command: Option<&CString>, env: &[CString]) -> Vec<CString> {
    let Some(command) = command else { return Vec::new() };
    let name = command.to_bytes();
    if name.contains(&b'/') || name.is_empty() {
        return vec![command.clone()];
    }
    let path = env.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH=")).unwrap_or(DEFAULT_PATH);
    let folders = path.split(|byte| *byte == b':');
    folders
        .filter_map(|folder| {
            // An empty entry is the working directory.
            let folder = if folder.is_empty() { b"." } else { folder };
            let path = std::path::Path::new(std::ffi::OsStr::from_bytes(folder))
                .join(std::ffi::OsStr::from_bytes(name));
            CString::new(path.into_os_string().into_encoded_bytes()).ok()
        })
        .collect()
}

fn limits(process: &SpecProcess, problems: &mut Problems) -> Vec<Limit> {
    let mut limits: Vec<Limit> = Vec::new();
    for (i, limit) in process.rlimits().iter().flatten().enumerate() {
        let (resource, name) = resource(limit.typ());
        // config.md, rlimits: a type that is there twice MUST be an error.
        if limits.iter().any(|other| other.resource == resource) {
            problems.add(format!("/process/rlimits/{i}/type"), format!("{name} is there twice"));
        }
        if limit.soft() > limit.hard() {
            problems.add(format!("/process/rlimits/{i}/soft"), "is above the hard limit");
        }
        limits.push(Limit { name, resource, soft: limit.soft(), hard: limit.hard() });
    }
    limits
}

fn resource(kind: PosixRlimitType) -> (u32, &'static str) {
    match kind {
        PosixRlimitType::RlimitCpu => (libc::RLIMIT_CPU, "RLIMIT_CPU"),
        PosixRlimitType::RlimitFsize => (libc::RLIMIT_FSIZE, "RLIMIT_FSIZE"),
        PosixRlimitType::RlimitData => (libc::RLIMIT_DATA, "RLIMIT_DATA"),
        PosixRlimitType::RlimitStack => (libc::RLIMIT_STACK, "RLIMIT_STACK"),
        PosixRlimitType::RlimitCore => (libc::RLIMIT_CORE, "RLIMIT_CORE"),
        PosixRlimitType::RlimitRss => (libc::RLIMIT_RSS, "RLIMIT_RSS"),
        PosixRlimitType::RlimitNproc => (libc::RLIMIT_NPROC, "RLIMIT_NPROC"),
        PosixRlimitType::RlimitNofile => (libc::RLIMIT_NOFILE, "RLIMIT_NOFILE"),
        PosixRlimitType::RlimitMemlock => (libc::RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK"),
        PosixRlimitType::RlimitAs => (libc::RLIMIT_AS, "RLIMIT_AS"),
        PosixRlimitType::RlimitLocks => (libc::RLIMIT_LOCKS, "RLIMIT_LOCKS"),
        PosixRlimitType::RlimitSigpending => (libc::RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING"),
        PosixRlimitType::RlimitMsgqueue => (libc::RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE"),
        PosixRlimitType::RlimitNice => (libc::RLIMIT_NICE, "RLIMIT_NICE"),
        PosixRlimitType::RlimitRtprio => (libc::RLIMIT_RTPRIO, "RLIMIT_RTPRIO"),
        PosixRlimitType::RlimitRttime => (libc::RLIMIT_RTTIME, "RLIMIT_RTTIME"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_the_path() {
        for (command, env, expected) in [
            ("sh", vec![c"PATH=/bin:/usr/bin/"], vec![c"/bin/sh", c"/usr/bin/sh"]),
            ("sh", vec![c"PATH=:/bin"], vec![c"./sh", c"/bin/sh"]),
            ("./sh", vec![c"PATH=/bin"], vec![c"./sh"]),
            ("/bin/sh", vec![], vec![c"/bin/sh"]),
        ] {
            let env: Vec<_> = env.into_iter().map(CString::from).collect();
            let found = candidates(Some(&CString::new(command).unwrap()), &env);
            assert_eq!(found, expected.into_iter().map(CString::from).collect::<Vec<_>>(), "{command}");
        }
        assert_eq!(candidates(Some(&c"ls".to_owned()), &[]).len(), 6);
    }
}
