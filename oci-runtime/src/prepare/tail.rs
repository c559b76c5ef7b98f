use super::Surroundings;
use super::steps::{OOM_SCORE_FD, START_FD, STATUS_FD};
use crate::enter::{EXECUTING, READY, message};
use crate::plan::{Plan, Scheduling, capability_names};
use crate::seccomp::Filter;
use crate::sys::call::CAPABILITY_VERSION_3;
use crate::sys::parent;
use crate::sys::stub::REPORT_FD;
use crate::tail::{Argument, Failure, Tail};
use crate::{Error, Result};

/// The tail of the container, and warnings.
pub(super) fn build(plan: &Plan, around: &Surroundings<'_>) -> Result<(Tail, Vec<String>)> {
    let mut tail = Tail::default();
    let tail = &mut tail;
    let process = &plan.process;
    if let Some(score) = process.oom_score_adj {
        let text = score.to_string();
        let bytes = tail.bytes(text.as_bytes());
        let arguments = [OOM_SCORE_FD.into(), bytes, (text.len() as u64).into()];
        tail.call("write", "set oom_score_adj", libc::SYS_write, &arguments);
    }
    for limit in &process.limits {
        let words = [limit.soft.to_le_bytes(), limit.hard.to_le_bytes()].concat();
        let words = tail.bytes(&words);
        let arguments = [0.into(), limit.resource.into(), words, 0.into()];
        tail.call("prlimit64", limit.name, libc::SYS_prlimit64, &arguments);
    }
    schedule(&plan.scheduling, tail);
    let user = plan.namespaces.is_new(libc::CLONE_NEWUSER);
    let known = u64::MAX >> (63 - around.caller.last_capability);
    let available = if user { known } else { around.caller.capabilities & known };
    let (sets, missing) = process.capabilities.restricted_to(available);
    let mut warnings = match capability_names(missing) {
        missing if missing.is_empty() => Vec::new(),
        missing => vec![format!("capabilities that cannot be given here: {}", missing.join(", "))],
    };
    for capability in 0..=around.caller.last_capability {
        if sets.bounding & 1 << capability == 0 {
            let arguments = [libc::PR_CAPBSET_DROP.into(), capability.into()];
            tail.call(
                "prctl(PR_CAPBSET_DROP)",
                "drop a capability from the bounding set",
                libc::SYS_prctl,
                &arguments,
            );
        }
    }
    let clear =
        [libc::PR_CAP_AMBIENT.into(), libc::PR_CAP_AMBIENT_CLEAR_ALL.into(), 0.into(), 0.into(), 0.into()];
    tail.call("prctl(PR_CAP_AMBIENT)", "clear the ambient set", libc::SYS_prctl, &clear);
    tail.call(
        "prctl(PR_SET_KEEPCAPS)",
        "keep capabilities",
        libc::SYS_prctl,
        &[libc::PR_SET_KEEPCAPS.into(), 1.into()],
    );
    groups(plan, around, tail)?;
    let (uid, gid) = (Argument::from(process.uid), Argument::from(process.gid));
    tail.call("setresgid", "set the group", libc::SYS_setresgid, &[gid, gid, gid]);
    tail.call("setresuid", "set the user", libc::SYS_setresuid, &[uid, uid, uid]);
    if around.keyring {
        warnings.extend(keyring(tail));
    }
    if let Some(filter) = &plan.seccomp {
        if !filter.unknown().is_empty() {
            let names = filter.unknown().join(", ");
            warnings.push(format!("system calls in the seccomp profile that are not known here: {names}"));
        }
        if !process.no_new_privileges {
            // seccomp(2): without no_new_privs it takes CAP_SYS_ADMIN, which the change of ids took from the
            // effective set and not from the permitted one.
            let sets = [available, available, 0];
            capabilities(tail, "take back what installs a filter", sets);
            install(tail, filter);
        }
    }
    capabilities(tail, "set the capabilities", [sets.effective, sets.permitted, sets.inheritable]);
    for capability in (0..=63u32).filter(|capability| sets.ambient & 1 << capability != 0) {
        let raise = libc::PR_CAP_AMBIENT_RAISE;
        let arguments = [libc::PR_CAP_AMBIENT.into(), raise.into(), capability.into(), 0.into(), 0.into()];
        tail.call("prctl(PR_CAP_AMBIENT)", "raise an ambient capability", libc::SYS_prctl, &arguments);
    }
    tail.call("umask", "set the umask", libc::SYS_umask, &[process.umask.into()]);
    if process.no_new_privileges {
        let arguments = [libc::PR_SET_NO_NEW_PRIVS.into(), 1.into(), 0.into(), 0.into(), 0.into()];
        tail.call("prctl(PR_SET_NO_NEW_PRIVS)", "gain no privileges any more", libc::SYS_prctl, &arguments);
    }
    if around.gate.is_some() {
        gate(tail);
    }
    execute(plan, tail);
    Ok((std::mem::take(tail), warnings))
}

