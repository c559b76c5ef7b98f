use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use super::maps;
use super::process::Identity;
use super::stdio::Streams;
use crate::cgroup::{Hierarchy, Join};
use crate::enter::{self, Call, EXECUTING, FAILED, READY};
use crate::plan::Plan;
use crate::prepare::{Caller, Prepared, Surroundings};
use crate::step::Step;
use crate::sys::clone::{self, Stack, Visitor};
use crate::sys::parent::{self, WaitStatus};
use crate::{Error, Result};

/// What a container is started with.
pub(super) struct Launch<'a> {
    pub(super) plan: &'a Plan,
    pub(super) streams: &'a mut Streams,
    /// What it takes to get into the control groups.
    pub(super) join: Option<Join>,
    pub(super) hierarchy: &'a Hierarchy,
    pub(super) keyring: bool,
    /// The pipes of `start`, for a container that waits for it.
    pub(super) gate: Option<(OwnedFd, OwnedFd)>,
    /// Told who the first process is, before anything else happens to it.
    pub(super) born: &'a mut dyn FnMut(Identity) -> Result<()>,
}

/// A process that runs its program, or waits for start.
pub(super) struct Launched {
    pub(super) pidfd: OwnedFd,
    pub(super) warnings: Vec<String>,
}

/// Starts the child and follows it until it runs its program, or waits at the gate. On failure no process is left.
pub(super) fn launch(launch: Launch<'_>) -> Result<Launched> {
    let (ours, theirs) = UnixStream::pair().map_err(|error| Error::io("make a socket pair", error))?;
    let caller = Caller::current()?;
    let waits = launch.gate.is_some();
    let (prepared, descriptors) = Prepared::new(
        launch.plan,
        &Surroundings {
            stdio: launch.streams.inside(),
            pipes: launch.streams.pipes,
            socket: theirs.as_fd(),
            gate: launch.gate.as_ref().map(|(start, status)| (start.as_fd(), status.as_fd())),
            cgroup: launch.join,
            hierarchy: launch.hierarchy,
            caller,
            keyring: launch.keyring,
        },
    )?;
    let mut stack = Stack::new().map_err(|error| Error::io("map a stack", error))?;
    let visitor = clone::spawn(
        prepared.flags,
        prepared.cgroup(),
        prepared.shares_memory,
        &mut stack,
        &prepared.program,
    )
    .map_err(|source| refused(source, launch.plan, prepared.cgroup().is_some()))?;
    // Now, while it cannot have been collected by anybody.
    (launch.born)(Identity::of(visitor.pid())?)?;
    // The child has its own copies; while ours are open, the end of the socket would not be seen.
    drop((descriptors, theirs, launch.gate));
    launch.streams.close_inside();
    let follow = Follow { prepared: &prepared, plan: launch.plan, caller: &caller, waits };
    // On failure the visitor is dropped: the child is killed and collected.
    follow.through(&visitor, ours)?;
    let child = visitor.left().ok_or_else(|| Error::NotFound { what: "the first process".into() })?;
    Ok(Launched { pidfd: child.pidfd, warnings: prepared.warnings })
}

/// clone3 itself failed.
fn refused(source: io::Error, plan: &Plan, into_cgroup: bool) -> Error {
    let user = plan.namespaces.is_new(libc::CLONE_NEWUSER);
    let reason = match source.raw_os_error() {
        Some(libc::EPERM) if user => "the kernel's settings forbid user namespaces",
        Some(libc::EPERM) => "without CAP_SYS_ADMIN, a new user namespace is needed (/linux/namespaces)",
        Some(libc::ENOSPC) => "the kernel's limit of namespaces is reached (/proc/sys/user)",
        Some(libc::EINVAL | libc::ENOSYS) => {
            "the kernel lacks clone3 or a kind of namespace (Linux 5.7 is needed)"
        }
        _ => {
            let place = if into_cgroup { " in its control group" } else { "" };
            return Error::Step { step: format!("start the first process{place}"), call: "clone3", source };
        }
    };
    Error::Unsupported { what: "a process in new namespaces".into(), reason: reason.into() }
}

/// The parent's side of the conversation.
struct Follow<'a> {
    prepared: &'a Prepared,
    plan: &'a Plan,
    caller: &'a Caller,
    waits: bool,
}

impl Follow<'_> {
    fn through(&self, visitor: &Visitor<'_>, mut socket: UnixStream) -> Result<()> {
        if self.plan.namespaces.is_new(libc::CLONE_NEWUSER)
            && let Err(error) = maps::write(self.plan, visitor.pid(), self.caller)
        {
            // The child waits in vain, and ends. One that had failed before has told why: that comes first.
            let _ = socket.shutdown(Shutdown::Write);
            return Err(match message(&mut socket)? {
                Some((first, second)) => self.failure(first, second),
                None => error,
            });
        }
        // When the child has failed already, its message is what is read next.
        let _ = socket.write_all(b"m");
        let mut executing = false;
        loop {
            match message(&mut socket)? {
                Some((READY, _)) if self.waits => return Ok(()),
                Some((EXECUTING, _)) => executing = true,
                Some((first, second)) => return Err(self.failure(first, second)),
                None if executing => return Ok(()),
                None => return Err(ended(visitor)),
            }
        }
    }

    fn failure(&self, first: u64, second: i64) -> Error {
        let source = io::Error::from_raw_os_error(i32::try_from(second.wrapping_neg()).unwrap_or_default());
        let command = self.plan.process.args.first().map(|arg| arg.to_string_lossy().into_owned());
        let command = command.unwrap_or_default();
        if first & FAILED == 0 {
            return tail_failure(self.prepared.tail.call_at(first), command, source);
        }
        let step = usize::try_from(first & 0xffff_ffff).ok();
        match step.and_then(|step| self.prepared.program.steps.get(step)) {
            Some(Step::FindProgram(_)) => Error::Command { command, source },
            step => Error::Step {
                step: step.map_or_else(|| "an unknown step".into(), ToString::to_string),
                call: Call::name(first >> 32 & 0xff),
                source,
            },
        }
    }
}

/// What a report of the tail means. `call` is `None` when it is read by another process than the creator.
pub(super) fn tail_failure(call: Option<&crate::tail::Call>, command: String, source: io::Error) -> Error {
    match call {
        Some(call) if call.name != "execve" => {
            Error::Step { step: call.purpose.into(), call: call.name, source }
        }
        _ => Error::Command { command, source },
    }
}

/// The next message; `None` at the end of the conversation.
pub(super) fn message(from: &mut impl Read) -> Result<Option<(u64, i64)>> {
    let mut buffer = [0; 16];
    match from.read_exact(&mut buffer) {
        Ok(()) => Ok(Some(enter::words(buffer))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        // The other end was closed with something unread: it is gone all the same.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(Error::io("read from the container's first process", error)),
    }
}

/// The child went without a word.
fn ended(visitor: &Visitor<'_>) -> Error {
    let status = visitor.pidfd().and_then(|pidfd| parent::wait_pidfd(pidfd, true).ok().flatten());
    let how = match status {
        Some(WaitStatus::Signal(signal)) => format!("was killed by signal {signal}"),
        Some(WaitStatus::Code(code)) => format!("ended with code {code}"),
        None => "ended".into(),
    };
    Error::io(
        format!("the container's first process {how} before its program ran"),
        io::ErrorKind::BrokenPipe,
    )
}
