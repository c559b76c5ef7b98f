//! A child that shares the caller's memory, on a stack of its own.

use core::arch::asm;
use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::enter::Program;

const STACK: usize = 256 * 1024;
/// Covers every page size that Linux has.
const GUARD: usize = 64 * 1024;
/// At the top, kept free of the child's frames and of a multiple of their alignment.
const RESERVED: usize = 64;

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

    /// A word above the child's frames: 1 while the child is in this memory. The kernel clears it and wakes who waits
    /// for it when the child executes a program or ends (CLONE_CHILD_CLEARTID, set_tid_address(2)).
    fn inhabited(&self) -> &AtomicU32 {
        // SAFETY: within the mapping, aligned, and used as an atomic word alone.
        unsafe { &*self.0.as_ptr().cast::<u8>().add(GUARD + STACK - RESERVED).cast::<AtomicU32>() }
    }

    fn wait(&self) {
        let word = self.inhabited();
        while word.load(Ordering::SeqCst) != 0 {
            let none = ptr::null::<libc::timespec>();
            // SAFETY: the word is alive; a spurious return only costs another look.
            unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, 1, none) };
        }
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

/// A child that may still be in the caller's memory; dropping it kills the child and waits until it has left.
///
/// It must not be leaked: what it borrows would be freed under the child's feet.
#[derive(Debug)]
pub(crate) struct Visitor<'a> {
    child: Option<Child>,
    stack: &'a Stack,
}

/// A child: its id in the caller's pid namespace, and its pidfd.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
}

/// `clone3` with CLONE_PIDFD and CLONE_CLEAR_SIGHAND (Linux 5.5), and with CLONE_INTO_CGROUP (5.7) where
/// `cgroup` is given. The child walks through the program with all signals blocked, in the caller's memory
/// (CLONE_VM) or in a copy of it.
///
/// The child has exit signal 0 until it executes a program: the host's `SIGCHLD` handler and `waitpid(-1)` do not
/// see a child that failed before.
pub(crate) fn spawn<'a>(
    flags: u64,
    cgroup: Option<RawFd>,
    shares_memory: bool,
    stack: &'a mut Stack,
    program: &'a Program,
) -> io::Result<Visitor<'a>> {
    let stack = &*stack;
    let mut pidfd: RawFd = -1;
    let sharing = if shares_memory { libc::CLONE_VM | libc::CLONE_CHILD_CLEARTID } else { 0 };
    let ours = libc::CLONE_PIDFD | sharing;
    let mut args = CloneArgs {
        flags: flags | ours as u64 | CLONE_CLEAR_SIGHAND,
        pidfd: (&raw mut pidfd) as u64,
        child_tid: ptr::from_ref(stack.inhabited()) as u64,
        stack: stack.0.as_ptr() as u64 + GUARD as u64,
        stack_size: (STACK - RESERVED) as u64,
        ..CloneArgs::default()
    };
    if let Some(fd) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = fd as u64;
    }
    stack.inhabited().store(u32::from(shares_memory), Ordering::SeqCst);
    let mask = block_signals()?;
    let program: *const Program = program;
    // SAFETY: the arguments are alive until the call returns. The child's entry does not return, unwind, allocate,
    // lock or touch thread-local storage; stack and program stay alive and unchanged as long as the visitor, and the
    // visitor does not go before the child has left this memory.
    let result = unsafe { clone3(&args, enter as *const c_void, program.cast()) };
    restore_signals(&mask);
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result as i32));
    }
    // SAFETY: the kernel stored a fresh descriptor, which nobody else knows.
    let child = Child { pid: result as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } };
    Ok(Visitor { child: Some(child), stack })
}

/// The entry of the child.
extern "C" fn enter(program: *const Program) -> ! {
    // SAFETY: `spawn` was given a reference that outlives the child's stay, and nobody changes what it refers to.
    crate::enter::run(unsafe { &*program })
}

impl Visitor<'_> {
    pub(crate) fn pid(&self) -> i32 {
        self.child.as_ref().map_or(0, |child| child.pid)
    }

    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.child.as_ref().map(|child| child.pidfd.as_fd())
    }

    /// Waits until the child has executed a program or ended.
    pub(crate) fn left(mut self) -> Option<Child> {
        self.stack.wait();
        self.child.take()
    }
}

impl Drop for Visitor<'_> {
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            let signal = [child.pidfd.as_raw_fd() as libc::c_long, libc::c_long::from(libc::SIGKILL), 0, 0];
            // SAFETY: numbers and a null pointer; the pidfd is open.
            unsafe {
                libc::syscall(libc::SYS_pidfd_send_signal, signal[0], signal[1], signal[2], signal[3]);
            }
            self.stack.wait();
            let _ = super::parent::wait_pidfd(child.pidfd.as_fd(), true);
        }
    }
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
/// As in [`spawn`], its only caller.
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
/// As in [`spawn`], its only caller.
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
