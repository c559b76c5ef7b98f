//! A child that shares the caller's memory, on a stack of its own.

use core::arch::asm;
use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};

const STACK: usize = 256 * 1024;
/// Covers every page size that Linux has.
const GUARD: usize = 64 * 1024;

/// A mapped stack with a guard below it.
#[derive(Debug)]
pub(crate) struct Stack(NonNull<c_void>);

// SAFETY: the mapping belongs to this value alone.
unsafe impl Send for Stack {}

impl Stack {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                GUARD + STACK,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self(NonNull::new(base).ok_or_else(io::Error::last_os_error)?);
        // SAFETY: the lowest pages of the mapping made above, which nobody uses yet.
        if unsafe { libc::mprotect(base, GUARD, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; whoever drops it knows that the child has left it.
        unsafe { libc::munmap(self.0.as_ptr(), GUARD + STACK) };
    }
}

/// The kernel's `struct clone_args` (Linux 5.7).
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A child: its id in the caller's pid namespace, and its pidfd.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
}

/// `clone3` with CLONE_VM, CLONE_PIDFD and CLONE_CLEAR_SIGHAND (Linux 5.5), and with CLONE_INTO_CGROUP (5.7) where
/// `cgroup` is given. The child runs `entry(argument)` with all signals blocked.
///
/// The child has exit signal 0 until it executes a program: the host's `SIGCHLD` handler and `waitpid(-1)` do not
/// see a child that failed before.
///
/// # Safety
/// `entry` must not return, unwind, allocate, lock, or use thread-local storage: the child shares all of the
/// caller's memory while other threads go on. `stack` and `argument` must live until the child has executed a
/// program or ended.
pub(crate) unsafe fn clone_vm<T: Sync>(
    flags: u64,
    cgroup: Option<RawFd>,
    stack: &Stack,
    entry: extern "C" fn(*const T) -> !,
    argument: *const T,
) -> io::Result<Child> {
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: flags | libc::CLONE_VM as u64 | libc::CLONE_PIDFD as u64 | CLONE_CLEAR_SIGHAND,
        pidfd: (&raw mut pidfd) as u64,
        stack: stack.0.as_ptr() as u64 + GUARD as u64,
        stack_size: STACK as u64,
        ..CloneArgs::default()
    };
    if let Some(fd) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = fd as u64;
    }
    let mask = block_signals()?;
    // SAFETY: the arguments are alive until the call returns; the caller vouches for entry, stack and argument.
    let result = unsafe { clone3(&args, entry as *const c_void, argument.cast()) };
    restore_signals(&mask);
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result as i32));
    }
    // SAFETY: the kernel stored a fresh descriptor, which nobody else knows.
    Ok(Child { pid: result as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
}

/// Blocks every signal for the calling thread, so that none of the host's handlers runs on the child's stack.
fn block_signals() -> io::Result<libc::sigset_t> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are written by libc before they are read.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        match libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) {
            0 => Ok(before.assume_init()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

fn restore_signals(mask: &libc::sigset_t) {
    // SAFETY: the set came from `block_signals`.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut()) };
}

/// The parent returns from here; the child starts on its own stack and calls `entry`, never to return.
///
/// # Safety
/// As [`clone_vm`].
#[cfg(target_arch = "x86_64")]
unsafe fn clone3(args: &CloneArgs, entry: *const c_void, argument: *const c_void) -> isize {
    let result: isize;
    // SAFETY: the child never leaves the block by its end; the parent sees an ordinary system call.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            // The child: rsp is the top of the new stack, aligned to 16. No caller's frame above it.
            "xor ebp, ebp",
            "mov rdi, r8",
            "call r9",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") ptr::from_ref(args),
            in("rsi") size_of::<CloneArgs>(),
            in("r8") argument,
            in("r9") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// The parent returns from here; the child starts on its own stack and calls `entry`, never to return.
///
/// # Safety
/// As [`clone_vm`].
#[cfg(target_arch = "aarch64")]
unsafe fn clone3(args: &CloneArgs, entry: *const c_void, argument: *const c_void) -> isize {
    let result: isize;
    // SAFETY: the child never leaves the block by its end; the parent sees an ordinary system call.
    unsafe {
        asm!(
            "svc #0",
            "cbnz x0, 2f",
            // The child: sp is the top of the new stack, aligned to 16. No caller's frame above it.
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x4",
            "blr x5",
            "brk #1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") ptr::from_ref(args) => result,
            in("x1") size_of::<CloneArgs>(),
            in("x4") argument,
            in("x5") entry,
        );
    }
    result
}
