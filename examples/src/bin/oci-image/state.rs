//! `oci-image.state`: what a bundle was made of, for `repack` and `diff`.

use std::io::Write;
use std::path::{Path, PathBuf};

use examples::Failure;
use oci_digest::Descriptor;
use serde::{Deserialize, Serialize};

const NAME: &str = "oci-image.state";
const VERSION: u32 = 1;

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

impl State {
    pub(crate) fn new(layout: &Path, name: &str, manifest: &Descriptor, owners: Owners) -> Self {
        // What a tag says of the manifest is the tag's, not the bundle's.
        let manifest =
            Descriptor::new(manifest.media_type().clone(), manifest.size(), manifest.digest().clone());
        let (layout, name) = (layout.to_owned(), name.to_owned());
        Self { version: VERSION, layout, name, manifest, owners, repacked: Vec::new() }
    }

    /// Writes the file anew, as a whole.
    pub(crate) fn write(&self, bundle: &Path, snapshot: &[u8]) -> Result<(), Failure> {
        let path = bundle.join(NAME);
        let doing = |e| Failure::during(format!("writing {}", path.display()), e);
        let mut file = tempfile::NamedTempFile::new_in(bundle).map_err(doing)?;
        let mut header = serde_json::to_vec(self)?;
        header.push(b'\n');
        file.write_all(&header).and_then(|()| file.write_all(snapshot)).map_err(doing)?;
        file.persist(&path).map_err(|e| doing(e.error))?;
        Ok(())
    }
}
