use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::file::{Folder, keyed, number};
use super::{Cgroup, Node};

/// Version 1 says "no limit" by the largest multiple of the page size; whatever is above this means it.
const V1_UNLIMITED: u64 = 1 << 62;

/// What a group uses now. A part is `None` where its controller is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Memory, page cache included.
    pub memory: Option<MemoryStats>,
    /// Processes and threads.
    pub pids: Option<PidsStats>,
    /// Processor time.
    pub cpu: Option<CpuStats>,
}

/// Bytes of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemoryStats {
    /// In use now.
    pub current: u64,
    /// The most that ever was in use (version 2: since Linux 5.19).
    pub peak: Option<u64>,
    /// The limit; `None` for none.
    pub limit: Option<u64>,
    /// How many processes the kernel killed because the limit was reached.
    pub oom_kills: Option<u64>,
}

/// Numbers of tasks (processes and threads).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PidsStats {
    /// There now.
    pub current: u64,
    /// The limit; `None` for none.
    pub limit: Option<u64>,
}

/// Processor time since the group was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CpuStats {
    /// In total.
    pub usage: Duration,
    /// In user mode.
    pub user: Option<Duration>,
    /// In the kernel.
    pub system: Option<Duration>,
    /// Held back by the quota.
    pub throttled: Option<Duration>,
}

impl Cgroup {
    /// Reads what the group uses now.
    ///
    /// Control files that are missing or strange leave their part out, because kernels and configurations differ;
    /// a group that is gone has no part at all.
    pub fn stats(&self) -> Stats {
        let of = |controller: &str| self.node_of(controller).and_then(|node| Some((node.open().ok()?, node)));
        Stats {
            memory: of("memory").and_then(|(folder, node)| memory(&folder, node)),
            pids: of("pids").and_then(|(folder, _)| {
                Some(PidsStats { current: read(&folder, "pids.current")?, limit: read(&folder, "pids.max") })
            }),
            cpu: self.cpu(),
        }
    }

    fn cpu(&self) -> Option<CpuStats> {
        if let Some(node) = self.node_of("cpuacct") {
            let folder = node.open().ok()?;
            let user_system =
                folder.read_raw("cpuacct.usage_user").ok().zip(folder.read_raw("cpuacct.usage_sys").ok());
            let throttled = self
                .node_of("cpu")
                .and_then(|node| keyed(&node.open().ok()?.read_raw("cpu.stat").ok()?, "throttled_time"));
            return Some(CpuStats {
                usage: Duration::from_nanos(read(&folder, "cpuacct.usage")?),
                user: user_system.as_ref().and_then(|(user, _)| number(user)).map(Duration::from_nanos),
                system: user_system.as_ref().and_then(|(_, system)| number(system)).map(Duration::from_nanos),
                throttled: throttled.map(Duration::from_nanos),
            });
        }
        // Every group of version 2 has cpu.stat, with or without the controller.
        let text = self.unified()?.open().ok()?.read_raw("cpu.stat").ok()?;
        let micros = |key| keyed(&text, key).map(Duration::from_micros);
        Some(CpuStats {
            usage: micros("usage_usec")?,
            user: micros("user_usec"),
            system: micros("system_usec"),
            throttled: micros("throttled_usec"),
        })
    }
}

fn memory(folder: &Folder<'_>, node: &Node) -> Option<MemoryStats> {
    let oom = |file| keyed(&folder.read_raw(file).ok()?, "oom_kill");
    Some(if node.v2 {
        MemoryStats {
            current: read(folder, "memory.current")?,
            peak: read(folder, "memory.peak"),
            limit: read(folder, "memory.max"),
            oom_kills: oom("memory.events"),
        }
    } else {
        MemoryStats {
            current: read(folder, "memory.usage_in_bytes")?,
            peak: read(folder, "memory.max_usage_in_bytes"),
            limit: read(folder, "memory.limit_in_bytes").filter(|&limit| limit < V1_UNLIMITED),
            oom_kills: oom("memory.oom_control"),
        }
    })
}

/// A file with one number; `max` and other words give `None`.
fn read(folder: &Folder<'_>, file: &str) -> Option<u64> {
    number(&folder.read_raw(file).ok()?)
}
