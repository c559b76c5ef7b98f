use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::process::Identity;
use crate::cgroup::Cgroup;
use crate::plan::Plan;
use crate::{Error, Result};

/// Where a container is in its life; runtime.md, State.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Status {
    /// It is being made, or its maker ended while making it.
    Creating,
    /// Everything is there, and its program waits for start.
    Created,
    /// Its program runs.
    Running,
    /// Its process has ended.
    Stopped,
}

impl Status {
    /// The word of the runtime-spec.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Stopped => "stopped",
        }
    }
}

/// The state of a container, as runtime.md defines it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct State {
    /// The version of the runtime-spec that the container was made for.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// Where it is in its life.
    pub status: Status,
    /// The container's process as the host sees it; 0 when there is none.
    #[serde(default)]
    pub pid: i32,
    /// The absolute path of the bundle.
    pub bundle: PathBuf,
    /// The annotations of the spec.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What `state.json` holds: the state, and what any process needs to go on with the container.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Saved {
    #[serde(flatten)]
    pub(super) state: State,
    #[serde(default)]
    pub(super) start_time: u64,
    #[serde(default)]
    pub(super) cgroup: Option<Cgroup>,
    /// The first of the arguments, for errors of start.
    #[serde(default)]
    pub(super) command: String,
}

impl Saved {
    /// The state of a container that is being made.
    pub(super) fn new(plan: &Plan, id: &str, bundle: PathBuf) -> Self {
        Self {
            state: State {
                oci_version: plan.version.clone(),
                id: id.into(),
                status: Status::Creating,
                pid: 0,
                bundle,
                annotations: plan.annotations.clone().into_iter().collect(),
            },
            start_time: 0,
            cgroup: None,
            command: plan
                .process
                .args
                .first()
                .map(|arg| arg.to_string_lossy().into_owned())
                .unwrap_or_default(),
        }
    }

    /// What is known of a container whose maker ended before it wrote anything down.
    pub(super) fn unknown(id: &str) -> Self {
        let state = State {
            oci_version: "1.0.0".into(),
            id: id.into(),
            status: Status::Creating,
            pid: 0,
            bundle: PathBuf::new(),
            annotations: BTreeMap::new(),
        };
        Self { state, start_time: 0, cgroup: None, command: String::new() }
    }

    /// The container's process, if there ever was one.
    pub(super) fn identity(&self) -> Option<Identity> {
        (self.state.pid > 0).then_some(Identity { pid: self.state.pid, start_time: self.start_time })
    }

    /// The status now: what was written, unless the process has ended since.
    pub(super) fn status(&self) -> Result<Status> {
        match (self.state.status, self.identity()) {
            (status, Some(process)) if status != Status::Stopped && process.is_alive()? => Ok(status),
            (Status::Creating, None) => Ok(Status::Creating),
            _ => Ok(Status::Stopped),
        }
    }
}

/// The folder of one container's state.
#[derive(Debug, Clone)]
pub(super) struct Folder(pub(super) PathBuf);

/// What other processes write is not read without bound.
const CAP: u64 = 16 << 20;

