//! What the process in the container sees: the quickstart's own executable, started under the name `inside`.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Prints the process's view of its container.
pub(crate) fn report(out: &mut dyn Write) -> io::Result<()> {
    let uname = rustix::system::uname();
    let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    writeln!(out, "pid         {}", std::process::id())?;
    writeln!(out, "hostname    {}", uname.nodename().to_string_lossy())?;
    writeln!(out, "user        {user}:{group}")?;
    writeln!(out, "id map      {}", words("/proc/self/uid_map"))?;
    writeln!(out, "directory   {}", std::env::current_dir()?.display())?;
    writeln!(out, "processes   {}", processes()?)?;
    writeln!(out, "interfaces  {}", interfaces())?;
    for (name, key) in [("privileges", "NoNewPrivs"), ("capability", "CapEff"), ("seccomp", "Seccomp")] {
        writeln!(out, "{name:<11} {key} {}", status(key))?;
    }
    for (name, row) in [("open files", "Max open files"), ("core size", "Max core file size")] {
        writeln!(out, "{name:<11} {}", limit(row))?;
    }
    for (name, files) in CGROUP_LIMITS {
        writeln!(out, "{name:<11} {}", cgroup_limit(files))?;
    }
    for mount in mounts() {
        writeln!(out, "mount       {mount}")?;
    }
    out.flush()
}

/// The files of a limit, cgroup v2's first, as they appear in a container's own cgroup namespace.
const CGROUP_LIMITS: [(&str, &[&str]); 3] = [
    ("memory", &["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]),
    ("pids", &["/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"]),
    (
        "cpu",
        &[
            "/sys/fs/cgroup/cpu.max",
            "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
            "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us",
        ],
    ),
];

fn cgroup_limit(files: &[&str]) -> String {
    files
        .iter()
        .find_map(|file| fs::read_to_string(file).ok())
        .map_or_else(|| "not visible".to_owned(), |text| text.trim().to_owned())
}

/// A file's words, one blank between them.
fn words(path: impl AsRef<Path>) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn status(key: &str) -> String {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}

fn limit(row: &str) -> String {
    let text = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let columns = text.lines().find_map(|line| line.strip_prefix(row)).map(|rest| {
        let mut columns = rest.split_whitespace();
        (columns.next().unwrap_or("?").to_owned(), columns.next().unwrap_or("?").to_owned())
    });
    columns.map_or_else(|| "unknown".to_owned(), |(soft, hard)| format!("{soft} (at most {hard})"))
}

fn processes() -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/proc")? {
        if entry?.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            count += 1;
        }
    }
    Ok(count)
}

fn interfaces() -> String {
    let text = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect::<Vec<_>>().join(" ")
}

/// proc(5), /proc/pid/mountinfo: the mount point is field 5, options field 6, the type follows the lone dash.
fn mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mut left = left.split(' ').skip(4);
            Some(format!("{} {} {}", left.next()?, right.split(' ').next()?, left.next()?))
        })
        .collect()
}
