//! `oci-image.state`: what a bundle was made of, for `repack` and `diff`.

use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use examples::Failure;
use oci_digest::Descriptor;
use oci_unpack::pack;
use serde::{Deserialize, Serialize};

const NAME: &str = "oci-image.state";
const VERSION: u32 = 1;
/// More than any header has.
const MAX_HEADER: u64 = 1 << 20;

/// The first line of the file, a JSON object. What follows it is a snapshot of rootfs/, as `oci_unpack::diff::Snapshot`
/// writes it; nothing in a bundle of layers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    version: u32,
    /// The layout's folder, absolute.
    pub(crate) layout: PathBuf,
    /// The tag or digest that was unpacked.
    pub(crate) name: String,
    /// The image that `rootfs` or `layers` was made of.
    pub(crate) manifest: Descriptor,
    /// What became of the owners.
    pub(crate) owners: Owners,
    /// The format of layers/, which holds one folder for each layer, while rootfs/ is a place to mount them on. Nothing
    /// when rootfs/ holds the files.
    #[serde(default)]
    pub(crate) overlay: Option<Format>,
    /// The manifests that `repack` made of this bundle.
    #[serde(default)]
    pub(crate) repacked: Vec<String>,
}

/// What became of the owners of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Owners {
    /// The files have those of the image.
    Applied,
    /// Everything belongs to the user who unpacked.
    Dropped,
    /// As `Dropped`, recorded in `user.rootlesscontainers`.
    Rootlesscontainers,
    /// As `Dropped`, recorded in `user.containers.override_stat`.
    OverrideStat,
}

/// What the folders of layers are mounted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// overlayfs as it is.
    Trusted,
    /// The mount option userxattr.
    User,
}

impl State {
    pub(crate) fn new(layout: &Path, name: &str, manifest: &Descriptor, owners: Owners) -> Self {
        let manifest = Self::plain(manifest);
        let (layout, name) = (layout.to_owned(), name.to_owned());
        Self { version: VERSION, layout, name, manifest, owners, overlay: None, repacked: Vec::new() }
    }

    /// What a tag says of a manifest is the tag's, not the bundle's.
    pub(crate) fn plain(manifest: &Descriptor) -> Descriptor {
        Descriptor::new(manifest.media_type().clone(), manifest.size(), manifest.digest().clone())
    }

    /// Writes the file anew, as a whole.
    pub(crate) fn write(&self, bundle: &Path, snapshot: &[u8]) -> Result<(), Failure> {
        let path = bundle.join(NAME);
        let doing = |e| Failure::during(format!("writing {}", path.display()), e);
        let mut file = tempfile::NamedTempFile::new_in(bundle).map_err(doing)?;
        let mut header = serde_json::to_vec(self)?;
        header.push(b'\n');
        file.write_all(&header).and_then(|()| file.write_all(snapshot)).map_err(doing)?;
        // Whatever the umask is; a temporary file is its owner's alone.
        file.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(doing)?;
        file.persist(&path).map_err(|e| doing(e.error))?;
        Ok(())
    }

    /// Reads the file, with the snapshot.
    pub(crate) fn read(bundle: &Path) -> Result<(Self, Vec<u8>), Failure> {
        let path = bundle.join(NAME);
        let doing = || format!("reading {}", path.display());
        let file = File::open(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Failure::during(format!("{} is no bundle that oci-image unpacked", bundle.display()), e)
            }
            _ => Failure::during(doing(), e),
        })?;
        let mut file = BufReader::new(file);
        let mut header = Vec::new();
        file.by_ref()
            .take(MAX_HEADER)
            .read_until(b'\n', &mut header)
            .map_err(|e| Failure::during(doing(), e))?;
        let state: Self = serde_json::from_slice(&header).map_err(|e| Failure::during(doing(), e))?;
        if state.version != VERSION {
            return Err(Failure::new(format!(
                "{} is of version {}, known is {VERSION}",
                path.display(),
                state.version
            )));
        }
        let mut snapshot = Vec::new();
        file.read_to_end(&mut snapshot).map_err(|e| Failure::during(doing(), e))?;
        Ok((state, snapshot))
    }

    /// How its files are packed: with the owners that the image gave them, as far as they are known.
    pub(crate) fn pack_owners(&self) -> pack::Owners {
        match self.owners {
            Owners::Applied => pack::Owners::Keep,
            Owners::Dropped => pack::Owners::Fixed { uid: 0, gid: 0 },
            Owners::Rootlesscontainers => pack::Owners::RootlessContainers,
            Owners::OverrideStat => pack::Owners::OverrideStat,
        }
    }
}
