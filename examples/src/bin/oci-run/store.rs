//! The program's own folder: an image layout that all images share, and a folder for each container.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use examples::Failure;
use oci_layout::ImageLayout;
use oci_runtime::Container;
use rustix::fs::FlockOperation;

/// `ROOT/images` and `ROOT/containers`.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens the store, made if there is none.
    pub(crate) fn open(root: PathBuf) -> Result<Self, Failure> {
        fs::create_dir_all(root.join("containers"))
            .map_err(|e| Failure::during(format!("creating the store {}", root.display()), e))?;
        Ok(Self { root })
    }

    /// `/var/lib/oci-run` for root, a folder of the user's own for others.
    pub(crate) fn default_root() -> Result<PathBuf, Failure> {
        if rustix::process::geteuid().is_root() {
            return Ok("/var/lib/oci-run".into());
        }
        if let Some(data) = std::env::var_os("XDG_DATA_HOME").filter(|data| !data.is_empty()) {
            return Ok(Path::new(&data).join("oci-run"));
        }
        match std::env::var_os("HOME").filter(|home| !home.is_empty()) {
            Some(home) => Ok(Path::new(&home).join(".local/share/oci-run")),
            None => Err(Failure::new("neither XDG_DATA_HOME nor HOME is set: name a store with --root")),
        }
    }

    /// The images.
    pub(crate) fn images(&self) -> Result<ImageLayout, Failure> {
        Ok(ImageLayout::open_or_create(self.root.join("images"))?)
    }

    /// A folder for a container of this name, or of a random one.
    pub(crate) fn container(&self, name: Option<&str>) -> Result<Folder, Failure> {
        let containers = self.root.join("containers");
        remove_dead(&containers);
        let name = match name {
            Some(name) => checked(name)?.to_owned(),
            None => random_name()?,
        };
        let path = containers.join(&name);
        Folder::claim(&path, &name).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Failure::new(format!("there is a container named {name:?}")),
            _ => Failure::during(format!("creating {}", path.display()), e),
        })
    }
}

/// A name becomes a folder's and the host's.
fn checked(name: &str) -> Result<&str, Failure> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty()
        || name.len() > 63
        || !name.bytes().all(fits)
        || !name.as_bytes()[0].is_ascii_alphanumeric()
    {
        let grammar = "1 to 63 letters, digits, '_', '.' and '-', beginning with a letter or digit";
        return Err(Failure::new(format!("invalid container name {name:?}: expected {grammar}")));
    }
    Ok(name)
}

fn random_name() -> io::Result<String> {
    let mut bytes = [0; 6];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A container's folder, removed at the end.
///
/// Its owner holds a lock on it for as long as it lives, so that a folder whose owner was killed can be told from one
/// in use.
#[derive(Debug)]
pub(crate) struct Folder {
    name: String,
    path: PathBuf,
    _lock: File,
}

impl Folder {
    fn claim(path: &Path, name: &str) -> io::Result<Self> {
        loop {
            fs::create_dir(path)?;
            let lock = File::open(path)?;
            // Between the two another program may take the new folder for a dead one and remove it.
            if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
                && is_at(&lock, path)
            {
                return Ok(Self { name: name.to_owned(), path: path.to_owned(), _lock: lock });
            }
        }
    }

    /// The container's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where the root file system goes.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.path.join("rootfs")
    }

    /// Where the runtime keeps the container's state.
    pub(crate) fn state(&self) -> PathBuf {
        self.path.join("state")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes the folders of containers whose programs were killed.
fn remove_dead(containers: &Path) {
    let Ok(entries) = fs::read_dir(containers) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(folder) = File::open(&path) else { continue };
        if rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok()
            && is_at(&folder, &path)
        {
            remove(&path);
        }
    }
}

fn is_at(folder: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(held), Ok(there)) = (folder.metadata(), fs::symlink_metadata(path)) else { return false };
    (held.dev(), held.ino()) == (there.dev(), there.ino())
}

/// Ends a container that is left of a failure or a killed program, and removes its folder. What cannot be removed is
/// left for the next program that comes by.
fn remove(path: &Path) {
    let state = path.join("state");
    for id in Container::list(Some(&state)).unwrap_or_default() {
        if let Ok(mut container) = Container::load(Some(&state), &id) {
            let _ = container.delete(true);
        }
    }
    // An image may hold folders that not even their owner can enter.
    let _ = oci_unpack::remove_tree(path);
}
