//! The code of the stub: the last program before the container's own.
//!
//! It is a loop over a table of system calls, and knows nothing else. What it is for and how the table is made is
//! told in [`crate::tail`].

use core::arch::global_asm;
use std::slice;

/// Where the table begins in the stub's memory. The code is mapped one [`SPACING`] below.
pub(crate) const DATA: u64 = 0x42_0000;
/// Distance between code and data: a multiple of every page size that Linux has.
pub(crate) const SPACING: u64 = 0x1_0000;
/// The address of the two words of a failure report, the first thing in the data.
pub(crate) const REPORT: u64 = DATA;
/// The address of the first record.
pub(crate) const TABLE: u64 = DATA + 64;
/// The descriptor to which a failure is written.
pub(crate) const REPORT_FD: i32 = 3;

// A record is eight words: number, six arguments, and what to do when the call fails:
//   0  report the failure and end
//   1  go on
//   2  go on, but remember the failure unless it is ENOENT (a search for a program)
//   3  report the remembered failure (ENOENT if there is none) and end
// The report is two words: the address of the record, and the negated error number.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".pushsection .rodata.oci_runtime_stub, \"a\"",
    ".hidden oci_runtime_stub_begin",
    ".hidden oci_runtime_stub_end",
    ".globl oci_runtime_stub_begin",
    ".globl oci_runtime_stub_end",
    "oci_runtime_stub_begin:",
    "    mov rbx, {table}",           // rbx: the current record
    "    mov r12, -2",                // r12: the remembered failure, -ENOENT at first
    "20: mov rax, [rbx]",             // the number of the system call
    "    mov rdi, [rbx + 8]",         // its six arguments
    "    mov rsi, [rbx + 16]",
    "    mov rdx, [rbx + 24]",
    "    mov r10, [rbx + 32]",
    "    mov r8, [rbx + 40]",
    "    mov r9, [rbx + 48]",
    "    syscall",                    // execve ends the loop: it does not come back
    "    cmp rax, -4095",             // -4095..-1, unsigned the highest values, is a failure
    "    jae 40f",
    "30: add rbx, 64",                // the next record
    "    jmp 20b",
    "40: cmp qword ptr [rbx + 56], 1",
    "    jb 60f",                     // 0: report
    "    je 30b",                     // 1: go on
    "    cmp qword ptr [rbx + 56], 2",
    "    ja 50f",                     // 3: report what was remembered
    "    cmp rax, -2",                // 2: remember, unless ENOENT
    "    je 30b",
    "    mov r12, rax",
    "    jmp 30b",
    "50: mov rax, r12",
    "60: mov rsi, {report}",
    "    mov [rsi], rbx",             // which record
    "    mov [rsi + 8], rax",         // why
    "    mov edi, {report_fd}",
    "    mov edx, 16",
    "    mov eax, {write}",
    "    syscall",
    "    mov edi, 127",               // nobody may be left to read the report: end like a shell would
    "    mov eax, {exit_group}",
    "    syscall",
    "    ud2",                        // not reached
    "oci_runtime_stub_end:",
    ".popsection",
    table = const TABLE,
    report = const REPORT,
    report_fd = const REPORT_FD,
    write = const libc::SYS_write,
    exit_group = const libc::SYS_exit_group,
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".pushsection .rodata.oci_runtime_stub, \"a\"",
    ".balign 4",
    ".hidden oci_runtime_stub_begin",
    ".hidden oci_runtime_stub_end",
    ".globl oci_runtime_stub_begin",
    ".globl oci_runtime_stub_end",
    "oci_runtime_stub_begin:",
    "    movz x19, #{table_low}",              // x19: the current record
    "    movk x19, #{table_high}, lsl #16",
    "    movn x20, #1",                        // x20: the remembered failure, -ENOENT (-2) at first
    "20: ldr x8, [x19]",                       // the number of the system call
    "    ldp x0, x1, [x19, #8]",               // its six arguments
    "    ldp x2, x3, [x19, #24]",
    "    ldp x4, x5, [x19, #40]",
    "    svc #0",                              // execve ends the loop: it does not come back
    "    cmn x0, #4095",                       // -4095..-1, unsigned the highest values, is a failure
    "    b.hs 40f",
    "30: add x19, x19, #64",                   // the next record
    "    b 20b",
    "40: ldr x9, [x19, #56]",
    "    cbz x9, 60f",                         // 0: report
    "    cmp x9, #2",
    "    b.lo 30b",                            // 1: go on
    "    b.hi 50f",                            // 3: report what was remembered
    "    cmn x0, #2",                          // 2: remember, unless ENOENT
    "    b.eq 30b",
    "    mov x20, x0",
    "    b 30b",
    "50: mov x0, x20",
    "60: movz x1, #{report_low}",
    "    movk x1, #{report_high}, lsl #16",
    "    stp x19, x0, [x1]",                   // which record, and why
    "    movz x0, #{report_fd}",
    "    movz x2, #16",
    "    movz x8, #{write}",
    "    svc #0",
    "    movz x0, #127",                       // nobody may be left to read the report: end like a shell would
    "    movz x8, #{exit_group}",
    "    svc #0",
    "    brk #1",                              // not reached
    "oci_runtime_stub_end:",
    ".popsection",
    table_low = const TABLE & 0xffff,
    table_high = const TABLE >> 16,
    report_low = const REPORT & 0xffff,
    report_high = const REPORT >> 16,
    report_fd = const REPORT_FD,
    write = const libc::SYS_write,
    exit_group = const libc::SYS_exit_group,
);

unsafe extern "C" {
    static oci_runtime_stub_begin: u8;
    static oci_runtime_stub_end: u8;
}

/// The machine code: position dependent only in the address of its table.
pub(crate) fn code() -> &'static [u8] {
    let begin = &raw const oci_runtime_stub_begin;
    let end = &raw const oci_runtime_stub_end;
    // SAFETY: both symbols are in the same read-only section, begin before end, as assembled above.
    unsafe { slice::from_raw_parts(begin, end as usize - begin as usize) }
}
