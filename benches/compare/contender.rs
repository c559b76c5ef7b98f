use std::path::Path;
use std::process::Command;

/// One tool, and how it does the job at hand.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// The programs that must be installed.
    pub(crate) needs: &'static [&'static str],
    /// What to execute, given the destination of this turn.
    pub(crate) command: Box<Make>,
    /// What there is at the destination before.
    pub(crate) destination: Destination,
    /// What to do about a turn that failed or took too long, given its destination.
    pub(crate) undo: Option<Box<Make>>,
}

/// Makes a command for a turn's destination.
pub(crate) type Make = dyn Fn(&Path) -> Command;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Nothing; the tool makes it, and it must not be empty afterwards.
    Absent,
    /// An empty folder, which the tool fills.
    Empty,
    /// An empty folder for whatever the tool notes there, which need not stay.
    Notes,
}

impl Contender {
    pub(crate) fn new(
        name: &'static str,
        needs: &'static [&'static str],
        destination: Destination,
        command: impl Fn(&Path) -> Command + 'static,
    ) -> Self {
        Self { name, needs, command: Box::new(command), destination, undo: None }
    }

    pub(crate) fn undo(mut self, command: impl Fn(&Path) -> Command + 'static) -> Self {
        self.undo = Some(Box::new(command));
        self
    }

    /// The first program it needs that is not installed.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        self.needs.iter().copied().find(|tool| !is_installed(tool))
    }
}

/// Whether a program is on the PATH.
pub(crate) fn is_installed(tool: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file()))
}
