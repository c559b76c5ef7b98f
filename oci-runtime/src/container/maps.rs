use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::plan::{IdMap, Plan};
use crate::prepare::Caller;
use crate::{Error, Result};

/// Writes the id maps of a new user namespace, whose first process waits for it.
///
/// Where the kernel lets the caller, by itself; several ids of an ordinary user by newuidmap(1) and newgidmap(1).
pub(super) fn write(plan: &Plan, pid: i32, caller: &Caller) -> Result<()> {
    const CAP_SETUID: u32 = 7;
    let spaces = &plan.namespaces;
    if !caller.may_map_groups(plan) {
        // user_namespaces(7): without CAP_SETGID, setgroups must be denied before gid_map may be written.
        proc_file(pid, "setgroups", "deny")?;
    }
    let single = caller.is_single(&spaces.gids, caller.gid);
    if single || caller.may_map_groups_itself() {
        proc_file(pid, "gid_map", &text(&spaces.gids, '\n'))?;
    } else {
        helper("newgidmap", pid, "gid_map", &spaces.gids)?;
    }
    if caller.is_single(&spaces.uids, caller.uid) || caller.has(CAP_SETUID) {
        proc_file(pid, "uid_map", &text(&spaces.uids, '\n'))
    } else {
        helper("newuidmap", pid, "uid_map", &spaces.uids)
    }
}

fn text(maps: &[IdMap], separator: char) -> String {
    let mut text = String::new();
    for map in maps {
        let _ = write!(text, "{} {} {}{separator}", map.container, map.host, map.size);
    }
    text
}

fn proc_file(pid: i32, name: &str, content: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{name}");
    // One write: the kernel takes a map as a whole or not at all.
    OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .map_err(|error| {
            Error::io(format!("write {name} ({})", content.trim_end().replace('\n', ", ")), error)
        })
}

fn helper(program: &'static str, pid: i32, name: &str, maps: &[IdMap]) -> Result<()> {
    let unsupported = |reason: String| Error::Unsupported {
        what: format!("the {name} of several ids ({})", text(maps, ' ').trim_end()),
        reason,
    };
    let output = Command::new(program)
        .arg(pid.to_string())
        .args(text(maps, ' ').split_ascii_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    let told = match output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().chars().take(300).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(unsupported(format!("an ordinary user needs {program}, which is not installed")));
        }
        Err(error) => error.to_string(),
    };
    // A host that collects every child has taken the helper's exit status: the map itself tells whether it worked.
    match std::fs::read_to_string(format!("/proc/{pid}/{name}")) {
        Ok(written) if !written.trim().is_empty() => Ok(()),
        _ => Err(unsupported(format!("{program} refused: {told}"))),
    }
}
