//! What the kernel's schedulers and allocators are told of the process, each as the system call takes it.

use oci_spec::runtime::{
    IOPriorityClass, LinuxMemoryPolicy, LinuxPersonalityDomain, LinuxSchedulerFlag, LinuxSchedulerPolicy,
    MemoryPolicyFlagType, MemoryPolicyModeType, Process as SpecProcess, Scheduler, Spec,
};

use super::Problems;

/// All of it, where the spec says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scheduling {
    /// A `struct sched_attr` of linux/sched/types.h.
    pub(crate) scheduler: Option<Vec<u8>>,
    /// Class and priority, as ioprio_set(2) takes them.
    pub(crate) io_priority: Option<u32>,
    /// An execution domain.
    pub(crate) personality: Option<u32>,
    pub(crate) memory: Option<MemoryPolicy>,
}

/// The arguments of set_mempolicy(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemoryPolicy {
    pub(crate) mode: u32,
    /// A bit for every node.
    pub(crate) nodes: Vec<u8>,
}

pub(super) fn resolve(spec: &Spec, problems: &mut Problems) -> Scheduling {
    let process = spec.process().as_ref();
    let linux = spec.linux().as_ref();
    if let Some(process) = process {
        affinity(process, problems);
    }
    Scheduling {
        scheduler: process.and_then(|process| process.scheduler().as_ref()).map(|s| scheduler(s, problems)),
        io_priority: process.and_then(|process| process.io_priority().as_ref()).map(|priority| {
            let class = match priority.class() {
                IOPriorityClass::IoprioClassRt => 1,
                IOPriorityClass::IoprioClassBe => 2,
                IOPriorityClass::IoprioClassIdle => 3,
            };
            let level = u32::try_from(priority.priority()).ok().filter(|level| *level < 8);
            if level.is_none() {
                problems.add("/process/ioPriority/priority", "must be between 0 and 7");
            }
            class << 13 | level.unwrap_or(0)
        }),
        personality: linux.and_then(|linux| linux.personality().as_ref()).map(|personality| {
            if personality.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
                // config-linux.md, Personality: no flag values are supported at this time.
                problems.add("/linux/personality/flags", "must be empty");
            }
            match personality.domain() {
                LinuxPersonalityDomain::PerLinux => 0,
                LinuxPersonalityDomain::PerLinux32 => 8,
            }
        }),
        memory: linux.and_then(|linux| linux.memory_policy().as_ref()).map(|policy| memory(policy, problems)),
    }
}

/// config.md, execCPUAffinity: it is about processes that join the container and not about its own.
fn affinity(process: &SpecProcess, problems: &mut Problems) {
    let Some(affinity) = process.exec_cpu_affinity() else { return };
    for (name, list) in [("initial", affinity.initial()), ("final", affinity.cpu_affinity_final())] {
        let Some(list) = list.as_deref().filter(|list| !list.is_empty()) else { continue };
        if bits(list).is_none() {
            problems
                .add(format!("/process/execCPUAffinity/{name}"), format!("{list:?} is not a list of CPUs"));
        }
    }
}

