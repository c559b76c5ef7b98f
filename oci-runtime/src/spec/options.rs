use std::collections::BTreeMap;
use std::path::PathBuf;

use oci_spec::runtime::{LinuxIdMapping, Mount, PosixRlimit};

/// What the caller of [`from_image`](super::from_image) wants beside the image's own configuration.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ImageOptions {
    /// In place of the image's `Cmd`.
    pub args: Option<Vec<String>>,
    /// In place of the image's `Entrypoint`; its `Cmd` is then dropped too.
    pub entrypoint: Option<Vec<String>>,
    /// `NAME=value` sets a variable, `NAME` alone removes the image's.
    pub env: Vec<String>,
    /// In place of the image's `WorkingDir`.
    pub cwd: Option<PathBuf>,
    /// In place of the image's `User`: `user`, `uid`, `user:group`, `uid:gid`, `user:gid` or `uid:group`.
    pub user: Option<String>,
    /// The host name inside. `None` leaves the name of the machine.
    pub hostname: Option<String>,
    /// The network.
    pub network: Network,
    /// Whether the root file system cannot be written.
    pub read_only: bool,
    /// The limit of memory, in bytes.
    pub memory: Option<u64>,
    /// The limit of memory and swap together, in bytes; at least `memory`, which it needs.
    pub memory_and_swap: Option<u64>,
    /// The limit of processes and threads; -1 for none.
    pub pids: Option<i64>,
    /// The limit of processor time, in CPUs: `0.5` is half of one.
    pub cpus: Option<f64>,
    /// The user namespace.
    pub user_namespace: UserNamespace,
    /// `linux.cgroupsPath`; without it the runtime chooses by the container's id.
    pub cgroups_path: Option<PathBuf>,
    /// Rules that let the container open the default devices only; `None` sets them where the machine can (see
    /// [`device_rules`](Self::device_rules)).
    pub device_rules: Option<bool>,
    /// More mounts; one at the place of a default mount replaces it.
    pub mounts: Vec<Mount>,
    /// What becomes of the image's `Volumes`.
    pub volumes: Volumes,
    /// Whether the process gets a terminal.
    pub terminal: bool,
    /// More annotations; they win over the image's.
    pub annotations: BTreeMap<String, String>,
    /// Capabilities beside the default ones, as `NET_RAW`, `CAP_NET_RAW` or `ALL`.
    pub cap_add: Vec<String>,
    /// Default capabilities to leave out; `ALL` leaves none but those added.
    pub cap_drop: Vec<String>,
    /// Whether set-user-ID programs and file capabilities give nothing inside.
    pub no_new_privileges: bool,
    /// Resource limits; without one the caller's own is inherited.
    pub rlimits: Vec<PosixRlimit>,
}

/// The container's network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Network {
    /// A network namespace of its own, with a loopback device and nothing else.
    #[default]
    None,
    /// The caller's network.
    Host,
    /// A network namespace that exists, by its path (`/run/netns/…` or `/proc/<pid>/ns/net`).
    Namespace(PathBuf),
}

/// The container's user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserNamespace {
    /// None of its own: ids inside are those outside.
    #[default]
    Host,
    /// For an ordinary user, who may map one id only, the own: the container's user (root, unless image or options say
    /// otherwise) is this user and group outside. The kernel then forbids supplementary groups, so there are none.
    /// (runc runs such a spec only when the user inside is root.)
    Single {
        /// The caller's user id.
        uid: u32,
        /// The caller's group id.
        gid: u32,
    },
    /// Ranges, as root may map them, or an ordinary user by `newuidmap` and `newgidmap`.
    Mapped {
        /// User ids.
        uids: Vec<LinuxIdMapping>,
        /// Group ids.
        gids: Vec<LinuxIdMapping>,
    },
}

/// What becomes of the folders an image declares as `Volumes`.
///
/// The image-spec leaves it open (conversion.md: implementations SHOULD provide mounts, MAY seed them with the image's
/// data). [`volumes`](super::ImageOptions::volumes) chooses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Volumes {
    /// They stay folders of the root file system, with the image's content, owners and room; where the root is
    /// read-only, as [`Tmpfs`](Self::Tmpfs). Right for a root that is removed with its container.
    #[default]
    InRoot,
    /// Each is a tmpfs that starts with a copy of the image's content (mount option `tmpcopyup`) and is gone with the
    /// container; what is written there counts as memory.
    Tmpfs,
    /// They are left alone, read-only where the root is.
    Ignore,
}

