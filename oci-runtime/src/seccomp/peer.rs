//! Our decisions against libseccomp's, which is asked through a small C program.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use oci_spec::runtime::LinuxSeccomp;

use super::arch::{Arch, X32_BIT};
use super::machine::run;
use super::multiplex::multiplexed;
use super::{Filter, Instruction, syscalls};

/// The C program, built once for all profiles; gone when dropped.
struct Peer {
    folder: tempfile::TempDir,
}

impl Peer {
    fn build(test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/seccomp/peer.c");
        let program = folder.path().join("peer");
        let built = Command::new("cc").arg(source).arg("-o").arg(program).arg("-lseccomp").output();
        if !built.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIP {test}: needs cc and libseccomp with its headers");
            return None;
        }
        Some(Self { folder })
    }

    /// Its program for a profile; `None` for one that it refuses, or does not get done with.
    fn compile(&self, text: &str) -> Option<Vec<Instruction>> {
        let program: PathBuf = self.folder.path().join("peer");
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        if output.status.code() == Some(3) || output.status.signal().is_some() {
            return None;
        }
        assert!(output.status.success(), "{output:?}\n{text}");
        let instruction = |bytes: &[u8]| Instruction {
            code: u16::from_le_bytes([bytes[0], bytes[1]]),
            jt: bytes[2],
            jf: bytes[3],
            k: u32::from_le_bytes(bytes[4..8].try_into().unwrap()),
        };
        Some(output.stdout.chunks_exact(8).map(instruction).collect())
    }
}

const ENOSYS: u32 = 0x0005_0000 | 38;

/// Index, operator, two values.
type Comparison = (usize, usize, u64, u64);

/// A profile in both languages.
#[derive(Debug)]
struct Profile {
    json: serde_json::Value,
    text: String,
    archs: Vec<Arch>,
    /// Name, action, and comparisons.
    rules: Vec<(String, u32, Vec<Comparison>)>,
    values: Vec<u64>,
    default: u32,
}

/// The plain meaning of a profile, rule by rule.
fn meaning(profile: &Profile, number: u32, token: u32, arguments: [u64; 6]) -> u32 {
    let wide = |arch: &&Arch| (number & X32_BIT != 0 && number != u32::MAX) == (**arch == Arch::X32);
    let of_token = |arch: &&Arch| arch.token() == token;
    if !profile.archs.iter().any(|arch| arch.token() == token) {
        return 0;
    }
    if number == u32::MAX {
        return profile.default;
    }
    let Some(arch) = profile.archs.iter().filter(of_token).find(|arch| token != 0xc000_003e || wide(arch))
    else {
        return 0;
    };
    let of = |name: &str| syscalls::number(name, *arch);
    let number = number & !arch.bit();
    let mut matching = None;
    for (name, action, conditions) in &profile.rules {
        let mut conditions = conditions.clone();
        let through = (*arch == Arch::X86).then(|| multiplexed(name)).flatten();
        match through {
            Some(through) if of(through.name) == Some(number) => {
                conditions.retain(|condition| condition.0 != 0);
                conditions.push((0, 4, through.selector.into(), 0));
            }
            _ if of(name) == Some(number) => {}
            _ => continue,
        }
        let holds = conditions.iter().all(|(index, operator, value, second)| {
            let mask = if arch.is_narrow() { 0xffff_ffff } else { u64::MAX };
            let (argument, value, second) = (arguments[*index] & mask, value & mask, second & mask);
            match operator {
                1 => argument != value,
                2 => argument < value,
                3 => argument <= value,
                4 => argument == value,
                5 => argument >= value,
                6 => argument > value,
                _ => argument & value == second & value,
            }
        });
        if *action != profile.default {
            if conditions.is_empty() {
                return *action;
            }
            if holds {
                matching = matching.or(Some(*action));
            }
        }
    }
    let last = profile.rules.iter().map(|(name, action, _)| {
        let through = (*arch == Arch::X86 && *action != profile.default).then(|| multiplexed(name)).flatten();
        of(name).max(through.and_then(|through| of(through.name)))
    });
    let last = last.max().flatten();
    let passes = [0x7fff_0000, 0x7ffc_0000, 0x7ff0_0001].contains(&profile.default);
    let newer = !passes && last.is_some_and(|last| number > last);
    matching.unwrap_or(if newer { ENOSYS } else { profile.default })
}

/// How many decisions were compared, and in how many libseccomp was of another opinion.
///
/// Decisions that can differ: the calls of the profile and their neighbours, with arguments at the edges of the
/// conditions. Ours are always what the profile means.
fn compare(peer: &Peer, profile: &Profile) -> (usize, usize) {
    let Some(theirs) = peer.compile(&profile.text) else { return (0, 0) };
    let seccomp: LinuxSeccomp = serde_json::from_value(profile.json.clone()).unwrap();
    let ours = Filter::compile(&seccomp).unwrap();
    let mut random = Random(profile.rules.len() as u64 + 1);
    let (mut compared, mut other) = (0, 0);
    let foreign = [0x4000_0028, 0, u32::MAX];
    for token in profile.archs.iter().map(|arch| arch.token()).chain(foreign) {
        let mut numbers = vec![0, 1, X32_BIT, X32_BIT + 1, X32_BIT - 1, u32::MAX - 1, u32::MAX];
        for arch in profile.archs.iter().filter(|arch| arch.token() == token) {
            let known = profile.rules.iter().filter_map(|rule| syscalls::number(&rule.0, *arch));
            let around = known.flat_map(|number| [number, number.saturating_sub(1), number + 1]);
            numbers.extend(around.map(|number| number | arch.bit()));
        }
        for number in numbers {
            for _ in 0..8 {
                let mut arguments = [(); 6].map(|()| profile.values[random.below(profile.values.len())]);
                if token == Arch::X86.token() {
                    arguments = arguments.map(|value| value & 0xffff_ffff);
                }
                let expected = meaning(profile, number, token, arguments);
                let actual = run(ours.program(), number, token, arguments);
                assert_eq!(
                    actual, expected,
                    "number {number:#x} of {token:#x} with {arguments:x?} in {profile:#?}"
                );
                let theirs = run(&theirs, number, token, arguments);
                compared += 1;
                // runc answers ENOSYS before it asks libseccomp.
                other += usize::from(theirs != actual && !(actual == ENOSYS && theirs == profile.default));
            }
        }
    }
    (compared, other)
}

