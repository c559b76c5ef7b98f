//! What the child may do: one function per system call, nothing of libc's state.
//!
//! Descriptors are plain numbers here: the child has its own table of them, never closes one by accident, and all
//! of them are gone when it executes a program.

use std::ffi::CStr;
use std::mem::MaybeUninit;

use super::raw::{Errno, syscall};

type Result<T> = std::result::Result<T, Errno>;

/// A descriptor in the child's own table.
pub(crate) type Fd = i32;

const ZERO: usize = 0;

fn p(path: &CStr) -> usize {
    path.as_ptr() as usize
}

fn fd(value: usize) -> Fd {
    value as Fd
}

/// Ends the child.
pub(crate) fn exit(code: i32) -> ! {
    loop {
        // SAFETY: exit_group takes a number and does not return.
        let _ = unsafe { syscall(libc::SYS_exit_group, [code as usize, ZERO, ZERO, ZERO, ZERO, ZERO]) };
    }
}

pub(crate) fn write(to: Fd, bytes: &[u8]) -> Result<usize> {
    // SAFETY: the kernel reads the slice alone.
    unsafe { syscall(libc::SYS_write, [to as usize, bytes.as_ptr() as usize, bytes.len(), ZERO, ZERO, ZERO]) }
}

/// Reads one byte; false at the end of the file.
pub(crate) fn read_byte(from: Fd) -> Result<bool> {
    let mut byte = 0u8;
    // SAFETY: the kernel writes one byte into a local.
    unsafe { syscall(libc::SYS_read, [from as usize, (&raw mut byte) as usize, 1, ZERO, ZERO, ZERO]) }
        .map(|read| read == 1)
}

/// Reads into the buffer; zero at the end of the file.
pub(crate) fn read(from: Fd, into: &mut [u8]) -> Result<usize> {
    let arguments = [from as usize, into.as_mut_ptr() as usize, into.len(), ZERO, ZERO, ZERO];
    // SAFETY: the kernel writes into the slice alone.
    unsafe { syscall(libc::SYS_read, arguments) }
}

/// getdents64(2): how much of the buffer is filled; zero at the end of the folder.
pub(crate) fn entries(of: Fd, into: &mut [u8]) -> Result<usize> {
    let arguments = [of as usize, into.as_mut_ptr() as usize, into.len(), ZERO, ZERO, ZERO];
    // SAFETY: the kernel writes into the slice alone.
    unsafe { syscall(libc::SYS_getdents64, arguments) }
}

/// readlinkat(2): the length of the link's content, without a NUL.
pub(crate) fn readlinkat(dir: Fd, name: &CStr, into: &mut [u8]) -> Result<usize> {
    let arguments = [dir as usize, p(name), into.as_mut_ptr() as usize, into.len(), ZERO, ZERO];
    // SAFETY: the kernel reads a C string and writes into the slice alone.
    unsafe { syscall(libc::SYS_readlinkat, arguments) }
}

/// fchmod(2).
pub(crate) fn fchmod(of: Fd, mode: u32) -> Result<()> {
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_fchmod, [of as usize, mode as usize, ZERO, ZERO, ZERO, ZERO]) }.map(drop)
}

/// utimensat(2) with the times that were found elsewhere, without following a link; of `dir` itself for an empty name.
pub(crate) fn set_times(dir: Fd, name: &CStr, like: &Stat) -> Result<()> {
    let times = [like.accessed, like.modified];
    let flags = libc::AT_SYMLINK_NOFOLLOW as usize;
    // A null path stands for the descriptor itself (AT_EMPTY_PATH is only known since Linux 5.8).
    let path = if name.is_empty() { ZERO } else { p(name) };
    let flags = if name.is_empty() { ZERO } else { flags };
    // SAFETY: the kernel reads a C string and two timespecs of two words each.
    unsafe {
        syscall(libc::SYS_utimensat, [dir as usize, path, (&raw const times) as usize, flags, ZERO, ZERO])
    }
    .map(drop)
}

/// close_range(2), Linux 5.9.
pub(crate) fn close_range(first: u32, last: u32) -> Result<()> {
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_close_range, [first as usize, last as usize, ZERO, ZERO, ZERO, ZERO]) }
        .map(drop)
}

