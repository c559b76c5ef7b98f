//! The last steps before the container's program, as a program of their own.
//!
//! Until here the child shares the host's memory. What changes credentials must not happen there: a change of
//! the user id clears the memory's dumpable flag, and so the host's (`commit_creds` in the kernel); a write to
//! `oom_score_adj` is applied to every process that shares the memory; and a process of the container that may
//! trace the child would read the host. Nor may an init that waits for `start` keep the host's memory alive.
//!
//! So the child executes a static ELF file of one page of code and one table, in a sealed memory file: a loop
//! over system calls ([`crate::sys::stub`]), made for this one container. The table drops groups, ids and
//! capabilities, waits for `start` where it should, and executes the container's program.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::seccomp::Instruction;
use crate::sys::stub::{self, DATA, REPORT, SPACING, TABLE};

/// The table, and the bytes that its pointers mean.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    calls: Vec<Call>,
    data: Vec<u8>,
    /// Places in the data that hold the address of another place.
    pointers: Vec<(usize, Argument)>,
}

/// One system call of the table.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Its name, for reports and `explain`.
    pub(crate) name: &'static str,
    /// What it is for.
    pub(crate) purpose: &'static str,
    number: libc::c_long,
    arguments: Vec<Argument>,
    failure: Failure,
}

/// What happens when a call fails; the numbers are known to the code of the stub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The failure is reported, and the process ends.
    Report = 0,
    /// Nothing: the call may fail.
    Ignore = 1,
    /// It is remembered, unless it is ENOENT, and the next record is tried.
    Remember = 2,
    /// What was remembered is reported, and the process ends.
    Recall = 3,
}

/// An argument of a call: a number, or a place in the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    Number(u64),
    Data(usize),
}

impl From<u64> for Argument {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Argument {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

/// Sign extended, as C does it.
impl From<i32> for Argument {
    fn from(number: i32) -> Self {
        Self::Number(i64::from(number) as u64)
    }
}

impl Tail {
    /// Appends a call whose failure ends the container.
    pub(crate) fn call(
        &mut self,
        name: &'static str,
        purpose: &'static str,
        number: libc::c_long,
        arguments: &[Argument],
    ) -> &mut Call {
        let arguments = arguments.to_vec();
        self.calls.push(Call { name, purpose, number, arguments, failure: Failure::Report });
        let last = self.calls.len() - 1;
        &mut self.calls[last]
    }

    /// Bytes for calls to point to, aligned to eight.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Argument {
        while !self.data.len().is_multiple_of(8) {
            self.data.push(0);
        }
        let place = self.data.len();
        self.data.extend_from_slice(bytes);
        Argument::Data(place)
    }

    /// A C string.
    pub(crate) fn string(&mut self, string: &CStr) -> Argument {
        self.bytes(string.to_bytes_with_nul())
    }

    /// An array of pointers that ends with a null pointer, as execve takes it.
    pub(crate) fn pointers(&mut self, places: &[Argument]) -> Argument {
        let array = self.bytes(&vec![0; (places.len() + 1) * 8]);
        if let Argument::Data(start) = array {
            self.pointers.extend(places.iter().enumerate().map(|(i, place)| (start + i * 8, *place)));
        }
        array
    }

    /// A `struct sock_fprog` of linux/filter.h: a length, and a pointer to the instructions.
    pub(crate) fn filter(&mut self, program: &[Instruction]) -> Argument {
        let words = program.iter().flat_map(|instruction| {
            let [code_low, code_high] = instruction.code.to_le_bytes();
            let [a, b, c, d] = instruction.k.to_le_bytes();
            [code_low, code_high, instruction.jt, instruction.jf, a, b, c, d]
        });
        let program_at = self.bytes(&words.collect::<Vec<u8>>());
        let header = self.bytes(&[(program.len() as u64).to_le_bytes(), [0; 8]].concat());
        if let Argument::Data(start) = header {
            self.pointers.push((start + 8, program_at));
        }
        header
    }

