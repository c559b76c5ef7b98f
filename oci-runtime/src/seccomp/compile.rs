//! From rules to a program: a binary search over the numbers of each architecture, and under each number that has
//! conditions a chain of comparisons.

use std::collections::{BTreeMap, HashMap};

use super::arch::{Arch, X32_BIT};
use super::bpf::{AND, AT_LEAST, Assembler, EQUAL, GREATER, Instruction, LOAD, Label};

/// What is decided for a number: the first rule that holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Rule {
    /// A `SECCOMP_RET_*` value with its data.
    pub(super) action: u32,
    /// All must hold.
    pub(super) conditions: Vec<Condition>,
}

/// A comparison of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Condition {
    /// From 0 to 5.
    pub(super) argument: u32,
    pub(super) operator: Operator,
    pub(super) value: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    AtMost,
    AtLeast,
    Greater,
    /// Of the argument, only these bits.
    Masked(u64),
}

/// The rules of one architecture by number.
#[derive(Debug, Clone)]
pub(super) struct Section {
    pub(super) arch: Arch,
    pub(super) rules: BTreeMap<u32, Vec<Rule>>,
    /// Numbers above this one have an action of their own.
    pub(super) unknown: Option<(u32, u32)>,
}

/// The thread is killed; what the kernel does for values it does not know, too.
pub(super) const KILL_THREAD: u32 = 0;

// Offsets in struct seccomp_data of linux/seccomp.h.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The program. Architectures that are not listed are killed.
pub(super) fn compile(sections: &[Section], default: u32) -> Vec<Instruction> {
    let mut compiler = Compiler { assembler: Assembler::default(), default, chains: HashMap::new() };
    let mut next = compiler.assembler.ret(KILL_THREAD);
    let mut tokens: Vec<u32> = sections.iter().map(|section| section.arch.token()).collect();
    tokens.sort_unstable();
    tokens.dedup();
    // The native architecture is asked for first: sections come with it in front.
    let native = sections.first().map(|section| section.arch.token());
    tokens.sort_by_key(|token| Some(*token) == native);
    let starts: Vec<_> = tokens.iter().map(|token| (*token, compiler.section(sections, *token))).collect();
    for (token, start) in starts {
        next = compiler.assembler.branch(EQUAL, token, start, next);
    }
    compiler.assembler.then(LOAD, ARCH, next);
    compiler.assembler.finish()
}

struct Compiler {
    assembler: Assembler,
    default: u32,
    /// Numbers with the same rules share their comparisons.
    chains: HashMap<(bool, Vec<Rule>), Label>,
}

impl Compiler {
    /// Everything that has this token.
    fn section(&mut self, sections: &[Section], token: u32) -> Label {
        // Where each range of numbers begins, and what is done from there on.
        let mut ranges: BTreeMap<u32, Label> = BTreeMap::new();
        let default = self.assembler.ret(self.default);
        ranges.insert(0, default);
        if token == Arch::X86_64.token() {
            let listed = sections.iter().any(|section| section.arch == Arch::X32);
            let other = if listed { default } else { self.assembler.ret(KILL_THREAD) };
            ranges.insert(X32_BIT, other);
        }
        // A tracer skips a call by the number -1.
        ranges.insert(u32::MAX, default);
        for section in sections.iter().filter(|section| section.arch.token() == token) {
            self.numbers(section, &mut ranges, default);
        }
        let mut ranges: Vec<_> = ranges.into_iter().collect();
        ranges.dedup_by(|later, earlier| later.1 == earlier.1);
        let search = self.search(&ranges);
        self.assembler.then(LOAD, NUMBER, search)
    }

    fn numbers(&mut self, section: &Section, ranges: &mut BTreeMap<u32, Label>, default: Label) {
        let bit = section.arch.bit();
        // What follows the last number of the architecture is somebody else's and stays.
        if let Some((last, action)) = section.unknown {
            let label = self.assembler.ret(action);
            ranges.insert((last | bit) + 1, label);
        }
        for (number, rules) in &section.rules {
            let number = number | bit;
            let label = self.chain(rules, section.arch.is_narrow());
            ranges.insert(number, label);
            ranges.entry(number + 1).or_insert(default);
        }
    }

