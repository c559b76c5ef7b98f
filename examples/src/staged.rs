use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Failure;

/// A folder that is made beside its destination and gets that name when it is complete. Dropped without
/// [`commit`](Self::commit) it is removed, with all it holds.
#[derive(Debug)]
pub struct Staged {
    destination: PathBuf,
    folder: Option<TempDir>,
}

impl Staged {
    /// Makes an empty folder beside a destination that is absent or an empty folder.
    ///
    /// # Errors
    /// When the destination holds anything or is no folder, and what making a folder meets.
    pub fn beside(destination: &Path) -> Result<Self, Failure> {
        // A link to an empty folder is a name for it: what it names is replaced, not the link.
        let real = match fs::canonicalize(destination) {
            Ok(real) => real,
            Err(e) if e.kind() == io::ErrorKind::NotFound => std::path::absolute(destination)?,
            Err(e) => return Err(Failure::during(format!("looking at {}", destination.display()), e)),
        };
        check(&real)
            .map_err(|reason| Failure::new(format!("destination {}: {reason}", destination.display())))?;
        let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(Failure::new(format!(
                "destination {}: it has no name of its own",
                destination.display()
            )));
        };
        let mut prefix = name.to_owned();
        prefix.push(".tmp-");
        let folder = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(parent)
            .map_err(|e| Failure::during(format!("making a folder beside {}", destination.display()), e))?;
        // A umask may take even its maker's rights.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700))?;
        Ok(Self { destination: real, folder: Some(folder) })
    }

    /// The folder, as long as it has not its final name.
    pub fn path(&self) -> &Path {
        self.folder.as_ref().map_or(&self.destination, TempDir::path)
    }

    /// Gives the folder its final name, and the mode 0755 under it.
    ///
    /// # Errors
    /// When somebody put something there meanwhile.
    pub fn commit(mut self) -> Result<(), Failure> {
        let path = self.path().to_owned();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .and_then(|()| fs::rename(&path, &self.destination))
            .map_err(|e| Failure::during(format!("renaming to {}", self.destination.display()), e))?;
        if let Some(folder) = self.folder.take() {
            let _ = folder.keep();
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(folder) = self.folder.take() {
            // Not by the standard library: an image may hold folders that not even their owner can enter.
            let _ = oci_unpack::remove_tree(&folder.keep());
        }
    }
}

fn check(destination: &Path) -> Result<(), &'static str> {
    match fs::symlink_metadata(destination) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => return Err("it cannot be looked at"),
        Ok(meta) if !meta.is_dir() => return Err("it exists and is not a directory"),
        Ok(_) => {}
    }
    match fs::read_dir(destination).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err("it is not empty"),
        Err(_) => Err("it cannot be listed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let destination = scratch.path().join("there");
        let staged = Staged::beside(&destination).unwrap();
        fs::create_dir(staged.path().join("closed")).unwrap();
        fs::write(staged.path().join("closed/file"), "x").unwrap();
        fs::set_permissions(staged.path().join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
        drop(staged);
        assert!(names().is_empty(), "{:?}", names());

        let staged = Staged::beside(&destination).unwrap();
        fs::write(staged.path().join("file"), "x").unwrap();
        staged.commit().unwrap();
        assert_eq!(names(), ["there"]);
        assert_eq!(fs::metadata(&destination).unwrap().permissions().mode() & 0o7777, 0o755);
        assert!(Staged::beside(&destination).is_err());
        assert!(Staged::beside(&destination.join("file")).is_err());
        fs::remove_file(destination.join("file")).unwrap();
        Staged::beside(&destination).unwrap().commit().unwrap();
    }
}
