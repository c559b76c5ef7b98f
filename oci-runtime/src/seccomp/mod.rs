//! System call filters: a seccomp profile of the runtime spec, compiled to the kernel's program.
//!
//! Decisions are those of libseccomp, as runc and crun use it, which is what profiles are written for. The program
//! is a binary search over the numbers of each architecture, so that its cost for a call is the logarithm of
//! the profile's length.
//!
//! ```
//! use oci_runtime::runtime_spec::LinuxSeccomp;
//! use oci_runtime::seccomp::Filter;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_ERRNO"}]}"#;
//! let profile: LinuxSeccomp = serde_json::from_str(profile)?;
//! let filter = Filter::compile(&profile)?;
//! assert!(filter.program().len() < 20);
//! # Ok(())
//! # }
//! ```

mod arch;
mod bpf;
mod compile;
#[cfg(test)]
mod machine;
mod multiplex;
#[cfg(test)]
mod peer;
mod rules;
mod syscalls;

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag};

use arch::Arch;
pub use bpf::Instruction;

use crate::plan::Problems;
use crate::{Error, Result};

/// `BPF_MAXINSNS` of linux/bpf_common.h.
const MOST: usize = 4096;

/// A compiled profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    program: Vec<Instruction>,
    flags: u32,
    listener: Option<Listener>,
    unknown: Vec<String>,
}

/// Who answers for the calls that are notified of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) path: PathBuf,
    pub(crate) metadata: String,
}

impl Filter {
    /// Compiles a profile for this machine.
    ///
    /// Architectures that this machine's kernel does not have cost nothing. Names that no architecture has are left
    /// out ([`unknown`](Self::unknown)), as the runtime spec asks for.
    ///
    /// # Errors
    /// [`Error::Spec`] with everything that is wrong with it, by JSON pointers from the root of a runtime spec.
    pub fn compile(seccomp: &LinuxSeccomp) -> Result<Self> {
        let mut problems = Problems::default();
        let filter = resolve(seccomp, &mut problems);
        match problems.into_vec() {
            problems if problems.is_empty() => Ok(filter),
            problems => Err(Error::Spec { problems }),
        }
    }

    /// The program, as `seccomp(2)` takes it. At most 4096 instructions.
    pub fn program(&self) -> &[Instruction] {
        &self.program
    }

    /// The `SECCOMP_FILTER_FLAG_*` bits of linux/seccomp.h that it is to be installed with.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// The socket whose listener is asked about calls, and the text it is told with each container.
    pub fn listener(&self) -> Option<(&Path, &str)> {
        self.listener.as_ref().map(|listener| (listener.path.as_path(), listener.metadata.as_str()))
    }

    /// Names in the profile that no architecture here has.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }
}

/// Compiles what is right and notes what is not.
pub(crate) fn resolve(seccomp: &LinuxSeccomp, problems: &mut Problems) -> Filter {
    if Arch::NATIVE.is_none() {
        problems.add("/linux/seccomp", "is not supported on this architecture");
    }
    let calls = || seccomp.syscalls().iter().flatten();
    if seccomp.default_action() == LinuxSeccompAction::ScmpActNotify {
        problems.add("/linux/seccomp/defaultAction", "SCMP_ACT_NOTIFY cannot be the default");
    }
    let default = rules::action(
        seccomp.default_action(),
        seccomp.default_errno_ret(),
        "/linux/seccomp/defaultErrnoRet",
        problems,
    );
    let notifies = calls().any(|call| call.action() == LinuxSeccompAction::ScmpActNotify);
    let listener = listener(seccomp, notifies, problems);
    let sections = rules::sections(seccomp, default, problems);
    let program = compile::compile(&sections, default);
    if program.len() > MOST {
        let reason = format!("needs {} instructions; the kernel takes {MOST}", program.len());
        problems.add("/linux/seccomp/syscalls", reason);
    }
    let names = calls().flat_map(|call| call.names());
    let mut unknown: Vec<String> = names.filter(|name| !syscalls::is_known(name)).cloned().collect();
    unknown.sort_unstable();
    unknown.dedup();
    Filter { program, flags: flags(seccomp, notifies), listener, unknown }
}

fn listener(seccomp: &LinuxSeccomp, notifies: bool, problems: &mut Problems) -> Option<Listener> {
    let metadata = seccomp.listener_metadata().clone();
    match (notifies, seccomp.listener_path()) {
        (true, Some(path)) => Some(Listener { path: path.clone(), metadata: metadata.unwrap_or_default() }),
        (true, None) => {
            problems.add("/linux/seccomp/listenerPath", "is missing, and SCMP_ACT_NOTIFY needs it");
            None
        }
        // config-linux.md: listenerMetadata MUST NOT be set without listenerPath.
        (false, None) if metadata.is_some() => {
            problems.add("/linux/seccomp/listenerMetadata", "needs a listenerPath");
            None
        }
        (false, _) => None,
    }
}

// linux/seccomp.h
const FLAG_LOG: u32 = 1 << 1;
const FLAG_SPEC_ALLOW: u32 = 1 << 2;
const FLAG_NEW_LISTENER: u32 = 1 << 3;
const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

fn flags(seccomp: &LinuxSeccomp, notifies: bool) -> u32 {
    let mut flags = if notifies { FLAG_NEW_LISTENER } else { 0 };
    for flag in seccomp.flags().iter().flatten() {
        flags |= match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => FLAG_LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => FLAG_SPEC_ALLOW,
            // Every thread of the process: who installs it has one.
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
            // It is about listeners, and refused without one.
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv if notifies => FLAG_WAIT_KILLABLE_RECV,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => 0,
        };
    }
    flags
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_what_is_wrong() {
        let call = |fields: serde_json::Value| {
            let mut call = json!({"names": ["read"], "action": "SCMP_ACT_ERRNO"});
            call.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [call]})
        };
        for (profile, pointer) in [
            (json!({"defaultAction": "SCMP_ACT_NOTIFY"}), "/linux/seccomp/defaultAction"),
            (
                json!({"defaultAction": "SCMP_ACT_KILL", "defaultErrnoRet": 1}),
                "/linux/seccomp/defaultErrnoRet",
            ),
            (call(json!({"names": []})), "/linux/seccomp/syscalls/0/names"),
            (call(json!({"errnoRet": 65536})), "/linux/seccomp/syscalls/0/errnoRet"),
            (
                call(json!({"args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]})),
                "/linux/seccomp/syscalls/0/args/0/index",
            ),
            (call(json!({"action": "SCMP_ACT_NOTIFY"})), "/linux/seccomp/listenerPath"),
            (
                json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}),
                "/linux/seccomp/listenerMetadata",
            ),
        ] {
            let error = Filter::compile(&serde_json::from_value(profile.clone()).unwrap()).unwrap_err();
            let Error::Spec { problems } = error else { panic!("{profile}") };
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].pointer, pointer, "{profile}");
        }
    }

    /// Every name of every architecture with comparisons still fits.
    #[test]
    fn is_small() {
        let names: Vec<_> = syscalls::names().collect();
        let profile = json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
            "syscalls": [
                {"names": names.iter().step_by(2).collect::<Vec<_>>(), "action": "SCMP_ACT_ALLOW"},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 0, "value": 0x7e02_0000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
            ],
        });
        let filter = Filter::compile(&serde_json::from_value(profile).unwrap()).unwrap();
        assert!(filter.program().len() < 1600, "{}", filter.program().len());
        assert!(filter.unknown().is_empty());
    }
}
