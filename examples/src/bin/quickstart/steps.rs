//! The steps as they are shown: each with its time, bytes and digest.

use std::io::{self, Write};
use std::time::Instant;

use oci_digest::Digest;

/// Prints a line as each step ends.
#[derive(Debug)]
pub(crate) struct Steps {
    started: Instant,
}

impl Steps {
    /// The first step begins now.
    pub(crate) fn begin() -> io::Result<Self> {
        writeln!(io::stdout(), "{:<8} {:>10} {:>12}  digest", "step", "time", "bytes")?;
        Ok(Self { started: Instant::now() })
    }

    /// A step ended; the next begins now.
    pub(crate) fn done(&mut self, step: &str, bytes: u64, digest: &Digest, remark: &str) -> io::Result<()> {
        let time = format!("{:.1} ms", self.started.elapsed().as_secs_f64() * 1e3);
        let remark = if remark.is_empty() { String::new() } else { format!("  ({remark})") };
        writeln!(io::stdout(), "{step:<8} {time:>10} {bytes:>12}  {digest}{remark}")?;
        self.started = Instant::now();
        Ok(())
    }
}

/// The most memory this process has had, in KiB (proc(5), VmHWM).
pub(crate) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
