//! What a profile means, architecture by architecture.

use std::collections::BTreeMap;

use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall,
};

use super::arch::Arch;
use super::compile::{Condition, Operator, Rule, Section};
use super::multiplex::{Multiplexer, multiplexed};
use super::syscalls;
use crate::plan::Problems;

/// A rule for some names, before any architecture.
#[derive(Debug)]
struct Named<'a> {
    names: &'a [String],
    rules: Vec<Rule>,
}

/// The rules of every architecture of the profile that this machine has, its own first.
pub(super) fn sections(seccomp: &LinuxSeccomp, default: u32, problems: &mut Problems) -> Vec<Section> {
    let named: Vec<_> = seccomp
        .syscalls()
        .iter()
        .flatten()
        .enumerate()
        .map(|(index, call)| Named { names: call.names(), rules: rules(call, index, problems) })
        .collect();
    let mut archs: Vec<_> = Arch::NATIVE.into_iter().collect();
    for arch in seccomp.architectures().iter().flatten() {
        if let Some(arch) = Arch::of(*arch)
            && !archs.contains(&arch)
        {
            archs.push(arch);
        }
    }
    let unknown = answers_unknown(seccomp, default);
    archs.into_iter().map(|arch| section(arch, &named, default, unknown)).collect()
}

/// A kernel that is newer than a profile has calls that the profile does not know. A C library that tries one goes
/// on with an older one when it hears ENOSYS, but not when it hears EPERM; as runc answers since 1.0.
fn answers_unknown(seccomp: &LinuxSeccomp, default: u32) -> Option<u32> {
    let enosys = RET_ERRNO | libc::ENOSYS as u32;
    let passes = matches!(
        seccomp.default_action(),
        LinuxSeccompAction::ScmpActAllow | LinuxSeccompAction::ScmpActLog | LinuxSeccompAction::ScmpActTrace
    );
    (!passes && default != enosys).then_some(enosys)
}

