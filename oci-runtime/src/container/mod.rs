//! The life of a container.

mod exit;
mod maps;
mod options;
mod process;
mod spawn;
mod state;
mod stdio;

use std::fs::{File, OpenOptions};
use std::io::{PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxResources, Spec};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags, mknodat};
use rustix::process::{Signal, pidfd_send_signal};

pub use self::exit::ExitStatus;
pub use self::options::{Options, Stdio};
pub use self::state::{State, Status};

use self::process::Identity;
use self::spawn::{Launch, Launched, launch};
use self::state::{Folder, Saved};
use self::stdio::Streams;
use crate::cgroup::{self, Cgroup, Hierarchy};
use crate::enter::EXECUTING;
use crate::plan::Plan;
use crate::sys::parent;
use crate::{Error, Problem, Result};

/// A container: a process, and a folder with its state that other processes can read.
///
/// The state is kept below `/run/oci-runtime` for root, `$XDG_RUNTIME_DIR/oci-runtime` for an ordinary user, and
/// `/tmp/oci-runtime-UID` where that is not set; [`Options::state_root`] chooses another folder.
///
/// Dropping a container neither ends nor deletes it: [`load`](Self::load) finds it again.
#[derive(Debug)]
pub struct Container {
    folder: Folder,
    saved: Saved,
    pidfd: Option<OwnedFd>,
    exit: Option<ExitStatus>,
    warnings: Vec<String>,
    /// The other end of [`Stdio::Pipe`] on standard input.
    pub stdin: Option<PipeWriter>,
    /// The other end of [`Stdio::Pipe`] on standard output.
    pub stdout: Option<PipeReader>,
    /// The other end of [`Stdio::Pipe`] on standard error.
    pub stderr: Option<PipeReader>,
}

impl Container {
    /// Makes a container and runs its program. It returns when the program was executed.
    ///
    /// # Errors
    /// [`Error::Spec`] with everything that is wrong with the spec, [`Error::Step`] with what could not be set up,
    /// [`Error::Command`] when the program cannot be executed, [`Error::Exists`] when the id is taken. Nothing is left
    /// behind then.
    pub fn run(spec: &Spec, options: Options) -> Result<Self> {
        Self::make(spec, options, false)
    }

    /// Makes a container whose program waits for [`start`](Self::start), which any process may call.
    ///
    /// # Errors
    /// As [`run`](Self::run); a program that does not exist is already found here.
    pub fn create(spec: &Spec, options: Options) -> Result<Self> {
        Self::make(spec, options, true)
    }

    /// Finds a container by its id. `state_root` is where it was made; `None` stands for the default.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Document`] when its state cannot be understood.
    pub fn load(state_root: Option<&Path>, id: &str) -> Result<Self> {
        let root = state_root.map_or_else(state::default_root, Path::to_path_buf);
        let folder = Folder::open(&root, id)?;
        let saved = folder.read()?;
        let pidfd = match saved.identity() {
            Some(process) => process.open()?,
            None => None,
        };
        Ok(Self::new(folder, saved, pidfd))
    }

    /// The ids of all containers, sorted.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder cannot be read; one that does not exist holds none.
    pub fn list(state_root: Option<&Path>) -> Result<Vec<String>> {
        state::ids(&state_root.map_or_else(state::default_root, Path::to_path_buf))
    }