/// dup3(2): `target` will survive execve unless `close_on_exec`.
pub(crate) fn dup3(from: Fd, target: Fd, close_on_exec: bool) -> Result<()> {
    let flags = if close_on_exec { libc::O_CLOEXEC as usize } else { 0 };
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_dup3, [from as usize, target as usize, flags, ZERO, ZERO, ZERO]) }.map(drop)
}

/// A copy of `from` numbered at least `lowest`, closed on exec.
pub(crate) fn dup_above(from: Fd, lowest: Fd) -> Result<Fd> {
    let command = libc::F_DUPFD_CLOEXEC as usize;
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_fcntl, [from as usize, command, lowest as usize, ZERO, ZERO, ZERO]) }.map(fd)
}

pub(crate) fn close(which: Fd) {
    // SAFETY: a number only; the child's own table.
    let _ = unsafe { syscall(libc::SYS_close, [which as usize, ZERO, ZERO, ZERO, ZERO, ZERO]) };
}

pub(crate) fn setsid() -> Result<()> {
    // SAFETY: no arguments.
    unsafe { syscall(libc::SYS_setsid, [ZERO; 6]) }.map(drop)
}

/// umask(2) of the child alone: it does not share the caller's `fs_struct`.
pub(crate) fn umask(mask: u32) {
    // SAFETY: a number only.
    let _ = unsafe { syscall(libc::SYS_umask, [mask as usize, ZERO, ZERO, ZERO, ZERO, ZERO]) };
}

pub(crate) fn unshare(flags: u64) -> Result<()> {
    // SAFETY: numbers only; without CLONE_VM or CLONE_THREAD it changes the calling process alone.
    unsafe { syscall(libc::SYS_unshare, [flags as usize, ZERO, ZERO, ZERO, ZERO, ZERO]) }.map(drop)
}

pub(crate) fn setns(namespace: Fd, kind: u64) -> Result<()> {
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_setns, [namespace as usize, kind as usize, ZERO, ZERO, ZERO, ZERO]) }.map(drop)
}

/// Gives signal `number` its default action (an ignored signal stays ignored across clone3 and execve).
pub(crate) fn default_action(number: u32) {
    // The kernel's sigaction, all zero: SIG_DFL, no flags, empty mask.
    let action = [0u64; 4];
    let arguments = [number as usize, (&raw const action) as usize, ZERO, 8, ZERO, ZERO];
    // SAFETY: the kernel reads the array alone. SIGKILL and SIGSTOP are refused, which is what they should be.
    let _ = unsafe { syscall(libc::SYS_rt_sigaction, arguments) };
}

pub(crate) fn sethostname(name: &CStr) -> Result<()> {
    // SAFETY: the kernel reads the given length.
    unsafe { syscall(libc::SYS_sethostname, [p(name), name.count_bytes(), ZERO, ZERO, ZERO, ZERO]) }.map(drop)
}

pub(crate) fn setdomainname(name: &CStr) -> Result<()> {
    // SAFETY: the kernel reads the given length.
    unsafe { syscall(libc::SYS_setdomainname, [p(name), name.count_bytes(), ZERO, ZERO, ZERO, ZERO]) }
        .map(drop)
}

/// Brings the interface `lo` up.
pub(crate) fn loopback_up() -> Result<()> {
    let kind = (libc::SOCK_DGRAM | libc::SOCK_CLOEXEC) as usize;
    // SAFETY: numbers only.
    let socket =
        unsafe { syscall(libc::SYS_socket, [libc::AF_INET as usize, kind, ZERO, ZERO, ZERO, ZERO]) }?;
    // struct ifreq: 16 bytes of name, then a union that begins with the flags.
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as u16;
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    let arguments = [socket, libc::SIOCSIFFLAGS as usize, (&raw const request) as usize, ZERO, ZERO, ZERO];
    // SAFETY: the kernel reads one ifreq of 40 bytes.
    let result = unsafe { syscall(libc::SYS_ioctl, arguments) }.map(drop);
    close(fd(socket));
    result
}

/// What is known of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) mode: u32,
    pub(crate) rdev_major: u32,
    pub(crate) rdev_minor: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds, as the kernel's timespec has them.
    accessed: [i64; 2],
    modified: [i64; 2],
}

impl Stat {
    pub(crate) fn is_directory(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    pub(crate) fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }

