//! System calls of ordinary code that rustix does not have.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The wait status of a child that ended, by its pidfd; `None` while it runs and `block` is false.
///
/// `__WALL`, because a child that has not executed a program yet has no exit signal.
pub(crate) fn wait_pidfd(pidfd: BorrowedFd<'_>, block: bool) -> io::Result<Option<WaitStatus>> {
    let flags = libc::WEXITED | libc::__WALL | if block { 0 } else { libc::WNOHANG };
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: the kernel fills one siginfo, which is valid when zeroed.
        let (result, info) = unsafe {
            let id = pidfd.as_raw_fd() as libc::id_t;
            (libc::waitid(libc::P_PIDFD, id, info.as_mut_ptr(), flags), info.assume_init())
        };
        if result == 0 {
            // SAFETY: the fields of SIGCHLD, all zero when nothing was there to be waited for.
            let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
            if pid == 0 {
                return Ok(None);
            }
            return Ok(Some(match info.si_code {
                libc::CLD_EXITED => WaitStatus::Code(status as u8),
                _ => WaitStatus::Signal(status),
            }));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// pidfd_send_signal(2), for signals without a name.
pub(crate) fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: numbers and a null pointer.
    match unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether keyrings can be used: keyctl(2) asks for the caller's session keyring, without making one.
pub(crate) fn keyrings() -> io::Result<()> {
    // SAFETY: numbers only.
    let result = unsafe {
        let session = libc::c_long::from(libc::KEY_SPEC_SESSION_KEYRING);
        libc::syscall(libc::SYS_keyctl, libc::c_long::from(libc::KEYCTL_GET_KEYRING_ID), session, 0)
    };
    match io::Error::last_os_error() {
        error if result < 0 && matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => Err(error),
        // That there is none, or that it may not be seen, is an answer.
        _ => Ok(()),
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitStatus {
    Code(u8),
    Signal(i32),
}

/// The kernel's `struct pidfd_info`, its first version.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// How the process of a pidfd ended, once it was collected by anybody: ioctl PIDFD_GET_INFO with
/// PIDFD_INFO_EXIT, Linux 6.15. `None` where the kernel cannot say.
pub(crate) fn collected_status(pidfd: BorrowedFd<'_>) -> Option<WaitStatus> {
    const PIDFD_GET_INFO: libc::c_ulong = 0xC040_FF0B;
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the kernel reads and writes one structure of 64 bytes, as the request's size says.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO as _, &raw mut info) };
    if result != 0 || info.mask & PIDFD_INFO_EXIT == 0 {
        return None;
    }
    Some(match info.exit_code & 0x7f {
        0 => WaitStatus::Code((info.exit_code >> 8) as u8),
        signal => WaitStatus::Signal(signal),
    })
}