    /// Executes the program of a created container. It returns when the program was executed.
    ///
    /// # Errors
    /// [`Error::Status`] unless it is created; [`Error::Command`] when the program cannot be executed, and the
    /// container is stopped then.
    pub fn start(&mut self) -> Result<()> {
        self.expect("start", Status::Created)?;
        let gone = Error::NotFound { what: format!("container {}", self.id()) };
        let _lock = self.lock()?.ok_or(gone)?;
        self.expect("start", Status::Created)?;
        let failed =
            |what: &str, error| Error::io(format!("{what} of container {}", self.saved.state.id), error);
        // Opened before init can have gone, and without waiting for it.
        let mut status = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(self.folder.0.join("status"))
            .map_err(|error| failed("open the status pipe", error))?;
        let mut gate = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(self.folder.0.join("start"))
            .map_err(|error| failed("open the start pipe", error))?;
        rustix::fs::fcntl_setfl(&status, OFlags::empty())
            .map_err(|error| failed("set up the status pipe", error.into()))?;
        gate.write_all(b"s").map_err(|error| failed("write to the start pipe", error))?;
        drop(gate);
        let mut executing = false;
        while let Some((first, second)) = spawn::message(&mut status)? {
            if first != EXECUTING {
                let errno = i32::try_from(second.wrapping_neg()).unwrap_or_default();
                let command = self.saved.command.clone();
                return Err(spawn::tail_failure(None, command, std::io::Error::from_raw_os_error(errno)));
            }
            executing = true;
        }
        if !executing {
            return Err(Error::Status { id: self.id().into(), operation: "start", status: "stopped" });
        }
        self.saved.state.status = Status::Running;
        self.folder.write(&self.saved)
    }

    /// The state of the container now.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read.
    pub fn state(&self) -> Result<State> {
        let mut saved = self.folder.read()?;
        let status = if self.exit.is_some() { Status::Stopped } else { saved.status()? };
        saved.state.status = status;
        if status == Status::Stopped {
            saved.state.pid = 0;
        }
        Ok(saved.state)
    }