/// While there are capabilities to do it with.
fn schedule(scheduling: &Scheduling, tail: &mut Tail) {
    if let Some(policy) = &scheduling.memory {
        let (nodes, count) = match policy.nodes.as_slice() {
            [] => (0.into(), 0),
            // The kernel reads one bit less than it is told.
            nodes => (tail.bytes(nodes), nodes.len() as u64 * 8 + 1),
        };
        let arguments = [policy.mode.into(), nodes, count.into()];
        tail.call("set_mempolicy", "set the memory policy", libc::SYS_set_mempolicy, &arguments);
    }
    if let Some(attr) = &scheduling.scheduler {
        let attr = tail.bytes(attr);
        let arguments = [0.into(), attr, 0.into()];
        tail.call("sched_setattr", "set the scheduler", libc::SYS_sched_setattr, &arguments);
    }
    if let Some(priority) = scheduling.io_priority {
        const WHO_PROCESS: u32 = 1; // linux/ioprio.h
        let arguments = [WHO_PROCESS.into(), 0.into(), priority.into()];
        tail.call("ioprio_set", "set the I/O priority", libc::SYS_ioprio_set, &arguments);
    }
    if let Some(domain) = scheduling.personality {
        tail.call("personality", "set the personality", libc::SYS_personality, &[domain.into()]);
    }
}

/// Effective, permitted and inheritable ones.
fn capabilities(tail: &mut Tail, purpose: &'static str, sets: [u64; 3]) {
    let header = tail.bytes(&u64::from(CAPABILITY_VERSION_3).to_le_bytes());
    let word = |set: u64, high: u32| ((set >> (32 * high)) as u32).to_le_bytes();
    let words = [0, 1].map(|high| sets.map(|set| word(set, high)));
    let words = tail.bytes(&words.concat().concat());
    tail.call("capset", purpose, libc::SYS_capset, &[header, words]);
}

/// From here on the filter decides about the tail's own calls, too.
fn install(tail: &mut Tail, filter: &Filter) {
    const SET_MODE_FILTER: u32 = 1; // linux/seccomp.h
    let program = tail.filter(filter.program());
    let arguments = [SET_MODE_FILTER.into(), filter.flags().into(), program];
    tail.call("seccomp", "install the system call filter", libc::SYS_seccomp, &arguments);
}

/// A new session keyring without a name, which belongs to the container's user: it is joined by who has the ids
/// already. A kernel without keyrings has nothing to share; a filter that forbids them is worth a warning.
fn keyring(tail: &mut Tail) -> Option<String> {
    match parent::keyrings() {
        Ok(()) => {
            let arguments = [libc::KEYCTL_JOIN_SESSION_KEYRING.into(), 0.into()];
            tail.call("keyctl", "join a new session keyring", libc::SYS_keyctl, &arguments);
            None
        }
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => None,
        Err(error) => Some(format!("no session keyring of the container's own: keyctl: {error}")),
    }
}

