use std::fmt;
use std::io;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One mistake in a runtime spec, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The JSON pointer (RFC 6901) of the property, for example `/mounts/3/options/0`.
    pub pointer: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Problem {
    /// A problem at `pointer`.
    pub fn new(pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), reason: reason.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.reason)
    }
}

/// What can go wrong with a container.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The runtime spec holds mistakes, or asks for what cannot be done here. Nothing was created; all
    /// mistakes are listed, so that they can be mended at once.
    #[error("invalid runtime spec: {}", Problems(problems))]
    Spec {
        /// The mistakes, in the order of the spec.
        problems: Vec<Problem>,
    },
    /// A name, path or value given to this crate that is not well-formed.
    #[error("invalid {what} {value:?}: {reason}")]
    Invalid {
        /// What it should have been, for example `container id` or `user`.
        what: &'static str,
        /// The text as it was given, shortened.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No container of that id, or no user or group of that name. Ask for another one.
    #[error("{what} not found")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// A container of that id exists already. Delete it, or choose another id.
    #[error("container {id} exists already")]
    Exists {
        /// The id.
        id: String,
    },
    /// The container is not in a state in which the operation is possible.
    #[error("cannot {operation} container {id}: it is {status}")]
    Status {
        /// The id.
        id: String,
        /// The operation, for example `start`.
        operation: &'static str,
        /// The state it is in.
        status: &'static str,
    },
    /// A step of setting up the container failed. Everything made so far was removed again.
    #[error("{step}: {call}")]
    Step {
        /// What was being done, with its path: for example `mount tmpfs at /dev`.
        step: String,
        /// The system call that failed.
        call: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The program cannot be executed inside the container: it does not exist, or is not executable there.
    /// See [`Error::exit_code`].
    #[error("cannot execute {command:?}")]
    Command {
        /// The first of the arguments.
        command: String,
        /// The system's error.
        source: io::Error,
    },
    /// The exit status is lost: the process ended, and someone else in this program (or its parent process)
    /// collected its status.
    #[error("the exit status of container {id} was collected by another waiter")]
    Lost {
        /// The id.
        id: String,
    },
    /// The kernel, or the caller's privileges, do not allow what was asked for.
    #[error("{what} is not possible here: {reason}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// The kernel feature or privilege that is missing.
        reason: String,
    },
    /// A document (`config.json`, `state.json`, an image configuration) that cannot be understood.
    #[error("invalid document {what}: {reason}")]
    Document {
        /// What it is, with its path.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("{context}")]
    Io {
        /// What was being done, with its path.
        context: String,
        /// The system's error.
        source: io::Error,
    },
}

struct Problems<'a>(&'a [Problem]);

impl fmt::Display for Problems<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl Error {
    /// Wraps a system error with what was being done.
    pub fn io(context: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { context: context.into(), source: source.into() }
    }

    pub(crate) fn invalid(what: &'static str, value: &str, reason: impl Into<String>) -> Self {
        let value = value.chars().take(120).collect();
        Self::Invalid { what, value, reason: reason.into() }
    }

    /// Whether the container, user or command that was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. }) || self.is_command_not_found()
    }

    /// Whether the container's program does not exist inside its root (exit code 127 in a shell).
    pub fn is_command_not_found(&self) -> bool {
        match self {
            Self::Command { source, .. } => {
                matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            }
            _ => false,
        }
    }

    /// Whether the container's program exists but cannot be executed (exit code 126 in a shell).
    pub fn is_not_executable(&self) -> bool {
        matches!(self, Self::Command { .. }) && !self.is_command_not_found()
    }

    /// Whether the caller lacks a privilege.
    pub fn is_permission_denied(&self) -> bool {
        match self {
            Self::Step { source, .. } | Self::Io { source, .. } => {
                source.kind() == io::ErrorKind::PermissionDenied
            }
            _ => false,
        }
    }

    /// The exit code that a shell would give to this failure: 127 for a command that does not exist, 126 for
    /// one that cannot be executed, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            error if error.is_command_not_found() => 127,
            error if error.is_not_executable() => 126,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_small() {
        assert!(size_of::<Error>() <= 128, "{}", size_of::<Error>());
    }

    #[test]
    fn lists_every_problem() {
        let error =
            Error::Spec { problems: vec![Problem::new("/root", "is missing"), Problem::new("/a~1b", "odd")] };
        assert_eq!(error.to_string(), "invalid runtime spec: /root: is missing; /a~1b: odd");
        assert_eq!(error.exit_code(), 1);
    }

    #[test]
    fn codes_are_a_shells() {
        let command = |kind: io::ErrorKind| Error::Command { command: "x".into(), source: kind.into() };
        assert_eq!(command(io::ErrorKind::NotFound).exit_code(), 127);
        assert_eq!(command(io::ErrorKind::PermissionDenied).exit_code(), 126);
        assert!(command(io::ErrorKind::NotFound).is_not_found());
    }
}
