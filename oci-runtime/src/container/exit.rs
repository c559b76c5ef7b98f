use std::fmt;

use crate::sys::parent::WaitStatus;

/// How the container's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitStatus(WaitStatus);

impl ExitStatus {
    pub(super) fn new(status: WaitStatus) -> Self {
        Self(status)
    }

    /// Whether it ended by itself with code 0.
    pub fn success(self) -> bool {
        self.0 == WaitStatus::Code(0)
    }

    /// The code it ended with, unless a signal ended it.
    pub fn code(self) -> Option<u8> {
        match self.0 {
            WaitStatus::Code(code) => Some(code),
            WaitStatus::Signal(_) => None,
        }
    }

    /// The signal that ended it.
    pub fn signal(self) -> Option<i32> {
        match self.0 {
            WaitStatus::Code(_) => None,
            WaitStatus::Signal(signal) => Some(signal),
        }
    }

    /// The code as a shell gives it: 128 and the signal's number for a signal.
    pub fn shell_code(self) -> u8 {
        match self.0 {
            WaitStatus::Code(code) => code,
            WaitStatus::Signal(signal) => 128u8.saturating_add(u8::try_from(signal).unwrap_or(127)),
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            WaitStatus::Code(code) => write!(f, "exit code {code}"),
            WaitStatus::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_a_shells() {
        for (status, shell, success) in [
            (WaitStatus::Code(0), 0, true),
            (WaitStatus::Code(3), 3, false),
            (WaitStatus::Signal(9), 137, false),
            (WaitStatus::Signal(64), 192, false),
        ] {
            let status = ExitStatus::new(status);
            assert_eq!((status.shell_code(), status.success()), (shell, success), "{status}");
        }
    }
}