    pub(crate) fn is_regular(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }
}

/// statx(2) of `path` below `dir`, or of `dir` itself for an empty path; a symbolic link is not followed.
pub(crate) fn stat(dir: Fd, path: &CStr) -> Result<Stat> {
    let mut buffer = MaybeUninit::<libc::statx>::zeroed();
    let flags = (libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH | libc::AT_NO_AUTOMOUNT) as usize;
    let mask = libc::STATX_BASIC_STATS as usize;
    let arguments = [dir as usize, p(path), flags, mask, buffer.as_mut_ptr() as usize, ZERO];
    // SAFETY: the kernel fills one statx, which is valid when zeroed.
    let found = unsafe {
        syscall(libc::SYS_statx, arguments)?;
        buffer.assume_init()
    };
    Ok(Stat {
        mode: u32::from(found.stx_mode),
        rdev_major: found.stx_rdev_major,
        rdev_minor: found.stx_rdev_minor,
        uid: found.stx_uid,
        gid: found.stx_gid,
        accessed: [found.stx_atime.tv_sec, i64::from(found.stx_atime.tv_nsec)],
        modified: [found.stx_mtime.tv_sec, i64::from(found.stx_mtime.tv_nsec)],
    })
}

/// The magic number of the file system that `of` is on.
pub(crate) fn file_system(of: Fd) -> Result<i64> {
    let mut buffer = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the kernel fills one statfs, which is valid when zeroed.
    let found = unsafe {
        syscall(libc::SYS_fstatfs, [of as usize, buffer.as_mut_ptr() as usize, ZERO, ZERO, ZERO, ZERO])?;
        buffer.assume_init()
    };
    Ok(found.f_type)
}

pub(crate) fn openat(dir: Fd, path: &CStr, flags: i32, mode: u32) -> Result<Fd> {
    let flags = (flags | libc::O_CLOEXEC) as usize;
    // SAFETY: the kernel reads a C string.
    unsafe { syscall(libc::SYS_openat, [dir as usize, p(path), flags, mode as usize, ZERO, ZERO]) }.map(fd)
}

/// openat2(2), Linux 5.6: `path` resolved with `root` as the root directory; magic links are refused.
pub(crate) fn open_in_root(root: Fd, path: &CStr, flags: i32, extra: u64) -> Result<Fd> {
    open_how(root, path, flags, libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS | extra)
}

/// openat2(2), Linux 5.6, with the given RESOLVE flags.
pub(crate) fn open_how(root: Fd, path: &CStr, flags: i32, resolve: u64) -> Result<Fd> {
    let how = [(flags | libc::O_CLOEXEC) as u64, 0, resolve];
    loop {
        let arguments = [root as usize, p(path), (&raw const how) as usize, size_of_val(&how), ZERO, ZERO];
        // SAFETY: the kernel reads a C string and one open_how of three words.
        match unsafe { syscall(libc::SYS_openat2, arguments) } {
            // A rename or mount elsewhere raced with a `..`: the kernel asks to try again.
            Err(Errno(libc::EAGAIN)) => {}
            other => return other.map(fd),
        }
    }
}

pub(crate) fn mkdirat(dir: Fd, name: &CStr, mode: u32) -> Result<()> {
    // SAFETY: the kernel reads a C string.
    unsafe { syscall(libc::SYS_mkdirat, [dir as usize, p(name), mode as usize, ZERO, ZERO, ZERO]) }.map(drop)
}

pub(crate) fn mknodat(dir: Fd, name: &CStr, mode: u32, device: u64) -> Result<()> {
    let arguments = [dir as usize, p(name), mode as usize, device as usize, ZERO, ZERO];
    // SAFETY: the kernel reads a C string.
    unsafe { syscall(libc::SYS_mknodat, arguments) }.map(drop)
}

pub(crate) fn symlinkat(content: &CStr, dir: Fd, name: &CStr) -> Result<()> {
    // SAFETY: the kernel reads two C strings.
    unsafe { syscall(libc::SYS_symlinkat, [p(content), dir as usize, p(name), ZERO, ZERO, ZERO]) }.map(drop)
}

