//! An allocator that notices when it is called by a container's first process before it executed another program:
//! that process shares this memory, where another thread may hold any lock.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

struct Watching;

#[global_allocator]
static ALLOCATOR: Watching = Watching;

static PROCESS: AtomicI32 = AtomicI32::new(0);
static TRESPASSES: AtomicUsize = AtomicUsize::new(0);

/// From now on only this process may allocate.
pub(crate) fn remember_process() {
    PROCESS.store(std::process::id() as i32, Ordering::SeqCst);
}

/// How often another process allocated in this memory.
pub(crate) fn trespasses() -> usize {
    TRESPASSES.load(Ordering::SeqCst)
}

fn watch() {
    let process = PROCESS.load(Ordering::Relaxed);
    // SAFETY: getpid takes nothing and cannot fail; not libc's function, which may answer from memory.
    let own = unsafe { libc::syscall(libc::SYS_getpid) };
    if process != 0 && own != libc::c_long::from(process) {
        // The memory is shared: the parent sees the count.
        TRESPASSES.fetch_add(1, Ordering::SeqCst);
        // SAFETY: ends the trespasser at once.
        unsafe { libc::syscall(libc::SYS_exit_group, 99) };
    }
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        watch();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        watch();
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}