/// libseccomp 2.5 is of another opinion where it forgets, between two rules of one call, to load the argument again,
/// and compares what it loaded last. and where architectures share comparisons. With
/// one rule a call and one architecture it never is.
#[test]
fn decides_as_libseccomp() {
    let Some(peer) = Peer::build("decides_as_libseccomp") else { return };
    let mut random = Random(20);
    let (mut compared, mut other) = (0, 0);
    for round in 0..120 {
        let rules = 1 + round % 2;
        let (more, different) = compare(&peer, &profile(&mut random, rules));
        assert!(rules > 1 || different == 0, "{different} of {more}");
        compared += more;
        other += different;
    }
    assert!(compared > 50_000, "only {compared}");
    assert!(other * 50 < compared, "{other} of {compared}");
}

/// With at most so many rules a call; with one, for one architecture only.
fn profile(random: &mut Random, most: usize) -> Profile {
    const ACTIONS: [(&str, u32); 7] = [
        ("SCMP_ACT_ALLOW", 0x7fff_0000),
        ("SCMP_ACT_ERRNO", 0x0005_0001),
        ("SCMP_ACT_KILL_PROCESS", 0x8000_0000),
        ("SCMP_ACT_TRAP", 0x0003_0000),
        ("SCMP_ACT_LOG", 0x7ffc_0000),
        ("SCMP_ACT_KILL_THREAD", 0),
        ("SCMP_ACT_TRACE", 0x7ff0_0001),
    ];
    const OPERATORS: [&str; 7] = [
        "SCMP_CMP_NE",
        "SCMP_CMP_LT",
        "SCMP_CMP_LE",
        "SCMP_CMP_EQ",
        "SCMP_CMP_GE",
        "SCMP_CMP_GT",
        "SCMP_CMP_MASKED_EQ",
    ];
    const NAMES: [&str; 24] = [
        "read",
        "write",
        "openat",
        "clone",
        "clone3",
        "socket",
        "bind",
        "accept4",
        "sendto",
        "semop",
        "shmat",
        "personality",
        "mmap",
        "mmap2",
        "ptrace",
        "bpf",
        "keyctl",
        "fcntl",
        "fcntl64",
        "ioctl",
        "exit_group",
        "futex",
        "futex_time64",
        "unshare",
    ];
    const WIDE: [u64; 10] =
        [0, 1, 2, 0xff, 0x2000_0000, 0xffff_ffff, 1 << 32, (1 << 32) + 1, u64::MAX, 0x7e02_0000];
    let (default_name, default) = ACTIONS[random.below(ACTIONS.len())];
    let mut text = format!("default {default}\n");
    let mut archs = vec![Arch::NATIVE.unwrap()];
    let mut listed = vec![serde_json::json!("SCMP_ARCH_X86_64")];
    for (arch, name, token) in
        [(Arch::X86, "SCMP_ARCH_X86", 0x4000_0003u32), (Arch::X32, "SCMP_ARCH_X32", 0x4000_003e)]
    {
        if most > 1 && random.below(2) == 0 {
            archs.push(arch);
            listed.push(name.into());
            text += &format!("arch {token}\n");
        }
    }
    // libseccomp compares the lower halves of what these architectures cannot pass; values that they can are the same.
    let values: &[u64] = if archs.len() > 1 { &WIDE[..6] } else { &WIDE };
    let mut calls = Vec::new();
    let mut rules: Vec<(String, u32, Vec<_>)> = Vec::new();
    for _ in 0..random.below(30) {
        let name = NAMES[random.below(NAMES.len())];
        if rules.iter().any(|rule| rule.0 == name) {
            continue;
        }
        // One action for a name: which of two wins where both hold is an accident of libseccomp's tree.
        let (action_name, action) = ACTIONS[random.below(ACTIONS.len())];
        for _ in 0..1 + random.below(most) {
            let mut args = Vec::new();
            let mut line = String::new();
            let mut comparisons = Vec::new();
            let indices: Vec<_> = (0..6).filter(|_| random.below(3) == 0).take(2).collect();
            for index in &indices {
                let operator = random.below(OPERATORS.len());
                let (value, second) =
                    (values[random.below(values.len())], values[random.below(values.len())]);
                comparisons.push((*index, operator + 1, value, second));
                let name = OPERATORS[operator];
                args.push(
                    serde_json::json!({"index": index, "value": value, "valueTwo": second, "op": name}),
                );
                line += &format!(" {index} {} {value} {second}", operator + 1);
            }
            let count = indices.len();
            if action != default {
                text += &format!("rule {action} {name} {count}{line}\n");
            }
            rules.push((name.to_owned(), action, comparisons));
            calls.push(serde_json::json!({"names": [name], "action": action_name, "args": args}));
        }
    }
    let json = serde_json::json!({"defaultAction": default_name, "architectures": listed, "syscalls": calls});
    let values =
        values.iter().flat_map(|value| [*value, value.wrapping_add(1), value.wrapping_sub(1)]).collect();
    Profile { json, text, archs, rules, values, default }
}

/// The same numbers every time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }
}