    /// The calls so far, in order.
    pub(crate) fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// The call whose record is at `address`, as a report names it.
    pub(crate) fn call_at(&self, address: u64) -> Option<&Call> {
        let index = address.checked_sub(TABLE)? / RECORD;
        self.calls.get(usize::try_from(index).ok()?)
    }

    /// The executable file, sealed: it can neither be written nor grow nor shrink from inside the container.
    pub(crate) fn memory_file(&self) -> io::Result<OwnedFd> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // MFD_EXEC is since Linux 6.3, and needed where vm.memfd_noexec is 1.
        let file = memfd_create(c"oci-runtime-init", flags | MemfdFlags::EXEC)
            .or_else(|_| memfd_create(c"oci-runtime-init", flags))?;
        for (offset, bytes) in self.segments() {
            let mut done = 0;
            while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
                done += rustix::io::pwrite(&file, rest, offset + done as u64)?;
            }
        }
        fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
        Ok(file)
    }

    /// The parts of the file and their offsets: headers and code, then the table and its data.
    fn segments(&self) -> [(u64, Vec<u8>); 2] {
        let mut data = vec![0; (TABLE - DATA) as usize];
        for call in &self.calls {
            let mut record = [0u64; 8];
            record[0] = call.number as u64;
            for (slot, argument) in record[1..7].iter_mut().zip(&call.arguments) {
                *slot = address(*argument, self.calls.len());
            }
            record[7] = call.failure as u64;
            data.extend(record.iter().flat_map(|word| word.to_le_bytes()));
        }
        let strings = data.len();
        data.extend_from_slice(&self.data);
        for (at, place) in &self.pointers {
            let word = address(*place, self.calls.len()).to_le_bytes();
            if let Some(slot) = data.get_mut(strings + at..strings + at + 8) {
                slot.copy_from_slice(&word);
            }
        }
        [(0, image(stub::code(), data.len() as u64)), (SPACING, data)]
    }
}

impl Call {
    /// Changes what happens when the call fails.
    pub(crate) fn on_failure(&mut self, failure: Failure) -> &mut Self {
        self.failure = failure;
        self
    }
}

/// Bytes of one record.
const RECORD: u64 = 64;

fn address(argument: Argument, calls: usize) -> u64 {
    match argument {
        Argument::Number(number) => number,
        Argument::Data(place) => TABLE + calls as u64 * RECORD + place as u64,
    }
}

/// ELF and program headers for two segments (code, readable and executable; data, readable and writable), and the
/// code itself.
fn image(code: &[u8], data: u64) -> Vec<u8> {
    const HEADER: u64 = 64;
    const PROGRAM_HEADER: u64 = 56;
    const PARTS: u16 = 3;
    const LOAD: u32 = 1;
    const GNU_STACK: u32 = 0x6474_e551;
    let machine: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    let base = DATA - SPACING;
    let start = HEADER + PROGRAM_HEADER * u64::from(PARTS);

    let mut elf = Vec::with_capacity(512);
    elf.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"); // 64 bits, little endian, version 1
    elf.extend_from_slice(&2u16.to_le_bytes()); // an executable at fixed addresses
    elf.extend_from_slice(&machine.to_le_bytes());
    elf.extend_from_slice(&1u32.to_le_bytes()); // version
    elf.extend_from_slice(&(base + start).to_le_bytes()); // entry
    elf.extend_from_slice(&HEADER.to_le_bytes()); // program headers follow
    elf.extend_from_slice(&0u64.to_le_bytes()); // no section headers
    elf.extend_from_slice(&0u32.to_le_bytes()); // flags
    for half in [HEADER as u16, PROGRAM_HEADER as u16, PARTS, 64, 0, 0] {
        elf.extend_from_slice(&half.to_le_bytes());
    }
    let text = start + code.len() as u64;
    for (kind, flags, offset, address, size) in
        [(LOAD, 5u32, 0, base, text), (LOAD, 6, SPACING, DATA, data), (GNU_STACK, 6, 0, 0, 0)]
    {
        elf.extend_from_slice(&kind.to_le_bytes());
        elf.extend_from_slice(&flags.to_le_bytes());
        for word in [offset, address, address, size, size, if kind == LOAD { SPACING } else { 16 }] {
            elf.extend_from_slice(&word.to_le_bytes());
        }
    }
    elf.extend_from_slice(code);
    elf
}