/// fchownat(2) without following a link; of `dir` itself for an empty name.
pub(crate) fn chown(dir: Fd, name: &CStr, uid: u32, gid: u32) -> Result<()> {
    let flags = (libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH) as usize;
    let arguments = [dir as usize, p(name), uid as usize, gid as usize, flags, ZERO];
    // SAFETY: the kernel reads a C string.
    unsafe { syscall(libc::SYS_fchownat, arguments) }.map(drop)
}

/// setresuid(2), all three, of the calling thread alone. Never in memory that is shared with the host.
pub(crate) fn setuid(id: u32) -> Result<()> {
    let id = id as usize;
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_setresuid, [id, id, id, ZERO, ZERO, ZERO]) }.map(drop)
}

/// setresgid(2), all three, of the calling thread alone. Never in memory that is shared with the host.
pub(crate) fn setgid(id: u32) -> Result<()> {
    let id = id as usize;
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_setresgid, [id, id, id, ZERO, ZERO, ZERO]) }.map(drop)
}

pub(crate) fn fchdir(dir: Fd) -> Result<()> {
    // SAFETY: a number only; the child does not share its working directory.
    unsafe { syscall(libc::SYS_fchdir, [dir as usize, ZERO, ZERO, ZERO, ZERO, ZERO]) }.map(drop)
}

/// Whether the working directory can be reached from the root (getcwd(2) says `(unreachable)` where not).
pub(crate) fn cwd_is_reachable() -> Result<bool> {
    let mut buffer = [0u8; 4096];
    let arguments = [(&raw mut buffer) as usize, size_of_val(&buffer), ZERO, ZERO, ZERO, ZERO];
    // SAFETY: the kernel writes into a local of the given size.
    unsafe { syscall(libc::SYS_getcwd, arguments) }?;
    Ok(matches!(buffer, [b'/', ..]))
}

/// Whether `path`, from the working directory, may be executed by the effective ids; EACCES where not.
pub(crate) fn executable(path: &CStr) -> Result<()> {
    let arguments =
        [libc::AT_FDCWD as usize, p(path), libc::X_OK as usize, libc::AT_EACCESS as usize, ZERO, ZERO];
    // SAFETY: the kernel reads a C string.
    unsafe { syscall(libc::SYS_faccessat2, arguments) }.map(drop)
}

/// `pivot_root(".", ".")`.
pub(crate) fn pivot_root_here() -> Result<()> {
    // SAFETY: the kernel reads two C strings; the child's own mount namespace.
    unsafe { syscall(libc::SYS_pivot_root, [p(c"."), p(c"."), ZERO, ZERO, ZERO, ZERO]) }.map(drop)
}

/// umount2(2) with MNT_DETACH of the working directory's mount.
pub(crate) fn detach_here() -> Result<()> {
    // SAFETY: the kernel reads a C string; the child's own mount namespace.
    unsafe { syscall(libc::SYS_umount2, [p(c"."), libc::MNT_DETACH as usize, ZERO, ZERO, ZERO, ZERO]) }
        .map(drop)
}

/// open_tree(2), Linux 5.2: a detached copy of the mount at `path`, with everything below when `recursive`.
pub(crate) fn clone_tree(dir: Fd, path: &CStr, recursive: bool) -> Result<Fd> {
    let deep = if recursive { libc::AT_RECURSIVE } else { 0 };
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC | libc::AT_EMPTY_PATH | deep;
    let arguments = [dir as usize, p(path), flags as usize, ZERO, ZERO, ZERO];
    // SAFETY: the kernel reads a C string.
    unsafe { syscall(libc::SYS_open_tree, arguments) }.map(fd)
}

/// move_mount(2), Linux 5.2: the detached mount `from` onto the file or directory that `onto` is open on.
pub(crate) fn attach(from: Fd, onto: Fd) -> Result<()> {
    let flags = (MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) as usize;
    let arguments = [from as usize, p(c""), onto as usize, p(c""), flags, ZERO];
    // SAFETY: the kernel reads two C strings; the child's own mount namespace.
    unsafe { syscall(libc::SYS_move_mount, arguments) }.map(drop)
}

const OPEN_TREE_CLONE: i32 = 1;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;

/// The argument of mount_setattr(2).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MountAttr {
    pub(crate) set: u64,
    pub(crate) clear: u64,
    pub(crate) propagation: u64,
    pub(crate) userns_fd: u64,
}

