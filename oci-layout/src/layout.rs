use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::{self, Mode, OFlags};
use serde_json::Value;

use crate::lock::Lock;
use crate::root::{Root, WORK};
use crate::{Error, LayoutOptions, Result};

/// The names of image-layout.md.
pub(crate) const VERSION_FILE: &str = "oci-layout";
pub(crate) const INDEX: &str = "index.json";
pub(crate) const BLOBS: &str = "blobs";

/// image-layout.md, oci-layout file: the `imageLayoutVersion` this crate reads and writes.
pub(crate) const VERSION: &str = "1.0.0";
const MAX_VERSION_BYTES: u64 = 64 << 10;

const EMPTY_INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// An OCI image layout: a folder with content-addressed blobs and an index that names the images among them.
///
/// Handles are cheap to share between threads, and any number of processes may have the same layout open. Readers
/// take no lock. What writes is described in the [crate's documentation](crate).
#[derive(Debug)]
pub struct ImageLayout {
    pub(crate) root: Root,
    pub(crate) options: LayoutOptions,
}

impl ImageLayout {
    /// Creates an empty layout in a folder that is empty or does not exist; missing parents are created, too.
    ///
    /// A creation that was interrupted is completed.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] for a layout, [`Error::NotALayout`] for a folder that holds something else.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        LayoutOptions::default().create(path)
    }

    /// Opens a layout.
    ///
    /// # Errors
    /// [`Error::NotALayout`] when `oci-layout` or `index.json` is missing or not what it should be,
    /// [`Error::UnsupportedVersion`], [`Error::Limit`] when index.json is too large.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        LayoutOptions::default().open(path)
    }

    /// Opens a layout, or creates it as [`create`](Self::create) does. Any number of processes may do so at once.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self> {
        LayoutOptions::default().open_or_create(path)
    }

    /// The layout's folder, absolute.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// The options it was opened with.
    pub fn options(&self) -> &LayoutOptions {
        &self.options
    }

    pub(crate) fn open_with(path: &Path, options: LayoutOptions) -> Result<Self> {
        let mut root = Root::open(path)?;
        if let Some(blobs) = &options.shared_blobs {
            root.share(blobs)?;
        }
        if !read_version(&root)? {
            let reason = match root.read(INDEX, options.max_index_bytes) {
                Ok(Some(_)) => "there is an index.json, but no oci-layout file",
                _ => "there is no oci-layout file",
            };
            return Err(Error::NotALayout { path: root.path().to_owned(), reason: reason.to_owned() });
        }
        let index = root.path().join(INDEX);
        match root.file(root.as_fd(), INDEX, &index)? {
            Some((_, size)) if size > options.max_index_bytes => {
                Err(Error::Limit { path: index, limit: "bytes", maximum: options.max_index_bytes })
            }
            Some(_) => Ok(Self { root, options }),
            // image-layout.md, Content: "index.json … MUST exist".
            None => Err(Error::NotALayout {
                path: root.path().to_owned(),
                reason: "there is an oci-layout file, but no index.json".to_owned(),
            }),
        }
    }

    pub(crate) fn create_with(path: &Path, options: LayoutOptions) -> Result<Self> {
        match Self::complete(path, options)? {
            (layout, true) => Ok(layout),
            (layout, false) => Err(Error::AlreadyExists { path: layout.path().to_owned() }),
        }
    }

    pub(crate) fn open_or_create_with(path: &Path, options: LayoutOptions) -> Result<Self> {
        // The usual case needs no lock and no right to write.
        let version = path.join(VERSION_FILE);
        if version.symlink_metadata().is_ok() {
            if let Some(blobs) = &options.shared_blobs {
                create_folders(blobs, options.sync.syncs())?;
            }
            return Self::open_with(path, options);
        }
        Ok(Self::complete(path, options)?.0)
    }

    /// Makes the folder a layout; tells whether it was not one before.
    fn complete(path: &Path, options: LayoutOptions) -> Result<(Self, bool)> {
        create_folders(path, options.sync.syncs())?;
        if let Some(blobs) = &options.shared_blobs {
            create_folders(blobs, options.sync.syncs())?;
        }
        let mut root = Root::open(path)?;
        if read_version(&root)? {
            return Ok((Self::open_with(path, options)?, false));
        }
        refuse_foreign_files(&root)?;
        // Under the lock, so that of many that create at once one does and the others find it done.
        let lock = Lock::exclusive(&root)?;
        if read_version(&root)? {
            drop(lock);
            return Ok((Self::open_with(path, options)?, false));
        }
        let sync = options.sync.syncs();
        root.make_folder(&[BLOBS])?;
        match root.read(INDEX, options.max_index_bytes)? {
            None => {
                root.replace(INDEX, EMPTY_INDEX.as_bytes(), sync, || Ok(true))?;
            }
            // What an interrupted creation left.
            Some(bytes) if bytes == EMPTY_INDEX.as_bytes() => {}
            Some(_) => {
                return Err(Error::NotALayout {
                    path: root.path().to_owned(),
                    reason: "there is an index.json with content, but no oci-layout file".to_owned(),
                });
            }
        }
        // Last, because it is what makes the folder a layout for everybody else.
        let version = format!(r#"{{"imageLayoutVersion":"{VERSION}"}}"#);
        root.replace(VERSION_FILE, version.as_bytes(), sync, || Ok(true))?;
        if let Some(blobs) = &options.shared_blobs {
            root.share(blobs)?;
        }
        Ok((Self { root, options }, true))
    }
}

