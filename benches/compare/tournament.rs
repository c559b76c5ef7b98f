use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use benches::Failure;
use oci_unpack::remove_tree;

use crate::contender::{Contender, Destination};
use crate::measure::{self, Cost};

/// What one tool needed.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) name: &'static str,
    /// By round.
    pub(crate) costs: Vec<Cost>,
    /// The largest process, in KiB.
    pub(crate) peak: Option<u64>,
}

/// Everybody's turns, and those who had none, with the reason.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) standings: Vec<Standing>,
    pub(crate) left_out: Vec<String>,
}

/// Gives each contender one turn for warming up and for its memory, and then `rounds` in which they alternate.
/// The first contender is ours, and must do its job; another that cannot is left out.
pub(crate) fn hold(
    contenders: &[Contender],
    scratch: &Path,
    rounds: u32,
    timeout: Duration,
) -> Result<Outcome, Failure> {
    let mut left_out = Vec::new();
    let mut playing = Vec::new();
    for (place, contender) in contenders.iter().enumerate() {
        if let Some(tool) = contender.missing() {
            left_out.push(format!("{}: {tool} is not installed", contender.name));
            continue;
        }
        let turn = Turn { contender, scratch, timeout };
        match turn.warm_up() {
            Ok(peak) => playing.push((turn, Standing { name: contender.name, costs: Vec::new(), peak })),
            Err(error) if place == 0 => return Err(error),
            Err(error) => left_out.push(format!("{}: {error}", contender.name)),
        }
    }
    for round in 0..rounds {
        let mut failed = Vec::new();
        for (place, (turn, standing)) in playing.iter_mut().enumerate() {
            match turn.take(&round.to_string(), measure::cost) {
                Ok(cost) => standing.costs.push(cost),
                Err(error) if place == 0 => return Err(error),
                // Its rounds would no longer be those of the others.
                Err(error) => {
                    left_out.push(format!("{}, in round {round}: {error}", standing.name));
                    failed.push(standing.name);
                }
            }
        }
        playing.retain(|(_, standing)| !failed.contains(&standing.name));
    }
    Ok(Outcome { standings: playing.into_iter().map(|(_, standing)| standing).collect(), left_out })
}

struct Turn<'t> {
    contender: &'t Contender,
    scratch: &'t Path,
    timeout: Duration,
}

impl Turn<'_> {
    /// A turn that is not counted, and one for the peak of memory.
    fn warm_up(&self) -> Result<Option<u64>, Failure> {
        self.take("warm", measure::cost)?;
        self.take("memory", |command, log, timeout| measure::peak_memory(command, log, timeout))
    }

    fn take<T>(
        &self,
        round: &str,
        measure: impl FnOnce(&mut Command, &Path, Duration) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let destination = Scratch::new(self.scratch.join(self.unique_name(round)));
        if self.contender.destination != Destination::Absent {
            fs::create_dir(&destination.0)?;
        }
        // What the tool before has left to write is not this one's.
        rustix::fs::syncfs(File::open(self.scratch)?)?;
        let log = self.scratch.join("log");
        let mut command = (self.contender.command)(&destination.0);
        let measured = measure(&mut command, &log, self.timeout);
        if measured.is_err()
            && let Some(undo) = &self.contender.undo
        {
            let _ = measure::cost(&mut undo(&destination.0), &log, self.timeout);
        }
        let measured = measured?;
        if self.contender.destination != Destination::Notes && is_empty(&destination.0) {
            return Err(format!("{} succeeded and made nothing", self.contender.name).into());
        }
        Ok(measured)
    }

    /// Container ids are made of it, too.
    fn unique_name(&self, round: &str) -> String {
        let name: String = self.contender.name.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("compare-{}-{name}-{round}", std::process::id())
    }
}

/// A folder that goes with this value, whatever an image closed in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.0.symlink_metadata().is_ok()
            && let Err(error) = remove_tree(&self.0)
        {
            eprintln!("compare: {} stays behind: {error}", self.0.display());
        }
    }
}

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().map_or(true, |mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    fn shell(name: &'static str, destination: Destination, script: &'static str) -> Contender {
        Contender::new(name, &["sh"], destination, move |folder| {
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh"]).arg(folder);
            command
        })
    }

    #[test]
    fn everybody_has_the_same_number_of_turns_at_a_new_place() {
        let scratch = tempfile::tempdir().unwrap();
        let list = scratch.path().join("turns");
        let contenders = [
            shell("first", Destination::Absent, r#"mkdir "$1" && : > "$1/x" && echo a >> "$1/../turns""#),
            shell("second", Destination::Empty, r#"test -d "$1" && : > "$1/x" && echo b >> "$1/../turns""#),
            shell("third", Destination::Notes, r#"echo c >> "$1/../turns""#),
            shell("idle", Destination::Empty, "true"),
            shell("late", Destination::Notes, r#"case "$1" in *-1) echo late >&2; exit 1;; esac"#),
            shell("failing", Destination::Notes, "echo cannot >&2; exit 1"),
            Contender::new("absent", &["no-such-tool"], Destination::Notes, |_| Command::new("true")),
        ];
        let outcome = hold(&contenders, scratch.path(), 3, Duration::from_secs(60)).unwrap();
        let names: Vec<_> = outcome.standings.iter().map(|s| (s.name, s.costs.len())).collect();
        assert_eq!(names, [("first", 3), ("second", 3), ("third", 3)]);
        assert_eq!(outcome.left_out.len(), 4);
        assert!(outcome.left_out[3].starts_with("late, in round 1: "), "{:?}", outcome.left_out);
        assert!(outcome.left_out[0].contains("made nothing"), "{:?}", outcome.left_out);
        assert!(outcome.left_out[1].ends_with("cannot"), "{:?}", outcome.left_out);
        assert!(outcome.left_out[2].contains("not installed"), "{:?}", outcome.left_out);
        let turns = fs::read_to_string(list).unwrap().replace('\n', "");
        assert!(turns.ends_with("abcabcabc"), "{turns}");
        let left: Vec<_> = scratch.path().read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("compare-")), "{left:?}");
    }

    #[test]
    fn ours_must_work() {
        let scratch = tempfile::tempdir().unwrap();
        let contenders = [shell("ours", Destination::Notes, "exit 1")];
        assert!(hold(&contenders, scratch.path(), 1, Duration::from_secs(60)).is_err());
    }

    #[test]
    fn a_failed_turn_is_undone() {
        let scratch = tempfile::tempdir().unwrap();
        let mark = scratch.path().join("undone");
        let ours = shell("ours", Destination::Notes, "exit 1").undo({
            let mark = mark.clone();
            move |_| {
                let mut command = Command::new("touch");
                command.arg(&mark);
                command
            }
        });
        assert!(hold(&[ours], scratch.path(), 1, Duration::from_secs(60)).is_err());
        assert!(mark.exists());
    }
}