// The report is written below the table.
const _: () = assert!(REPORT + 16 <= TABLE);

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn code_is_small() {
        let code = stub::code();
        assert!((60..400).contains(&code.len()), "{}", code.len());
    }

    /// Runs the table with a pipe as standard output, made the report descriptor first: exit code and output.
    fn run(build: impl FnOnce(&mut Tail)) -> (Option<i32>, Vec<u8>, Tail) {
        let mut tail = Tail::default();
        tail.call("dup3", "report", libc::SYS_dup3, &[1.into(), stub::REPORT_FD.into(), 0.into()]);
        build(&mut tail);
        let file = tail.memory_file().unwrap();
        let output =
            Command::new(format!("/proc/self/fd/{}", file.as_raw_fd())).arg0("stub").output().unwrap();
        (output.status.code(), output.stdout, tail)
    }

    fn report(bytes: &[u8]) -> (u64, i64) {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(bytes.len(), 16, "{bytes:?}");
        (word(0), word(8) as i64)
    }

    #[test]
    fn walks_the_table() {
        let (code, output, _) = run(|tail| {
            let text = tail.bytes(b"hello");
            tail.call("write", "say", libc::SYS_write, &[1.into(), text, 5.into()]);
            tail.call("close", "may fail", libc::SYS_close, &[99.into()]).on_failure(Failure::Ignore);
            tail.call("write", "say", libc::SYS_write, &[1.into(), text, 4.into()]);
            tail.call("exit_group", "end", libc::SYS_exit_group, &[7.into()]);
        });
        assert_eq!((code, output.as_slice()), (Some(7), b"hellohell".as_slice()));
    }

    #[test]
    fn reports_the_failed_call() {
        let (code, output, tail) = run(|tail| {
            tail.call("getpid", "nothing", libc::SYS_getpid, &[]);
            tail.call("close", "fail", libc::SYS_close, &[99.into()]);
            tail.call("exit_group", "end", libc::SYS_exit_group, &[7.into()]);
        });
        let (address, result) = report(&output);
        assert_eq!((code, result), (Some(127), -i64::from(libc::EBADF)));
        assert_eq!(tail.call_at(address).map(|call| call.purpose), Some("fail"));
        assert!(tail.call_at(0).is_none() && tail.call_at(u64::MAX).is_none());
    }

    /// A search reports what stood in the way, not that the last place did not have it.
    #[test]
    fn remembers_what_is_not_enoent() {
        for (paths, expected) in [
            (vec![c"/nowhere", c"/proc/self/status", c"/nowhere"], libc::EACCES),
            (vec![c"/nowhere", c"/nowhere"], libc::ENOENT),
        ] {
            let (code, output, _) = run(|tail| {
                for path in paths {
                    let path = tail.string(path);
                    tail.call("execve", "try", libc::SYS_execve, &[path, 0.into(), 0.into()])
                        .on_failure(Failure::Remember);
                }
                tail.call("execve", "give up", libc::SYS_execve, &[0.into()]).on_failure(Failure::Recall);
            });
            assert_eq!((code, report(&output).1), (Some(127), -i64::from(expected)));
        }
    }

    #[test]
    fn executes_with_arguments_and_environment() {
        let (code, output, _) = run(|tail| {
            let executable = std::env::current_exe().unwrap().into_os_string().into_encoded_bytes();
            let exe = tail.string(&std::ffi::CString::new(executable).unwrap());
            let arguments = [tail.string(c"probe"), tail.string(c"--list"), tail.string(c"walks_the_table")];
            let arguments = tail.pointers(&arguments);
            let environment = [tail.string(c"A=b")];
            let environment = tail.pointers(&environment);
            tail.call("execve", "run", libc::SYS_execve, &[exe, arguments, environment]);
        });
        assert_eq!(code, Some(0));
        assert!(String::from_utf8_lossy(&output).contains("tail::tests::walks_the_table: test"));
    }
}
