use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use benches::Failure;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// Where GNU time lies; the word `time` alone is the shell's.
const TIME: &str = "/usr/bin/time";

/// What is shown of what a failed tool had to say.
const COMPLAINT: u64 = 2000;

/// What a command took, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    /// From before it was made to after it ended.
    pub(crate) wall: f64,
    /// What the processors worked for it and all it started and waited for, in its own code and in the kernel. What
    /// else the machine does changes this little.
    pub(crate) cpu: f64,
}

/// Runs a command that must succeed.
pub(crate) fn cost(command: &mut Command, log: &Path, timeout: Duration) -> Result<Cost, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(log)?)
        // So that a timeout ends the whole of a pipe.
        .process_group(0);
    let before = cpu_of_children()?;
    let started = Instant::now();
    let mut child = command.spawn().map_err(|e| format!("{program}: {e}"))?;
    let status = wait(&mut child, timeout);
    let elapsed = started.elapsed();
    match status? {
        Some(status) if status.success() => {
            Ok(Cost { wall: elapsed.as_secs_f64(), cpu: cpu_of_children()? - before })
        }
        Some(status) => Err(format!("{program}: {status}{}", complaint(log)).into()),
        None => Err(format!("{program}: ended after {} s{}", timeout.as_secs(), complaint(log)).into()),
    }
}

/// Of all children that were waited for, and theirs. Nothing else ends meanwhile.
fn cpu_of_children() -> io::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// The peak of resident memory of the largest process of a command, in KiB. `None` without GNU time.
///
/// A run of its own: the process that looks on would cost the timed ones a millisecond.
pub(crate) fn peak_memory(command: &Command, log: &Path, timeout: Duration) -> Result<Option<u64>, Failure> {
    if !Path::new(TIME).is_file() {
        return Ok(None);
    }
    let note = log.with_extension("memory");
    let mut watched = Command::new(TIME);
    watched.args(["-f", "%M", "-o"]).arg(&note).arg(command.get_program()).args(command.get_args());
    cost(&mut watched, log, timeout)?;
    let text = std::fs::read_to_string(&note)?;
    Ok(text.lines().last().and_then(|line| line.trim().parse().ok()))
}

/// Waits for a child; one that takes too long is killed with all of its process group.
fn wait(child: &mut Child, timeout: Duration) -> io::Result<Option<ExitStatus>> {
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return Err(io::Error::other("a process without a number"));
    };
    let limit = Timespec { tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: 0 };
    let ended = pidfd_open(pid, PidfdFlags::empty())
        .and_then(|pidfd| poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)));
    if matches!(ended, Ok(1..)) {
        return child.wait().map(Some);
    }
    // Not waited for yet, so that the number is still its own.
    let _ = kill_process_group(pid, Signal::KILL);
    child.wait()?;
    ended?;
    Ok(None)
}

fn complaint(log: &Path) -> String {
    let mut text = Vec::new();
    let _ = File::open(log).and_then(|file| file.take(COMPLAINT).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    if text.trim().is_empty() { String::new() } else { format!(": {}", text.trim()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;
    use std::os::unix::fs::OpenOptionsExt;

    const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn failures_say_what_the_tool_said() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let minute = Duration::from_secs(60);
        assert!(cost(&mut shell("exit 0"), &log, minute).unwrap().wall > 0.0);
        let error = cost(&mut shell("echo no such thing >&2; exit 3"), &log, minute).unwrap_err();
        assert!(error.to_string().ends_with("exit status: 3: no such thing"), "{error}");
        assert!(cost(&mut Command::new("/no/such/tool"), &log, minute).is_err());
    }

    #[test]
    fn what_takes_too_long_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // Opened before anybody writes, which only works without waiting.
        let mut reader = File::options().read(true).custom_flags(NONBLOCK).open(&pipe).unwrap();
        let mut command = shell(r#"exec 9> "$PIPE"; sleep 600 & sleep 600"#);
        command.env("PIPE", &pipe);
        let error = cost(&mut command, &folder.path().join("log"), Duration::from_secs(1)).unwrap_err();
        assert!(error.to_string().contains("ended after 1 s"), "{error}");
        // The end of the pipe is seen when nobody is left who has it open.
        rustix::fs::fcntl_setfl(&reader, rustix::fs::OFlags::empty()).unwrap();
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn the_work_of_children_of_children_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut busy = shell("(i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done) | cat");
        let busy = cost(&mut busy, &folder.path().join("log"), Duration::from_secs(60)).unwrap();
        let mut idle = shell("sleep 0.2");
        let idle = cost(&mut idle, &folder.path().join("log"), Duration::from_secs(60)).unwrap();
        assert!(busy.cpu > idle.cpu, "{busy:?} {idle:?}");
        assert!(idle.wall > 0.2, "{idle:?}");
    }

    #[test]
    fn memory_is_that_of_the_largest_process() {
        if !Path::new(TIME).is_file() {
            eprintln!("SKIP memory_is_that_of_the_largest_process: needs {TIME}");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let command = shell("head -c 40000000 /dev/zero | tail -c 40000000 | cat");
        let peak = peak_memory(&command, &log, Duration::from_secs(60)).unwrap().unwrap();
        assert!((40_000..200_000).contains(&peak), "{peak} KiB");
    }
}