/// Creates a folder and those it lies in, on the disk if need be: what is in a folder is lost with it.
fn create_folders(path: &Path, sync: bool) -> Result<()> {
    let path = std::path::absolute(path).map_err(Error::io("resolve", path))?;
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    std::fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
    for parent in missing.iter().filter_map(|folder| folder.parent()).filter(|_| sync) {
        let opened = fs::open(parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        // A folder that we may not list, such as /home, was made before us.
        if let Ok(folder) = opened {
            fs::fsync(folder).map_err(Error::io("sync", parent))?;
        }
    }
    Ok(())
}

/// Whether there is an `oci-layout` file; one that says something else than our version is an error.
fn read_version(root: &Root) -> Result<bool> {
    let path = root.path().join(VERSION_FILE);
    let Some(bytes) = root.read(VERSION_FILE, MAX_VERSION_BYTES)? else { return Ok(false) };
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| Error::Document {
        path: path.clone(),
        pointer: String::new(),
        reason: format!("not JSON: {e}"),
    })?;
    match value.get("imageLayoutVersion") {
        Some(Value::String(version)) if version == VERSION => Ok(true),
        Some(Value::String(version)) => {
            Err(Error::UnsupportedVersion { path, version: version.chars().take(64).collect() })
        }
        // image-layout.md, oci-layout file: "MUST contain … imageLayoutVersion".
        _ => Err(Error::Document {
            path,
            pointer: "/imageLayoutVersion".to_owned(),
            reason: "missing or not a string".to_owned(),
        }),
    }
}

/// A layout is only made of an empty folder, or of what an interrupted creation left.
fn refuse_foreign_files(root: &Root) -> Result<()> {
    let entries = fs::Dir::read_from(root.as_fd()).map_err(Error::io("list", root.path()))?;
    for entry in entries {
        let entry = entry.map_err(Error::io("list", root.path()))?;
        let name = entry.file_name().to_bytes();
        let ours = [VERSION_FILE, INDEX, BLOBS, WORK, ".", ".."];
        if !ours.iter().any(|own| own.as_bytes() == name) {
            let name = <OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name);
            return Err(Error::NotALayout {
                path: root.path().to_owned(),
                reason: format!("the folder holds other files, for example {}", Path::new(name).display()),
            });
        }
    }
    Ok(())
}
