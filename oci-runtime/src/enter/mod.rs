//! The child between `clone3` and the tail: an interpreter of steps.
//!
//! It shares the host's memory while the host's other threads go on, so it reads the program that the parent
//! prepared, keeps its own state on its own stack, and does nothing but system calls: no allocation, no lock, no
//! panic, no libc. It speaks to the parent in messages of two words over one socket.

mod copy;
mod device;
mod mount;
mod path;

use crate::step::{Keep, Step};
use crate::sys::Errno;
use crate::sys::call::{self, Fd};

/// What the child is given.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    /// The child's end of the socket.
    pub(crate) socket: Fd,
}

/// The first word of a failed step's message, with the step in its low half and the call in the bits above.
pub(crate) const FAILED: u64 = 1 << 63;
/// The first word of the message that init waits for `start`.
pub(crate) const READY: u64 = 1 << 62;
/// The first word of the message that the container's program is about to be executed.
pub(crate) const EXECUTING: u64 = 1 << 61;

/// What the child does. It never returns.
pub(crate) fn run(program: &Program) -> ! {
    let mut child =
        Child { socket: program.socket, root: -1, null: -1, oom_score: -1, masks: mount::Masks::NONE };
    // Modes of nodes and folders are given exactly; the tail sets the mask of the container's program.
    call::umask(0);
    let mut number = 0u64;
    for step in &program.steps {
        if let Err(failure) = child.perform(step) {
            let first = FAILED | (failure.call as u64) << 32 | number;
            let second = i64::from(failure.errno.0).wrapping_neg();
            let _ = call::write(child.socket, &message(first, second));
            call::exit(127);
        }
        number = number.wrapping_add(1);
    }
    call::exit(127)
}

/// A message: two words.
pub(crate) fn message(first: u64, second: i64) -> [u8; 16] {
    let words = u128::from(first) | (second as u64 as u128) << 64;
    words.to_le_bytes()
}

/// The words of a message.
pub(crate) fn words(message: [u8; 16]) -> (u64, i64) {
    let words = u128::from_le_bytes(message);
    (words as u64, (words >> 64) as u64 as i64)
}

/// What the child knows, on its own stack.
struct Child {
    socket: Fd,
    root: Fd,
    null: Fd,
    oom_score: Fd,
    masks: mount::Masks,
}

/// Why a step failed.
struct Failure {
    call: Call,
    errno: Errno,
}

type Result<T> = std::result::Result<T, Failure>;

macro_rules! calls {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// The call that failed, as a message carries it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Call { $($variant),* }

        impl Call {
            /// The name of the call with the given number.
            pub(crate) fn name(number: u64) -> &'static str {
                const NAMES: &[&str] = &[$($name),*];
                usize::try_from(number).ok().and_then(|number| NAMES.get(number)).copied().unwrap_or("unknown call")
            }
        }
    };
}

calls! {
    Attach = "move_mount",
    Chmod = "fchmod",
    Chown = "fchownat",
    CloneTree = "open_tree",
    CloseRange = "close_range",
    Detach = "umount2",
    Dup = "dup3",
    Entries = "getdents64",
    Execute = "execveat",
    Fchdir = "fchdir",
    Fsconfig = "fsconfig",
    Fscreate = "fsconfig(create)",
    Fsmount = "fsmount",
    Fsopen = "fsopen",
    Access = "faccessat2",
    Capset = "capset",
    Ioctl = "ioctl(SIOCSIFFLAGS)",
    Mkdir = "mkdirat",
    Mknod = "mknodat",
    Open = "openat",
    OpenInRoot = "openat2",
    Pivot = "pivot_root",
    Read = "read",
    Readlink = "readlinkat",
    Setattr = "mount_setattr",
    Setgid = "setresgid",
    Setuid = "setresuid",
    Setdomainname = "setdomainname",
    Sethostname = "sethostname",
    Setns = "setns",
    Setsid = "setsid",
    Stat = "statx",
    Symlink = "symlinkat",
    Times = "utimensat",
    TooDeep = "copy (too many folders in folders)",
    Unshare = "unshare",
    Write = "write",
    Reachable = "getcwd (the working directory is outside of the root)",
    NotANode = "statx (not the device that it should be)",
    NotProc = "fstatfs (not procfs)",
    NotARegularFile = "statx (not a regular file)",
}

