//! From a [`Plan`] to what the child needs: a list of steps, the tail, and open descriptors.

mod cgroup_mount;
mod steps;
mod tail;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::cgroup::{Hierarchy, Join};
use crate::enter::Program;
use crate::plan::{IdMap, Plan};
use crate::sys::call::Fd;
use crate::tail::Tail;
use crate::{Error, Result};

/// Everything the child is started with. It must live until the child has left the caller's memory.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) program: Program,
    pub(crate) tail: Tail,
    /// CLONE_NEW* flags for clone3.
    pub(crate) flags: u64,
    /// The group of version 2 to be born in.
    /// Whether the child may live in the caller's memory: not when it must change its ids on the way, because that
    /// would change the memory's dumpable flag.
    pub(crate) shares_memory: bool,
    into_cgroup: Option<OwnedFd>,
    /// What did not fit the spec's wishes and is no error.
    pub(crate) warnings: Vec<String>,
}

/// What a container is prepared with beside its plan.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// Standard input, output and error: a descriptor, or the caller's own.
    pub(crate) stdio: [Option<BorrowedFd<'a>>; 3],
    /// Which of them are pipes made for the container.
    pub(crate) pipes: [bool; 3],
    /// The child's end of the socket.
    pub(crate) socket: BorrowedFd<'a>,
    /// For create: the pipe that `start` writes to, and the one that it reads.
    pub(crate) gate: Option<(BorrowedFd<'a>, BorrowedFd<'a>)>,
    pub(crate) cgroup: Option<Join>,
    pub(crate) hierarchy: &'a Hierarchy,
    pub(crate) caller: Caller,
    /// Whether the process gets a session keyring of its own.
    pub(crate) keyring: bool,
}

/// What the calling process may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// Capabilities it can give: permitted and in the bounding set.
    pub(crate) capabilities: u64,
    /// The highest capability that the kernel knows.
    pub(crate) last_capability: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Caller {
    pub(crate) fn current() -> Result<Self> {
        let path = "/proc/thread-self/status";
        let status =
            std::fs::read_to_string(path).map_err(|error| Error::io(format!("read {path}"), error))?;
        let set = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            u64::from_str_radix(value.trim(), 16).unwrap_or_default()
        };
        let path = "/proc/sys/kernel/cap_last_cap";
        let last = std::fs::read_to_string(path).map_err(|error| Error::io(format!("read {path}"), error))?;
        Ok(Self {
            capabilities: set("CapPrm:") & set("CapBnd:"),
            last_capability: last.trim().parse().unwrap_or(40).min(63),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        })
    }

    /// Whether the caller may do what only an administrator of its user namespace may.
    pub(crate) fn has(&self, capability: u32) -> bool {
        self.capabilities & 1 << capability != 0
    }

    /// Whether the caller (itself, or by newgidmap) writes the group map without denying setgroups(2).
    pub(crate) fn may_map_groups(&self, plan: &Plan) -> bool {
        self.may_map_groups_itself() || !self.is_single(&plan.namespaces.gids, self.gid)
    }

    /// Whether the caller may write any group map without help.
    pub(crate) fn may_map_groups_itself(&self) -> bool {
        const CAP_SETGID: u32 = 6;
        self.has(CAP_SETGID)
    }

    /// Whether the caller is somebody in the container's user namespace: who is not cannot make files there.
    pub(crate) fn is_mapped(&self, plan: &Plan) -> bool {
        let mapped = |maps: &[IdMap], own| {
            maps.is_empty() || maps.iter().any(|map| own >= map.host && own - map.host < map.size)
        };
        mapped(&plan.namespaces.uids, self.uid) && mapped(&plan.namespaces.gids, self.gid)
    }

    /// Whether the only mapping is of the caller's own id, which the kernel lets everybody write.
    pub(crate) fn is_single(&self, maps: &[IdMap], own: u32) -> bool {
        matches!(maps, [IdMap { host, size: 1, .. }] if *host == own)
    }
}

/// Descriptors of the program: numbered above the standard ones, whatever the caller has open, and kept open.
#[derive(Debug, Default)]
pub(crate) struct Descriptors(Vec<OwnedFd>);

impl Descriptors {
    /// A number that the child will know the descriptor by.
    fn add(&mut self, descriptor: impl AsFd) -> Result<Fd> {
        let copy = rustix::io::fcntl_dupfd_cloexec(descriptor, 3)
            .map_err(|error| Error::io("duplicate a descriptor", error))?;
        let number = copy.as_raw_fd();
        self.0.push(copy);
        Ok(number)
    }

    /// All numbers from 3 on that are not among the descriptors, as ranges.
    fn others(&self) -> Vec<(u32, u32)> {
        let mut numbers: Vec<_> = self.0.iter().map(|fd| fd.as_raw_fd() as u32).collect();
        numbers.sort_unstable();
        let mut ranges = Vec::with_capacity(numbers.len() + 1);
        let mut first = 3;
        for number in numbers {
            if number > first {
                ranges.push((first, number - 1));
            }
            first = number + 1;
        }
        ranges.push((first, u32::MAX));
        ranges
    }
}

impl Prepared {
    pub(crate) fn cgroup(&self) -> Option<RawFd> {
        self.into_cgroup.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// The program, and the descriptors that it knows by number, which are only needed until the child has copies.
    pub(crate) fn new(plan: &Plan, around: &Surroundings<'_>) -> Result<(Self, Descriptors)> {
        let mut descriptors = Descriptors::default();
        let (tail, warnings) = tail::build(plan, around)?;
        let program =
            descriptors.add(tail.memory_file().map_err(|error| Error::io("make the tail", error))?)?;
        let (steps, socket) = steps::build(plan, around, program, &mut descriptors)?;
        let later = libc::CLONE_NEWCGROUP as u64;
        let prepared = Self {
            program: Program { steps, socket },
            tail,
            flags: plan.namespaces.new & !later,
            shares_memory: around.caller.is_mapped(plan),
            into_cgroup: around.cgroup.as_ref().and_then(|join| join.into.as_ref()).map(own).transpose()?,
            warnings,
        };
        Ok((prepared, descriptors))
    }
}

fn own(descriptor: &OwnedFd) -> Result<OwnedFd> {
    descriptor.try_clone().map_err(|error| Error::io("duplicate a descriptor", error))
}

/// Opens the caller's procfs, checked to be one.
fn open_proc() -> Result<File> {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    let proc = File::open("/proc").map_err(|error| Error::io("open /proc", error))?;
    let found = rustix::fs::fstatfs(&proc).map_err(|error| Error::io("statfs /proc", error))?;
    if found.f_type as u64 != PROC_SUPER_MAGIC {
        return Err(Error::io("/proc is not procfs", io::Error::from(io::ErrorKind::Unsupported)));
    }
    Ok(proc)
}
