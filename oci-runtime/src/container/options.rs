use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// How a container is made, beside its spec.
#[derive(Debug)]
#[non_exhaustive]
pub struct Options {
    /// The container's name: `[A-Za-z0-9_+.-]+`, at most 200 bytes, not beginning with a dot.
    pub id: String,
    /// The folder to which relative paths of the spec belong. Default: the current directory.
    pub bundle: Option<PathBuf>,
    /// Stands for the spec's `root.path`.
    pub rootfs: Option<PathBuf>,
    /// The folder that holds the state of all containers. Default: see [`Container`](crate::Container).
    pub state_root: Option<PathBuf>,
    /// Standard input of the container's process.
    pub stdin: Stdio,
    /// Standard output.
    pub stdout: Stdio,
    /// Standard error.
    pub stderr: Stdio,
    /// Whether the container gets control groups of its own. Default: yes, where the caller may make them; where it
    /// may not, only a spec with limits or with a `cgroupsPath` is an error. With `false` limits are an error, and
    /// rules for devices are given up.
    pub cgroups: bool,
    /// Whether the container's process gets a session keyring of its own, as keyrings have no namespace. Default: yes,
    /// where the kernel has keyrings. With `false` it shares the caller's.
    pub new_keyring: bool,
}

/// Where a standard stream of the container's process leads.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Stdio {
    /// The caller's own.
    #[default]
    Inherit,
    /// `/dev/null`.
    Null,
    /// A pipe, whose other end is a field of the [`Container`](crate::Container).
    Pipe,
    /// A given file, pipe or socket.
    Descriptor(OwnedFd),
}

impl Options {
    /// The defaults, for a container of the name `id`.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            bundle: None,
            rootfs: None,
            state_root: None,
            stdin: Stdio::Inherit,
            stdout: Stdio::Inherit,
            stderr: Stdio::Inherit,
            cgroups: true,
            new_keyring: true,
        }
    }

    /// Sets the folder to which relative paths of the spec belong.
    #[must_use]
    pub fn bundle(mut self, folder: impl Into<PathBuf>) -> Self {
        self.bundle = Some(folder.into());
        self
    }

    /// Sets the folder that becomes the container's root.
    #[must_use]
    pub fn rootfs(mut self, folder: impl Into<PathBuf>) -> Self {
        self.rootfs = Some(folder.into());
        self
    }

    /// Sets the folder that holds the state of all containers.
    #[must_use]
    pub fn state_root(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state_root = Some(folder.into());
        self
    }

    /// Sets standard input.
    #[must_use]
    pub fn stdin(mut self, stdio: Stdio) -> Self {
        self.stdin = stdio;
        self
    }

    /// Sets standard output.
    #[must_use]
    pub fn stdout(mut self, stdio: Stdio) -> Self {
        self.stdout = stdio;
        self
    }

    /// Sets standard error.
    #[must_use]
    pub fn stderr(mut self, stdio: Stdio) -> Self {
        self.stderr = stdio;
        self
    }

    /// Sets whether the container gets control groups of its own.
    #[must_use]
    pub fn cgroups(mut self, wanted: bool) -> Self {
        self.cgroups = wanted;
        self
    }

    /// Sets whether the container's process gets a session keyring of its own.
    #[must_use]
    pub fn new_keyring(mut self, wanted: bool) -> Self {
        self.new_keyring = wanted;
        self
    }
}