/// Names the call of an error.
trait At<T> {
    fn at(self, call: Call) -> Result<T>;
}

impl<T> At<T> for std::result::Result<T, Errno> {
    fn at(self, call: Call) -> Result<T> {
        self.map_err(|errno| Failure { call, errno })
    }
}

fn fail<T>(call: Call, errno: i32) -> Result<T> {
    Err(Failure { call, errno: Errno(errno) })
}

impl Child {
    fn perform(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::CloseOthers(ranges) => {
                for (first, last) in ranges {
                    call::close_range(*first, *last).at(Call::CloseRange)?;
                }
                Ok(())
            }
            Step::DefaultSignals => {
                for number in 1..=64 {
                    call::default_action(number);
                }
                Ok(())
            }
            Step::AwaitCaller => match call::read_byte(self.socket).at(Call::Read)? {
                true => Ok(()),
                // The parent gave up, or is gone: nobody waits for a message.
                false => call::exit(127),
            },
            Step::EnterCgroup(tasks) => call::write(*tasks, b"0").at(Call::Write).map(drop),
            Step::OpenOomScore { proc } => {
                let flags = libc::O_WRONLY;
                self.oom_score = call::openat(*proc, c"self/oom_score_adj", flags, 0).at(Call::Open)?;
                Ok(())
            }
            Step::Join { namespace, kind, .. } => call::setns(*namespace, *kind).at(Call::Setns),
            Step::NewCgroupNamespace => call::unshare(libc::CLONE_NEWCGROUP as u64).at(Call::Unshare),
            Step::NewSession => call::setsid().at(Call::Setsid),
            Step::Stdio { from, to } => call::dup3(*from, *to, false).at(Call::Dup),
            Step::OwnStdio { which, uid, gid } => {
                // Only a comfort, and not possible where the pipe's owner is not mapped.
                let _ = call::chown(*which, c"", *uid, *gid);
                Ok(())
            }
            Step::Loopback => call::loopback_up().at(Call::Ioctl),
            Step::Hostname(name) => call::sethostname(name).at(Call::Sethostname),
            Step::Domainname(name) => call::setdomainname(name).at(Call::Setdomainname),
            Step::Propagation(propagation) => mount::propagate(libc::AT_FDCWD, c"/", *propagation),
            Step::Root { path, no_devices } => self.attach_root(path, *no_devices),
            Step::Become { uid, gid } => {
                call::setgid(*gid).at(Call::Setgid)?;
                call::setuid(*uid).at(Call::Setuid)
            }
            Step::Mount(mount) => self.mount(mount),
            Step::Link { content, at } => self.link(content, at),
            Step::OpenNull => self.open_null(),
            Step::Node(device) => self.node(device),
            Step::BindNode(device) => self.bind_node(device),
            Step::MakeFolder(folder) => {
                path::target(self.root, folder, path::Want::Folder, 0).map(call::close)
            }
            Step::Sysctl { path, value, .. } => mount::sysctl(path, value),
            Step::Mask(path) => self.mask(path),
            Step::ReadOnly(path) => self.read_only(path),
            Step::FolderReadOnly(at) => {
                let folder = path::target(self.root, at, path::Want::Existing, 0)?;
                let attr = call::MountAttr { set: libc::MOUNT_ATTR_RDONLY, ..call::MountAttr::default() };
                call::mount_setattr(folder, c"", false, &attr).at(Call::Setattr)?;
                call::close(folder);
                Ok(())
            }
            Step::RootReadOnly => {
                let attr = call::MountAttr { set: libc::MOUNT_ATTR_RDONLY, ..call::MountAttr::default() };
                call::mount_setattr(self.root, c"", false, &attr).at(Call::Setattr)
            }
            Step::RootPropagation(propagation) => mount::propagate(self.root, c"", *propagation),
            Step::Pivot => self.pivot(),
            Step::Cwd(path) => self.change_directory(path),
            Step::FindProgram(candidates) => find_program(candidates),
            Step::KeepCapabilities { last } => {
                call::inherit_capabilities().at(Call::Capset)?;
                for capability in 0..=*last {
                    // What is not permitted cannot be raised, and need not be.
                    let _ = call::raise_ambient(capability);
                }
                Ok(())
            }
            Step::Execute { program, keep } => self.execute(*program, keep),
        }
    }

    /// pivot_root(2), NOTES: with "." twice, the old root lies over the new one and is detached from there.
    fn pivot(&self) -> Result<()> {
        call::fchdir(self.root).at(Call::Fchdir)?;
        call::pivot_root_here().at(Call::Pivot)?;
        call::detach_here().at(Call::Detach)?;
        call::fchdir(self.root).at(Call::Fchdir)
    }

    /// The working directory is resolved in the root, without magic links: `/proc/self/fd/N` leads nowhere.
    fn change_directory(&self, path: &crate::plan::InRoot) -> Result<()> {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let folder = call::open_in_root(self.root, &path.whole, flags, 0).at(Call::OpenInRoot)?;
        call::fchdir(folder).at(Call::Fchdir)?;
        match call::cwd_is_reachable().at(Call::Reachable)? {
            true => Ok(()),
            false => fail(Call::Reachable, libc::ENOENT),
        }
    }

    /// Brings the descriptors to their places, closes all others, and leaves the host's memory.
    fn execute(&self, program: Fd, keep: &[(Keep, Fd)]) -> Result<()> {
        const ABOVE: Fd = 32;
        let mut moved = [-1; 8];
        for ((which, _), slot) in keep.iter().zip(&mut moved) {
            let from = match which {
                Keep::Given(from) => *from,
                Keep::OomScore => self.oom_score,
            };
            *slot = call::dup_above(from, ABOVE).at(Call::Dup)?;
        }
        let program = call::dup_above(program, ABOVE).at(Call::Dup)?;
        // The socket itself is among them: from here on a failure is told through its place.
        for ((_, target), from) in keep.iter().zip(&moved) {
            call::dup3(*from, *target, false).at(Call::Dup)?;
        }
        const PROGRAM: Fd = 16;
        call::dup3(program, PROGRAM, true).at(Call::Dup)?;
        let last = keep.iter().fold(2, |last, (_, target)| if *target > last { *target } else { last });
        call::close_range((last as u32).wrapping_add(1), PROGRAM as u32 - 1).at(Call::CloseRange)?;
        call::close_range(PROGRAM as u32 + 1, u32::MAX).at(Call::CloseRange)?;
        Err(Failure { call: Call::Execute, errno: call::execute(PROGRAM) })
    }
}

/// execvp's search, without executing: what is there but not executable counts more than what is not there.
fn find_program(candidates: &[std::ffi::CString]) -> Result<()> {
    let mut worst = Failure { call: Call::Access, errno: Errno(libc::ENOENT) };
    for path in candidates {
        match call::executable(path) {
            Ok(()) => {
                let file = call::openat(libc::AT_FDCWD, path, libc::O_PATH, 0).at(Call::Open)?;
                let found = call::stat(file, c"").at(Call::Stat)?;
                call::close(file);
                if found.is_regular() {
                    return Ok(());
                }
                worst = Failure { call: Call::NotARegularFile, errno: Errno(libc::EACCES) };
            }
            Err(Errno(libc::ENOENT | libc::ENOTDIR)) => {}
            Err(errno) => worst = Failure { call: Call::Access, errno },
        }
    }
    Err(worst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_travel() {
        for (first, second) in [(FAILED | 7 << 32 | 3, -2), (READY, 0), (u64::MAX, i64::MIN)] {
            assert_eq!(words(message(first, second)), (first, second));
        }
        assert_eq!(Call::name(Call::NotARegularFile as u64), "statx (not a regular file)");
        assert_eq!(Call::name(u64::MAX), "unknown call");
    }
}
