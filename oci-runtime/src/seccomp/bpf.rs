//! Classic BPF, assembled from the end to the beginning: it only jumps forward, so every target is known by then.

use std::collections::HashMap;

/// One instruction, as `struct sock_filter` of `linux/filter.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// The operation.
    pub code: u16,
    /// Instructions to skip when a comparison holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

// linux/bpf_common.h: class, size, mode, source and operation are added up.
pub(super) const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
pub(super) const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
pub(super) const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
pub(super) const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
pub(super) const GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
pub(super) const AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
pub(super) const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// An instruction that can be jumped to: how many there are from it to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// The program, last instruction first.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    reversed: Vec<Instruction>,
    returns: HashMap<u32, Label>,
}

impl Assembler {
    /// Ends the program with this value.
    pub(super) fn ret(&mut self, value: u32) -> Label {
        if let Some(label) = self.returns.get(&value) {
            return *label;
        }
        let label = self.push(RETURN, 0, 0, value);
        self.returns.insert(value, label);
        label
    }

    /// An instruction before the last one made, which must be what comes after it.
    pub(super) fn then(&mut self, code: u16, k: u32, next: Label) -> Label {
        if next.0 != self.reversed.len() {
            self.trampoline(next);
        }
        self.push(code, 0, 0, k)
    }

    /// A comparison of what was loaded with `k`.
    pub(super) fn branch(&mut self, code: u16, k: u32, holds: Label, fails: Label) -> Label {
        if holds == fails {
            return holds;
        }
        // Two trampolines may come in between, and lengthen the other way by one each.
        let (mut holds, mut fails) = (holds, fails);
        if self.distance(holds) + 2 > usize::from(u8::MAX) {
            holds = self.trampoline(holds);
        }
        if self.distance(fails) + 2 > usize::from(u8::MAX) {
            fails = self.trampoline(fails);
        }
        let (jt, jf) = (self.distance(holds) as u8, self.distance(fails) as u8);
        self.push(code, jt, jf, k)
    }

    /// The program, first instruction first.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }

    /// Instructions between one that is made now and the target.
    fn distance(&self, target: Label) -> usize {
        self.reversed.len() - target.0
    }

    /// A jump of any length; to an end, the end itself.
    fn trampoline(&mut self, target: Label) -> Label {
        match self.reversed.get(target.0 - 1) {
            Some(end) if end.code == RETURN => self.push(RETURN, 0, 0, end.k),
            _ => self.push(JUMP, 0, 0, self.distance(target) as u32),
        }
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.reversed.push(Instruction { code, jt, jf, k });
        Label(self.reversed.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::run;
    use super::*;

    /// Short and long ways, over more instructions than a comparison can skip.
    #[test]
    fn jumps_any_distance() {
        for between in [0, 1, 252, 253, 254, 255, 256, 1000] {
            let mut assembler = Assembler::default();
            let far = assembler.ret(1);
            let mut last = assembler.ret(2);
            let also_far = assembler.then(AND, 0, last);
            last = also_far;
            for _ in 0..between {
                last = assembler.then(AND, u32::MAX, last);
            }
            let branch = assembler.branch(EQUAL, 7, far, also_far);
            let branch = assembler.branch(GREATER, 9, last, branch);
            assembler.then(LOAD, 0, branch);
            let program = assembler.finish();
            for (number, expected) in [(7, 1), (3, 2), (10, 2)] {
                assert_eq!(run(&program, number, 0, [0; 6]), expected, "{between} {number}");
            }
        }
    }
}