fn section(arch: Arch, named: &[Named<'_>], default: u32, unknown: Option<u32>) -> Section {
    let mut numbers: BTreeMap<u32, Vec<Rule>> = BTreeMap::new();
    let mut last = None;
    for named in named {
        for name in named.names {
            let number = syscalls::number(name, arch);
            last = last.max(number);
            for rule in &named.rules {
                if rule.action == default {
                    continue;
                }
                if let Some(number) = number {
                    add(numbers.entry(number).or_default(), rule.clone());
                }
                if let Some((call, rule)) = through(arch, name, rule) {
                    last = last.max(Some(call));
                    add(numbers.entry(call).or_default(), rule);
                }
            }
        }
    }
    Section { arch, rules: numbers, unknown: unknown.zip(last).map(|(action, last)| (last, action)) }
}

/// The calls that 32-bit x86 makes through another one.
fn through(arch: Arch, name: &str, rule: &Rule) -> Option<(u32, Rule)> {
    let Multiplexer { name, selector } = (arch == Arch::X86).then(|| multiplexed(name)).flatten()?;
    let number = syscalls::number(name, arch)?;
    // The first argument says which call it is. The call's own are in memory or moved up, as libseccomp has it, too.
    let selected = Condition { argument: 0, operator: Operator::Equal, value: selector.into() };
    let others = rule.conditions.iter().filter(|condition| condition.argument != 0);
    let conditions = std::iter::once(selected).chain(others.copied()).collect();
    Some((number, Rule { action: rule.action, conditions }))
}

/// A rule without conditions stands for all of its number, whatever came before or comes after, as in libseccomp.
fn add(rules: &mut Vec<Rule>, rule: Rule) {
    if rules.iter().any(|rule| rule.conditions.is_empty()) {
        return;
    }
    if rule.conditions.is_empty() {
        rules.clear();
    }
    if !rules.contains(&rule) {
        rules.push(rule);
    }
}

/// One entry of `syscalls`.
fn rules(call: &LinuxSyscall, index: usize, problems: &mut Problems) -> Vec<Rule> {
    let pointer = format!("/linux/seccomp/syscalls/{index}");
    if call.names().is_empty() {
        problems.add(format!("{pointer}/names"), "must name a system call");
    }
    if call.action() == LinuxSeccompAction::ScmpActNotify && call.names().iter().any(|name| name == "write") {
        let reason = "write cannot be notified of: it is how the listener is handed over";
        problems.add(format!("{pointer}/action"), reason);
    }
    let action = action(call.action(), call.errno_ret(), &format!("{pointer}/errnoRet"), problems);
    let args = call.args().iter().flatten().enumerate();
    let conditions: Vec<_> =
        args.map(|(i, arg)| condition(arg, &format!("{pointer}/args/{i}"), problems)).collect();
    let twice = |condition: &Condition| {
        conditions.iter().filter(|other| other.argument == condition.argument).count() > 1
    };
    // config-linux.md, Seccomp: arguments are joined by and. Two of one argument are joined by or, as in runc and
    // crun, since libseccomp takes one comparison of an argument in a rule.
    if conditions.iter().any(twice) {
        return conditions
            .into_iter()
            .map(|condition| Rule { action, conditions: vec![condition] })
            .collect();
    }
    vec![Rule { action, conditions }]
}

fn condition(arg: &LinuxSeccompArg, pointer: &str, problems: &mut Problems) -> Condition {
    let argument = u32::try_from(arg.index()).ok().filter(|index| *index < 6).unwrap_or_else(|| {
        problems.add(format!("{pointer}/index"), "is not between 0 and 5");
        0
    });
    let value = arg.value();
    let (operator, value) = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => (Operator::NotEqual, value),
        LinuxSeccompOperator::ScmpCmpLt => (Operator::Less, value),
        LinuxSeccompOperator::ScmpCmpLe => (Operator::AtMost, value),
        LinuxSeccompOperator::ScmpCmpEq => (Operator::Equal, value),
        LinuxSeccompOperator::ScmpCmpGe => (Operator::AtLeast, value),
        LinuxSeccompOperator::ScmpCmpGt => (Operator::Greater, value),
        // seccomp_rule_add(3): the first value is the mask, the second what is compared.
        LinuxSeccompOperator::ScmpCmpMaskedEq => (Operator::Masked(value), arg.value_two().unwrap_or(0)),
    };
    Condition { argument, operator, value }
}

/// `SECCOMP_RET_ERRNO` of linux/seccomp.h; its data is an error number.
const RET_ERRNO: u32 = 0x0005_0000;

/// The value that the filter returns. config-linux.md, Seccomp: where an action takes no error number, one that is
/// given MUST be an error, at `pointer`.
pub(super) fn action(
    action: LinuxSeccompAction,
    errno: Option<u32>,
    pointer: &str,
    problems: &mut Problems,
) -> u32 {
    let base = match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => 0,
        LinuxSeccompAction::ScmpActKillProcess => 0x8000_0000,
        LinuxSeccompAction::ScmpActTrap => 0x0003_0000,
        LinuxSeccompAction::ScmpActErrno => RET_ERRNO,
        LinuxSeccompAction::ScmpActNotify => 0x7fc0_0000,
        LinuxSeccompAction::ScmpActTrace => 0x7ff0_0000,
        LinuxSeccompAction::ScmpActLog => 0x7ffc_0000,
        LinuxSeccompAction::ScmpActAllow => 0x7fff_0000,
    };
    let takes = matches!(action, LinuxSeccompAction::ScmpActErrno | LinuxSeccompAction::ScmpActTrace);
    match errno {
        Some(errno) if takes && errno <= 0xffff => base | errno,
        Some(errno) if takes => {
            problems.add(pointer, format!("{errno} is more than 65535"));
            base
        }
        Some(_) => {
            problems.add(pointer, format!("{action} takes no error number"));
            base
        }
        None if takes => base | libc::EPERM as u32,
        None => base,
    }
}