fn scheduler(scheduler: &Scheduler, problems: &mut Problems) -> Vec<u8> {
    use LinuxSchedulerPolicy as Policy;
    let mut refuse = |wrong: bool, name: &str, reason: &str| {
        if wrong {
            problems.add(format!("/process/scheduler/{name}"), reason);
        }
    };
    let policy = *scheduler.policy();
    let number: u32 = match policy {
        Policy::SchedOther => 0,
        Policy::SchedFifo => 1,
        Policy::SchedRr => 2,
        Policy::SchedBatch => 3,
        Policy::SchedIso => 4,
        Policy::SchedIdle => 5,
        Policy::SchedDeadline => 6,
    };
    refuse(policy == Policy::SchedIso, "policy", "SCHED_ISO is not implemented by Linux");
    let nice = scheduler.nice().unwrap_or(0);
    refuse(!(-20..=19).contains(&nice), "nice", "must be between -20 and 19");
    let fixed = matches!(policy, Policy::SchedFifo | Policy::SchedRr);
    let priority = scheduler.priority().unwrap_or(0);
    refuse(fixed && !(1..=99).contains(&priority), "priority", "must be between 1 and 99");
    refuse(!fixed && priority != 0, "priority", "is for SCHED_FIFO and SCHED_RR");
    let times = [
        ("runtime", scheduler.runtime()),
        ("deadline", scheduler.deadline()),
        ("period", scheduler.period()),
    ];
    for (name, time) in times {
        let wrong = policy != Policy::SchedDeadline && time.is_some_and(|time| time != 0);
        refuse(wrong, name, "is for SCHED_DEADLINE");
    }
    let flags = scheduler.flags().iter().flatten().fold(0u64, |flags, flag| {
        flags
            | match flag {
                LinuxSchedulerFlag::SchedResetOnFork => 0x01,
                LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
                LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
                LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
                LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
                LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
                LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
            }
    });
    // The first size, of Linux 3.14, and the one with clamps, of 5.3.
    let size: u32 = if flags & 0x60 == 0 { 48 } else { 56 };
    let mut attr = Vec::with_capacity(56);
    attr.extend(size.to_le_bytes());
    attr.extend(number.to_le_bytes());
    attr.extend(flags.to_le_bytes());
    attr.extend(nice.to_le_bytes());
    attr.extend(priority.to_le_bytes());
    for (_, time) in times {
        attr.extend(time.unwrap_or(0).to_le_bytes());
    }
    attr.resize(size as usize, 0);
    attr
}

fn memory(policy: &LinuxMemoryPolicy, problems: &mut Problems) -> MemoryPolicy {
    use MemoryPolicyModeType as Mode;
    let mode = match policy.mode() {
        Mode::MpolDefault => 0,
        Mode::MpolPreferred => 1,
        Mode::MpolBind => 2,
        Mode::MpolInterleave => 3,
        Mode::MpolLocal => 4,
        Mode::MpolPreferredMany => 5,
        Mode::MpolWeightedInterleave => 6,
    };
    let flags = policy.flags().iter().flatten().fold(0, |flags, flag| {
        flags
            | match flag {
                MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
                MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
                MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
            }
    });
    let pointer = "/linux/memoryPolicy/nodes";
    let list = policy.nodes().as_deref().unwrap_or_default();
    let nodes = bits(list).unwrap_or_else(|| {
        problems.add(pointer, format!("{list:?} is not a list of nodes"));
        Vec::new()
    });
    match policy.mode() {
        Mode::MpolDefault | Mode::MpolLocal if !list.is_empty() => {
            problems.add(pointer, "must be empty for this mode");
        }
        Mode::MpolBind | Mode::MpolInterleave | Mode::MpolWeightedInterleave | Mode::MpolPreferredMany
            if list.is_empty() =>
        {
            problems.add(pointer, "must name a node for this mode");
        }
        _ => {}
    }
    MemoryPolicy { mode: mode | flags, nodes }
}

/// cpuset(7), List format: `0-3,7`. A bit for each number, in whole words of the kernel.
fn bits(list: &str) -> Option<Vec<u8>> {
    /// More than any kernel is built for.
    const MOST: usize = 8192;
    let mut bits = Vec::new();
    let list = list.trim();
    for range in list.split(',').filter(|_| !list.is_empty()) {
        let number = |text: &str| -> Option<usize> {
            let text = text.trim();
            text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(range)?, number(range)?),
        };
        if first > last || last >= MOST {
            return None;
        }
        bits.resize(bits.len().max((last / 64 + 1) * 8), 0u8);
        for number in first..=last {
            *bits.get_mut(number / 8)? |= 1 << (number % 8);
        }
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let word = |number: u64| Some(number.to_le_bytes().to_vec());
        for (list, expected) in [
            ("", Some(Vec::new())),
            ("0", word(1)),
            ("0-3,7", word(0x8f)),
            (" 1 , 3-4\n", word(0x1a)),
            ("64", Some([[0u8; 8], 1u64.to_le_bytes()].concat())),
            ("3-1", None),
            ("0,", None),
            ("-1", None),
            ("+1", None),
            ("a", None),
            ("0-99999999", None),
        ] {
            assert_eq!(bits(list), expected, "{list:?}");
        }
    }
}
