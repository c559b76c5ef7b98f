use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::{Error, Result};

/// A process by its number and the time it began: the number alone may belong to another one tomorrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// Field 22 of proc_pid_stat(5), in clock ticks since boot.
    pub(super) start_time: u64,
}

impl Identity {
    /// The process that has the number now.
    pub(super) fn of(pid: i32) -> Result<Self> {
        let found = stat(pid)?.ok_or_else(|| Error::NotFound { what: format!("process {pid}") })?;
        Ok(Self { pid, start_time: found.1 })
    }

    /// A pidfd of the process, unless it has ended.
    pub(super) fn open(self) -> Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(None),
            Err(error) => return Err(Error::io(format!("open process {pid}"), error)),
        };
        // The pidfd first, then the question: whoever has the number now is who the pidfd is of.
        Ok(self.is_alive()?.then_some(pidfd))
    }

    /// Whether the process still runs; a zombie does not.
    pub(super) fn is_alive(self) -> Result<bool> {
        Ok(stat(self.pid)?
            .is_some_and(|(state, start)| start == self.start_time && !matches!(state, b'Z' | b'X')))
    }
}

/// State and start time of a process.
fn stat(pid: i32) -> Result<Option<(u8, u64)>> {
    let path = format!("/proc/{pid}/stat");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
        Err(error) => return Err(Error::io(format!("read {path}"), error)),
    };
    Ok(parse(&text))
}

/// The command in parentheses may hold anything, parentheses too: fields are counted from the last one.
fn parse(text: &[u8]) -> Option<(u8, u64)> {
    let after = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(after + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.bytes().next()?;
    // Field 3 is taken; 22 is the nineteenth after it.
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stat() {
        let line = b"7 (a) b (c) S 1 7 7 0 -1 4 1 0 0 0 1 2 3 4 20 0 1 0 4711 100 5";
        assert_eq!(parse(line), Some((b'S', 4711)));
        assert_eq!(parse(b"7 (x"), None);
    }

    #[test]
    fn knows_itself() {
        let own = Identity::of(std::process::id() as i32).unwrap();
        assert!(own.is_alive().unwrap());
        assert!(own.open().unwrap().is_some());
        let other = Identity { start_time: own.start_time + 1, ..own };
        assert!(other.open().unwrap().is_none());
    }
}
