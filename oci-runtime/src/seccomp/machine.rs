//! What the kernel does with a program, for tests: `net/core/filter.c` and `kernel/seccomp.c`.

use super::bpf::{AND, AT_LEAST, EQUAL, GREATER, Instruction, JUMP, LOAD, RETURN};

/// The decision for a system call.
pub(super) fn run(program: &[Instruction], number: u32, token: u32, arguments: [u64; 6]) -> u32 {
    // struct seccomp_data: int nr; __u32 arch; __u64 instruction_pointer; __u64 args[6];
    let mut words = vec![number, token, 0, 0];
    words.extend(arguments.iter().flat_map(|value| [*value as u32, (*value >> 32) as u32]));
    let (mut accumulator, mut at, mut scratch, mut index) = (0u32, 0, [0u32; 16], 0u32);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        let mut skip = |holds: bool| at += usize::from(if holds { jt } else { jf });
        match code {
            LOAD => accumulator = words[k as usize / 4],
            AND => accumulator &= k,
            JUMP => at += k as usize,
            EQUAL => skip(accumulator == k),
            GREATER => skip(accumulator > k),
            AT_LEAST => skip(accumulator >= k),
            RETURN => return k,
            // Only in others' programs.
            0x00 => accumulator = k,
            0x02 => scratch[k as usize] = accumulator,
            0x60 => accumulator = scratch[k as usize],
            0x07 => index = accumulator,
            0x87 => accumulator = index,
            _ => panic!("instruction {code:#x}"),
        }
    }
}
