//! Signals that the program gets are meant for the container's process.

use std::os::fd::OwnedFd;

use nix::sys::signal::{SigSet, Signal};

/// What a terminal, a service manager or a shell sends to end or steer a program.
const FORWARDED: [Signal; 6] =
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGUSR2];

/// Keeps the signals from acting on this thread and those it starts from now on.
pub(crate) fn hold() -> nix::Result<SigSet> {
    let set: SigSet = FORWARDED.into_iter().collect();
    set.thread_block()?;
    Ok(set)
}

/// Hands every held signal on to a process, until this program ends.
pub(crate) fn forward(set: SigSet, process: OwnedFd) {
    std::thread::spawn(move || {
        while let Ok(signal) = set.wait() {
            if let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
                // A process that has ended needs no signal.
                let _ = rustix::process::pidfd_send_signal(&process, signal);
            }
        }
    });
}