    /// A tree of comparisons as deep as the logarithm of the number of ranges.
    fn search(&mut self, ranges: &[(u32, Label)]) -> Label {
        let (below, from) = ranges.split_at(ranges.len() / 2);
        let Some((start, only)) = from.first() else { return self.assembler.ret(self.default) };
        if below.is_empty() {
            return *only;
        }
        let from = self.search(from);
        let below = self.search(below);
        self.assembler.branch(AT_LEAST, *start, from, below)
    }

    fn chain(&mut self, rules: &[Rule], narrow: bool) -> Label {
        let key = (narrow, rules.to_vec());
        if let Some(label) = self.chains.get(&key) {
            return *label;
        }
        let mut next = self.assembler.ret(self.default);
        for rule in rules.iter().rev() {
            let mut holds = self.assembler.ret(rule.action);
            for condition in rule.conditions.iter().rev() {
                holds = self.condition(*condition, narrow, holds, next);
            }
            next = holds;
        }
        self.chains.insert(key, next);
        next
    }

    fn condition(&mut self, condition: Condition, narrow: bool, holds: Label, fails: Label) -> Label {
        let Condition { argument, operator, value } = condition;
        match operator {
            Operator::NotEqual => {
                self.condition(Condition { operator: Operator::Equal, ..condition }, narrow, fails, holds)
            }
            Operator::Less => {
                self.condition(Condition { operator: Operator::AtLeast, ..condition }, narrow, fails, holds)
            }
            Operator::AtMost => {
                self.condition(Condition { operator: Operator::Greater, ..condition }, narrow, fails, holds)
            }
            Operator::Equal => self.equal(argument, u64::MAX, value, narrow, holds, fails),
            Operator::Masked(mask) => self.equal(argument, mask, value & mask, narrow, holds, fails),
            Operator::AtLeast => self.order(argument, AT_LEAST, value, narrow, holds, fails),
            Operator::Greater => self.order(argument, GREATER, value, narrow, holds, fails),
        }
    }

    fn equal(
        &mut self,
        argument: u32,
        mask: u64,
        value: u64,
        narrow: bool,
        holds: Label,
        fails: Label,
    ) -> Label {
        let low = self.half_equal(low(argument), mask as u32, value as u32, holds, fails);
        if narrow {
            return low;
        }
        self.half_equal(high(argument), (mask >> 32) as u32, (value >> 32) as u32, low, fails)
    }

    fn half_equal(&mut self, offset: u32, mask: u32, value: u32, holds: Label, fails: Label) -> Label {
        if mask == 0 {
            return holds;
        }
        let mut test = self.assembler.branch(EQUAL, value, holds, fails);
        if mask != u32::MAX {
            test = self.assembler.then(AND, mask, test);
        }
        self.assembler.then(LOAD, offset, test)
    }

    /// Unsigned, the upper half first.
    fn order(
        &mut self,
        argument: u32,
        code: u16,
        value: u64,
        narrow: bool,
        holds: Label,
        fails: Label,
    ) -> Label {
        let test = self.assembler.branch(code, value as u32, holds, fails);
        let test = self.assembler.then(LOAD, low(argument), test);
        if narrow {
            return test;
        }
        let upper = (value >> 32) as u32;
        let test = self.assembler.branch(EQUAL, upper, test, fails);
        let test = self.assembler.branch(GREATER, upper, holds, test);
        self.assembler.then(LOAD, high(argument), test)
    }
}

/// Both architectures of ours are little endian.
fn low(argument: u32) -> u32 {
    ARGUMENTS + 8 * argument
}

fn high(argument: u32) -> u32 {
    low(argument) + 4
}