/// mount_setattr(2), Linux 5.12.
pub(crate) fn mount_setattr(dir: Fd, path: &CStr, recursive: bool, attr: &MountAttr) -> Result<()> {
    let deep = if recursive { libc::AT_RECURSIVE } else { 0 };
    let flags = (libc::AT_EMPTY_PATH | deep) as usize;
    let pointer = std::ptr::from_ref(attr) as usize;
    let arguments = [dir as usize, p(path), flags, pointer, size_of::<MountAttr>(), ZERO];
    // SAFETY: the kernel reads a C string and one mount_attr; the child's own mount namespace.
    unsafe { syscall(libc::SYS_mount_setattr, arguments) }.map(drop)
}

/// fsopen(2), Linux 5.2.
pub(crate) fn fsopen(kind: &CStr) -> Result<Fd> {
    const FSOPEN_CLOEXEC: usize = 1;
    // SAFETY: the kernel reads a C string.
    unsafe { syscall(libc::SYS_fsopen, [p(kind), FSOPEN_CLOEXEC, ZERO, ZERO, ZERO, ZERO]) }.map(fd)
}

/// fsconfig(2) with FSCONFIG_SET_FLAG or FSCONFIG_SET_STRING.
pub(crate) fn fsconfig(context: Fd, key: &CStr, value: Option<&CStr>) -> Result<()> {
    let (command, value) = value.map_or((0, 0), |value| (1, p(value)));
    // SAFETY: the kernel reads C strings.
    unsafe { syscall(libc::SYS_fsconfig, [context as usize, command, p(key), value, ZERO, ZERO]) }.map(drop)
}

/// fsconfig(2) with FSCONFIG_CMD_CREATE.
pub(crate) fn fscreate(context: Fd) -> Result<()> {
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_fsconfig, [context as usize, 6, ZERO, ZERO, ZERO, ZERO]) }.map(drop)
}

/// fsmount(2), Linux 5.2.
pub(crate) fn fsmount(context: Fd, attributes: u64) -> Result<Fd> {
    const FSMOUNT_CLOEXEC: usize = 1;
    let arguments = [context as usize, FSMOUNT_CLOEXEC, attributes as usize, ZERO, ZERO, ZERO];
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_fsmount, arguments) }.map(fd)
}

/// Makes every permitted capability inheritable, so that it can be made ambient.
pub(crate) fn inherit_capabilities() -> Result<()> {
    let header = [CAPABILITY_VERSION_3, 0];
    let mut sets = [0u32; 6];
    let arguments = [(&raw const header) as usize, (&raw mut sets) as usize, ZERO, ZERO, ZERO, ZERO];
    // SAFETY: a version 3 header of two words, and two structures of three words.
    unsafe { syscall(libc::SYS_capget, arguments) }?;
    let [effective_low, permitted_low, _, effective_high, permitted_high, _] = sets;
    let sets = [effective_low, permitted_low, permitted_low, effective_high, permitted_high, permitted_high];
    let arguments = [(&raw const header) as usize, (&raw const sets) as usize, ZERO, ZERO, ZERO, ZERO];
    // SAFETY: as above; the kernel only reads.
    unsafe { syscall(libc::SYS_capset, arguments) }.map(drop)
}

/// The version of the capability structures with 64 bits.
pub(crate) const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE).
pub(crate) fn raise_ambient(capability: u32) -> Result<()> {
    let (option, raise) = (libc::PR_CAP_AMBIENT as usize, libc::PR_CAP_AMBIENT_RAISE as usize);
    // SAFETY: numbers only.
    unsafe { syscall(libc::SYS_prctl, [option, raise, capability as usize, ZERO, ZERO, ZERO]) }.map(drop)
}

/// execveat(2) of the file that `program` is open on.
pub(crate) fn execute(program: Fd) -> Errno {
    let arguments = [c"oci-runtime-init".as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null::<libc::c_char>()];
    let flags = libc::AT_EMPTY_PATH as usize;
    let (arguments, environment) = ((&raw const arguments) as usize, (&raw const environment) as usize);
    // SAFETY: the kernel reads two arrays that end with a null pointer, and C strings.
    match unsafe {
        syscall(libc::SYS_execveat, [program as usize, p(c""), arguments, environment, flags, ZERO])
    } {
        Ok(_) => Errno(0),
        Err(errno) => errno,
    }
}
