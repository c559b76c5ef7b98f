//! System calls as single instructions: no libc, no `errno`, no thread-local storage.

use core::arch::asm;

/// A system's error number, as the kernel returned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

impl From<Errno> for std::io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

/// Six arguments; the unused ones are zero.
///
/// # Safety
/// The arguments must be what the system call `number` takes: pointers valid for what the kernel reads and writes.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) unsafe fn syscall(number: libc::c_long, args: [usize; 6]) -> Result<usize, Errno> {
    let [a, b, c, d, e, f] = args;
    let result: isize;
    // SAFETY: the caller vouches for the arguments; the instruction clobbers rcx and r11 alone.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    check(result)
}

/// Six arguments; the unused ones are zero.
///
/// # Safety
/// The arguments must be what the system call `number` takes: pointers valid for what the kernel reads and writes.
#[cfg(target_arch = "aarch64")]
#[inline]
pub(super) unsafe fn syscall(number: libc::c_long, args: [usize; 6]) -> Result<usize, Errno> {
    let [a, b, c, d, e, f] = args;
    let result: isize;
    // SAFETY: the caller vouches for the arguments; the instruction clobbers x0 alone.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    check(result)
}

/// The kernel returns errors as -4095..=-1.
fn check(result: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&result) { Err(Errno(result.wrapping_neg() as i32)) } else { Ok(result as usize) }
}