    /// Sends a signal to the container's process.
    ///
    /// # Errors
    /// [`Error::Status`] when it has ended, [`Error::Invalid`] for a number that is no signal.
    pub fn kill(&self, signal: i32) -> Result<()> {
        let stopped = || Error::Status { id: self.id().into(), operation: "kill", status: "stopped" };
        let name = Signal::from_named_raw(signal);
        let Some(pidfd) = &self.pidfd else { return Err(stopped()) };
        let sent = match name {
            Some(signal) => pidfd_send_signal(pidfd, signal).map_err(std::io::Error::from),
            None => parent::send_signal(pidfd.as_fd(), signal),
        };
        match sent {
            Ok(()) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Err(stopped()),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                Err(Error::invalid("signal", &signal.to_string(), "is not a signal"))
            }
            Err(error) => Err(Error::io(format!("signal container {}", self.id()), error)),
        }
    }

    /// Waits until the container's process has ended.
    ///
    /// # Errors
    /// [`Error::Lost`] when somebody else collected the exit status and the kernel (before Linux 6.15) does not keep
    /// it: the process has ended then.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        if let Some(exit) = self.exit {
            return Ok(exit);
        }
        let lost = || Error::Lost { id: self.id().into() };
        let pidfd = self.pidfd.as_ref().ok_or_else(lost)?;
        let status = match parent::wait_pidfd(pidfd.as_fd(), true) {
            Ok(status) => status,
            // Not our child, or collected by another thread: the pidfd tells when it has ended.
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
                ended(pidfd.as_fd())?;
                parent::collected_status(pidfd.as_fd())
            }
            Err(error) => return Err(Error::io(format!("wait for container {}", self.id()), error)),
        };
        let exit = ExitStatus::new(status.ok_or_else(lost)?);
        self.exit = Some(exit);
        Ok(exit)
    }

    /// The exit status, if the process has ended; it does not wait.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        let ready = match &self.pidfd {
            Some(pidfd) if self.exit.is_none() => poll_ended(pidfd.as_fd(), false)?,
            _ => true,
        };
        if ready { self.wait().map(Some) } else { Ok(None) }
    }

    /// Removes a stopped container: its control groups and its state. With `force`, or when it was never started, its
    /// process is killed before.
    ///
    /// # Errors
    /// [`Error::Status`] when it runs and `force` is not set; [`Error::Io`] when something cannot be removed: the call
    /// may be repeated then.
    pub fn delete(&mut self, force: bool) -> Result<()> {
        match self.lock()? {
            Some(_lock) => self.remove(force),
            None => Ok(()),
        }
    }

    /// Keeps other processes from starting or deleting the container meanwhile, and learns what they did before.
    /// `None` when it is gone: deleted, and perhaps made anew by somebody.
    fn lock(&mut self) -> Result<Option<File>> {
        let lock = match self.folder.lock() {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        let saved = match self.folder.read() {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        let (own, found) = (self.saved.identity(), saved.identity());
        if own.is_some() && own != found {
            return Ok(None);
        }
        if let (None, Some(process)) = (own, found) {
            self.pidfd = process.open()?;
        }
        self.saved = saved;
        Ok(Some(lock))
    }

    /// [`delete`](Self::delete), under the lock.
    fn remove(&mut self, force: bool) -> Result<()> {
        let status = if self.exit.is_some() { Status::Stopped } else { self.saved.status()? };
        if status == Status::Running && !force {
            return Err(Error::Status { id: self.id().into(), operation: "delete", status: "running" });
        }
        if let Some(pidfd) = &self.pidfd
            && self.exit.is_none()
        {
            if status != Status::Stopped {
                let _ = pidfd_send_signal(pidfd, Signal::KILL);
            }
            ended(pidfd.as_fd())?;
            // Our own child would stay a zombie; somebody else's is nothing to us.
            if let Ok(Some(status)) = parent::wait_pidfd(pidfd.as_fd(), false) {
                self.exit = Some(ExitStatus::new(status));
            }
        }
        if let Some(cgroup) = &self.saved.cgroup {
            cgroup.destroy()?;
        }
        self.folder.remove()
    }

    /// The container's id.
    pub fn id(&self) -> &str {
        &self.saved.state.id
    }

    /// The process id as the caller's pid namespace has it; 0 when there is no process.
    pub fn pid(&self) -> i32 {
        self.saved.state.pid
    }

    /// The container's process: it becomes readable when the process ends, which fits every event loop.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// What the spec asked for and could not be given, where the runtime-spec wants a warning and no error.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The container's control groups, if it has its own.
    pub fn cgroup(&self) -> Option<&Cgroup> {
        self.saved.cgroup.as_ref()
    }

    fn new(folder: Folder, saved: Saved, pidfd: Option<OwnedFd>) -> Self {
        let (stdin, stdout, stderr) = (None, None, None);
        Self { folder, saved, pidfd, exit: None, warnings: Vec::new(), stdin, stdout, stderr }
    }

    fn expect(&self, operation: &'static str, wanted: Status) -> Result<()> {
        match self.saved.status()? {
            status if status == wanted => Ok(()),
            status => Err(Error::Status { id: self.id().into(), operation, status: status.as_str() }),
        }
    }

    fn make(spec: &Spec, options: Options, waits: bool) -> Result<Self> {
        let bundle = options.bundle.clone().unwrap_or_else(|| PathBuf::from("."));
        let bundle = std::path::absolute(&bundle)
            .map_err(|error| Error::io(format!("find the bundle {}", bundle.display()), error))?;
        // Once for the check, the groups and the mounts: it reads every mount of the host.
        let hierarchy = Hierarchy::detect()?;
        let plan = resolve(spec, &bundle, &options, &hierarchy)?;
        let root = options.state_root.clone().unwrap_or_else(state::default_root);
        let folder = Folder::create(&root, &options.id)?;
        let saved = Saved::new(&plan, &options.id, bundle);
        let mut container = Self::new(folder, saved, None);
        // Whoever wants to delete it meanwhile waits until it is whole. If this program is ended, nobody waits.
        let _lock = container.folder.lock()?;
        match container.fill(&plan, &hierarchy, options, waits) {
            Ok(()) => Ok(container),
            Err(error) => {
                // The first failure is the one to tell.
                let _ = container.remove(true);
                Err(error)
            }
        }
    }

    fn fill(&mut self, plan: &Plan, hierarchy: &Hierarchy, options: Options, waits: bool) -> Result<()> {
        if options.cgroups {
            let (path, resources) = (plan.cgroups_path.as_deref(), plan.resources.as_ref());
            // Written before anything is made: whatever happens to this program, its groups will be found.
            self.saved.cgroup = Some(Cgroup::planned(hierarchy, &options.id, path)?);
            self.folder.write(&self.saved)?;
            self.saved.cgroup = None;
            self.saved.cgroup = Cgroup::create(hierarchy, &options.id, path, resources)?;
        }
        let gate = if waits { Some((self.folder.pipe("start")?, self.folder.pipe("status")?)) } else { None };
        let mut streams = Streams::open(options.stdin, options.stdout, options.stderr)?;
        let join = self.saved.cgroup.as_ref().map(Cgroup::join).transpose()?;
        let (folder, saved) = (&self.folder, &mut self.saved);
        let mut born = |identity: Identity| {
            saved.state.pid = identity.pid;
            saved.start_time = identity.start_time;
            // So that the process will be found too, and the groups that there really are.
            folder.write(saved)
        };
        let keyring = options.new_keyring;
        let streams_of = &mut streams;
        let Launched { pidfd, warnings } =
            launch(Launch { plan, streams: streams_of, join, hierarchy, keyring, gate, born: &mut born })?;
        self.pidfd = Some(pidfd);
        self.warnings = warnings;
        self.stdin = streams.stdin.take();
        self.stdout = streams.stdout.take();
        self.stderr = streams.stderr.take();
        self.saved.state.status = if waits { Status::Created } else { Status::Running };
        self.folder.write(&self.saved)
    }
}

/// Checks spec and options: all problems at once, those of the resources too.
fn resolve(spec: &Spec, bundle: &Path, options: &Options, hierarchy: &Hierarchy) -> Result<Plan> {
    let plan = Plan::resolve(spec, bundle, options.rootfs.as_deref());
    let mut problems = match &plan {
        Err(Error::Spec { problems }) => problems.clone(),
        _ => Vec::new(),
    };
    let linux = spec.linux().as_ref();
    if let Some(resources) = linux.and_then(|linux| linux.resources().as_ref()) {
        if options.cgroups {
            problems.extend(cgroup::unsupported(resources, hierarchy));
        } else if limits(resources) {
            problems.push(Problem::new("/linux/resources", "cannot be applied without control groups"));
        }
    }
    if problems.is_empty() { plan } else { Err(Error::Spec { problems }) }
}

/// Whether there is more than rules for devices, which whoever wants no control groups gives up.
fn limits(resources: &LinuxResources) -> bool {
    let mut rest = resources.clone();
    rest.set_devices(None);
    rest != LinuxResources::default()
}

impl Folder {
    /// Makes a named pipe and opens it for both directions, so that opening never waits and reading never ends.
    fn pipe(&self, name: &str) -> Result<OwnedFd> {
        let path = self.0.join(name);
        let failed = |error: std::io::Error| Error::io(format!("make the pipe {}", path.display()), error);
        mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .map_err(|error| failed(error.into()))?;
        OpenOptions::new().read(true).write(true).open(&path).map(OwnedFd::from).map_err(failed)
    }

    fn lock(&self) -> Result<File> {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::NotFound { what: format!("container state {}", self.0.display()) }
            }
            _ => Error::io(format!("lock {}", self.0.display()), error),
        };
        let folder = File::open(&self.0).map_err(failed)?;
        rustix::fs::flock(&folder, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|error| failed(error.into()))?;
        Ok(folder)
    }
}

/// Waits until the process of a pidfd has ended, whoever's child it is.
fn ended(pidfd: BorrowedFd<'_>) -> Result<()> {
    poll_ended(pidfd, true).map(drop)
}

fn poll_ended(pidfd: BorrowedFd<'_>, block: bool) -> Result<bool> {
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        let mut list = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
        match poll(&mut list, if block { None } else { Some(&now) }) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::io("poll a pidfd", error)),
        }
    }
}
