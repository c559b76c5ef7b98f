use std::fmt::Write as _;
use std::fs::File;
use std::os::fd::AsFd;

use crate::cgroup::Hierarchy;
use crate::plan::Plan;
use crate::prepare::{Caller, Prepared, Surroundings};
use crate::{Error, Result};

impl Plan {
    /// What a container of this plan does, as text: the namespaces, every step of its first process in order, and
    /// every system call between them and its program. Nothing is made or changed.
    ///
    /// The steps depend on who asks: nodes are made by root and bound by everybody else.
    ///
    /// # Errors
    /// [`Error::Io`] when the root or a namespace to join does not exist.
    pub fn explain(&self) -> Result<String> {
        // Stands for descriptors that only a real container has.
        let null = File::open("/dev/null").map_err(|error| Error::io("open /dev/null", error))?;
        let hierarchy = Hierarchy::detect()?;
        let around = Surroundings {
            stdio: [None; 3],
            pipes: [false; 3],
            socket: null.as_fd(),
            gate: None,
            cgroup: None,
            hierarchy: &hierarchy,
            caller: Caller::current()?,
            keyring: true,
        };
        let (prepared, _) = Prepared::new(self, &around)?;
        let mut text = String::from("new namespaces:");
        for (flag, name) in NAMES {
            if self.namespaces.is_new(flag) {
                let _ = write!(text, " {name}");
            }
        }
        text.push_str("\nsteps:\n");
        for (number, step) in (1..).zip(&prepared.program.steps) {
            let _ = writeln!(text, "{number:4}  {step}");
        }
        text.push_str("tail:\n");
        for (number, call) in (1..).zip(prepared.tail.calls()) {
            let _ = writeln!(text, "{number:4}  {}: {}", call.name, call.purpose);
        }
        for warning in &prepared.warnings {
            let _ = writeln!(text, "warning: {warning}");
        }
        Ok(text)
    }
}

const NAMES: [(i32, &str); 7] = [
    (libc::CLONE_NEWUSER, "user"),
    (libc::CLONE_NEWNS, "mount"),
    (libc::CLONE_NEWPID, "pid"),
    (libc::CLONE_NEWNET, "network"),
    (libc::CLONE_NEWIPC, "ipc"),
    (libc::CLONE_NEWUTS, "uts"),
    (libc::CLONE_NEWCGROUP, "cgroup"),
];