impl Folder {
    /// Makes the folder; the name is taken from then on.
    pub(super) fn create(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        make_root(root)?;
        let path = root.join(id);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(Error::Exists { id: id.into() })
            }
            Err(error) => Err(Error::io(format!("make the folder {}", path.display()), error)),
        }
    }

    /// The folder of a container that exists.
    pub(super) fn open(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        let path = root.join(id);
        if root.exists() {
            check_root(root)?;
        }
        if !path.is_dir() {
            return Err(Error::NotFound { what: format!("container {id}") });
        }
        Ok(Self(path))
    }

    /// What was written; [`Saved::unknown`] when the folder is there and nothing in it.
    pub(super) fn read(&self) -> Result<Saved> {
        let path = self.0.join("state.json");
        let mut text = Vec::new();
        match File::open(&path).and_then(|file| file.take(CAP).read_to_end(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let id = self.0.file_name().unwrap_or_default().to_string_lossy();
                return match self.0.is_dir() {
                    true => Ok(Saved::unknown(&id)),
                    false => Err(Error::NotFound { what: format!("container {id}") }),
                };
            }
            Err(error) => return Err(Error::io(format!("read {}", path.display()), error)),
        }
        serde_json::from_slice(&text)
            .map_err(|error| Error::Document { what: path.display().to_string(), reason: error.to_string() })
    }

    /// Writes the state under another name and renames it: readers see the old one or the new one.
    pub(super) fn write(&self, saved: &Saved) -> Result<()> {
        let path = self.0.join("state.json");
        let new = self.0.join(format!("state.json.{}.new", std::process::id()));
        let text = serde_json::to_vec_pretty(saved).map_err(|error| Error::Document {
            what: path.display().to_string(),
            reason: error.to_string(),
        })?;
        File::create(&new)
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| fs::rename(&new, &path))
            .map_err(|error| Error::io(format!("write {}", path.display()), error))
    }

    /// Removes the folder and its files; one that is gone is no error.
    pub(super) fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format!("remove {}", self.0.display()), error))
            }
            _ => Ok(()),
        }
    }
}

/// The ids in a state root, sorted. A root that does not exist has none.
pub(super) fn ids(root: &Path) -> Result<Vec<String>> {
    let failed = |error| Error::io(format!("list {}", root.display()), error);
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string()
            && check_id(&name).is_ok()
            && entry.path().is_dir()
        {
            ids.push(name);
        }
    }
    ids.sort();
    Ok(ids)
}

/// Where state is kept when nobody says otherwise: `/run/oci-runtime` for root, `$XDG_RUNTIME_DIR/oci-runtime` for an
/// ordinary user, and `/tmp/oci-runtime-UID` where that is not set.
pub(super) fn default_root() -> PathBuf {
    let uid = rustix::process::geteuid();
    if uid.is_root() {
        return "/run/oci-runtime".into();
    }
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(path) => path.join("oci-runtime"),
        None => format!("/tmp/oci-runtime-{}", uid.as_raw()).into(),
    }
}

/// Makes the root with mode 0700, unless it is there.
fn make_root(root: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)
        .map_err(|error| Error::io(format!("make the folder {}", root.display()), error))?;
    check_root(root)
}

/// Whoever can write below the root says which processes are killed and which control groups are removed: nobody but
/// this user may. In /tmp, somebody else could have left a link to another folder of this user's.
fn check_root(root: &Path) -> Result<()> {
    let failed = |error| Error::io(format!("stat {}", root.display()), error);
    let own = rustix::process::geteuid().as_raw();
    let link = fs::symlink_metadata(root).map_err(failed)?;
    let found = fs::metadata(root).map_err(failed)?;
    if found.uid() != own || found.mode() & 0o022 != 0 || (link.uid() != 0 && link.uid() != own) {
        let reason = "belongs to another user, or others may write to it";
        return Err(Error::invalid("state root", &root.display().to_string(), reason));
    }
    Ok(())
}

fn check_id(id: &str) -> Result<()> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'.' | b'-');
    if id.is_empty() || id.len() > 200 || id.starts_with('.') || !id.bytes().all(fine) {
        let reason = "must be 1 to 200 of [A-Za-z0-9_+.-], and not begin with a dot";
        return Err(Error::invalid("container id", id, reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_do_not_leave_the_root() {
        for id in ["", ".", "..", ".hidden", "a/b", "../x", "a b", "ä", "a\0"] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
        for id in ["a", "A-1_b+c.d", "0"] {
            assert!(check_id(id).is_ok(), "{id:?}");
        }
    }

    #[test]
    fn a_name_is_taken_once() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().join("state");
        let folder = Folder::create(&root, "one").unwrap();
        assert!(matches!(Folder::create(&root, "one"), Err(Error::Exists { .. })));
        assert_eq!(ids(&root).unwrap(), ["one"]);
        folder.remove().unwrap();
        folder.remove().unwrap();
        assert!(Folder::open(&root, "one").unwrap_err().is_not_found());
    }
}