/// Supplementary groups. An unprivileged caller must give up setgroups(2) before it may write a group map: then the
/// container keeps the caller's, which mean nobody inside.
fn groups(plan: &Plan, around: &Surroundings<'_>, tail: &mut Tail) -> Result<()> {
    let groups = &plan.process.groups;
    let gives_up = if plan.namespaces.is_new(libc::CLONE_NEWUSER) {
        !around.caller.may_map_groups(plan)
    } else {
        // The caller is in a user namespace for which it was given up before.
        !crate::own_ids::may_set_groups()
    };
    if gives_up {
        if groups.is_empty() {
            return Ok(());
        }
        return Err(Error::Unsupported {
            what: "supplementary groups (/process/user/additionalGids)".into(),
            reason: "an ordinary user without newgidmap may not set groups in a user namespace".into(),
        });
    }
    let bytes: Vec<u8> = groups.iter().flat_map(|gid| gid.to_le_bytes()).collect();
    let list = tail.bytes(&bytes);
    tail.call("setgroups", "set the groups", libc::SYS_setgroups, &[(groups.len() as u64).into(), list]);
    Ok(())
}

/// Init tells that it is ready, lets go of the creator, and waits for a byte of `start`.
fn gate(tail: &mut Tail) {
    let ready = tail.bytes(&message(READY, 0));
    tail.call("write", "say that init waits", libc::SYS_write, &[REPORT_FD.into(), ready, 16.into()]);
    let arguments = [STATUS_FD.into(), REPORT_FD.into(), 0.into()];
    tail.call("dup3", "report to start from here on", libc::SYS_dup3, &arguments);
    tail.call("close", "close a copy", libc::SYS_close, &[STATUS_FD.into()]);
    let byte = tail.bytes(&[0]);
    tail.call("read", "wait for start", libc::SYS_read, &[START_FD.into(), byte, 1.into()]);
    // The pipe holds more than one start: nobody else shall read it.
    tail.call("close", "close the start pipe", libc::SYS_close, &[START_FD.into()]);
}

fn execute(plan: &Plan, tail: &mut Tail) {
    let process = &plan.process;
    let executing = tail.bytes(&message(EXECUTING, 0));
    tail.call(
        "write",
        "say that the program comes",
        libc::SYS_write,
        &[REPORT_FD.into(), executing, 16.into()],
    );
    for descriptor in [REPORT_FD, START_FD, STATUS_FD, OOM_SCORE_FD] {
        let arguments = [descriptor.into(), libc::F_SETFD.into(), libc::FD_CLOEXEC.into()];
        tail.call("fcntl", "close on exec", libc::SYS_fcntl, &arguments).on_failure(Failure::Ignore);
    }
    let none = tail.bytes(&[0; 8]);
    let arguments = [libc::SIG_SETMASK.into(), none, 0.into(), 8.into()];
    tail.call("rt_sigprocmask", "unblock signals", libc::SYS_rt_sigprocmask, &arguments);
    if let Some(filter) = plan.seccomp.as_ref().filter(|_| process.no_new_privileges) {
        install(tail, filter);
    }
    let arguments: Vec<_> = process.args.iter().map(|text| tail.string(text)).collect();
    let arguments = tail.pointers(&arguments);
    let environment: Vec<_> = process.env.iter().map(|text| tail.string(text)).collect();
    let environment = tail.pointers(&environment);
    for candidate in &process.candidates {
        let path = tail.string(candidate);
        tail.call("execve", "execute the program", libc::SYS_execve, &[path, arguments, environment])
            .on_failure(Failure::Remember);
    }
    // With a null path it fails, and what the search remembers is reported.
    tail.call("execve", "execute the program", libc::SYS_execve, &[0.into()]).on_failure(Failure::Recall);
}