impl ImageOptions {
    /// Sets [`args`](Self::args).
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// Sets [`entrypoint`](Self::entrypoint).
    pub fn entrypoint<S: Into<String>>(mut self, entrypoint: impl IntoIterator<Item = S>) -> Self {
        self.entrypoint = Some(entrypoint.into_iter().map(Into::into).collect());
        self
    }

    /// Adds to [`env`](Self::env).
    pub fn env<S: Into<String>>(mut self, env: impl IntoIterator<Item = S>) -> Self {
        self.env.extend(env.into_iter().map(Into::into));
        self
    }

    /// Sets [`cwd`](Self::cwd).
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = Some(cwd.into());
        self
    }

    /// Sets [`user`](Self::user).
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets [`hostname`](Self::hostname).
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = Some(hostname.into());
        self
    }

    /// Sets [`network`](Self::network).
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Sets [`read_only`](Self::read_only).
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Sets [`memory`](Self::memory), in bytes.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Sets [`memory_and_swap`](Self::memory_and_swap), in bytes.
    pub fn memory_and_swap(mut self, bytes: u64) -> Self {
        self.memory_and_swap = Some(bytes);
        self
    }

    /// Sets [`pids`](Self::pids).
    pub fn pids(mut self, limit: i64) -> Self {
        self.pids = Some(limit);
        self
    }

    /// Sets [`cpus`](Self::cpus).
    pub fn cpus(mut self, cpus: f64) -> Self {
        self.cpus = Some(cpus);
        self
    }

    /// A user namespace in which the container's user is the ordinary user `uid`, `gid` outside: the same as
    /// [`user_namespace`](Self::user_namespace) with [`UserNamespace::Single`].
    ///
    /// The mounts change with it, as an ordinary user can make them. Limits do not: where this user has no control
    /// groups of their own, a limit makes the container fail with an error that names it.
    pub fn rootless(self, uid: u32, gid: u32) -> Self {
        self.user_namespace(UserNamespace::Single { uid, gid })
    }

    /// Sets [`user_namespace`](Self::user_namespace).
    pub fn user_namespace(mut self, user_namespace: UserNamespace) -> Self {
        self.user_namespace = user_namespace;
        self
    }

    /// Sets [`cgroups_path`](Self::cgroups_path).
    pub fn cgroups_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.cgroups_path = Some(path.into());
        self
    }

    /// Sets [`device_rules`](Self::device_rules).
    ///
    /// An image may hold device nodes. Without rules, whoever is root inside can open them; so by default rules are set
    /// where they can be: by root, with the version 1 controller `devices` mounted writable. Elsewhere the container
    /// has no rules, and `true` makes it fail with an error instead.
    pub fn device_rules(mut self, device_rules: bool) -> Self {
        self.device_rules = Some(device_rules);
        self
    }

    /// Adds to [`mounts`](Self::mounts).
    pub fn mount(mut self, mount: Mount) -> Self {
        self.mounts.push(mount);
        self
    }

    /// Sets [`volumes`](Self::volumes).
    pub fn volumes(mut self, volumes: Volumes) -> Self {
        self.volumes = volumes;
        self
    }

    /// Sets [`terminal`](Self::terminal).
    pub fn terminal(mut self, terminal: bool) -> Self {
        self.terminal = terminal;
        self
    }

    /// Adds to [`annotations`](Self::annotations).
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// Adds to [`cap_add`](Self::cap_add).
    pub fn cap_add<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.cap_add.extend(names.into_iter().map(Into::into));
        self
    }

    /// Adds to [`cap_drop`](Self::cap_drop).
    pub fn cap_drop<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.cap_drop.extend(names.into_iter().map(Into::into));
        self
    }

    /// Sets [`no_new_privileges`](Self::no_new_privileges).
    pub fn no_new_privileges(mut self, no_new_privileges: bool) -> Self {
        self.no_new_privileges = no_new_privileges;
        self
    }

    /// Adds to [`rlimits`](Self::rlimits).
    pub fn rlimit(mut self, rlimit: PosixRlimit) -> Self {
        self.rlimits.push(rlimit);
        self
    }
}
