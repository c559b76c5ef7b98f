//! A bundle: `rootfs/`, `config.json`, and `oci-image.state`, which says what it was made of.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use examples::{Failure, Progress, Staged};
use oci_digest::content::Image;
use oci_runtime::spec::{self, ImageOptions};
use oci_unpack::Limits;
use oci_unpack::diff::{self, Diff, Snapshot};
use oci_unpack::pack::PackOptions;
use tempfile::TempDir;

use crate::state::State;

/// Where the image's users are looked up.
pub(crate) enum Users {
    /// In this root.
    In(PathBuf),
    /// In a copy of what layers together have.
    Of(TempDir),
}

/// Makes a bundle, all or nothing: `unpack` is given its folder, and tells where the image's users are found.
pub(crate) fn make<T>(
    destination: &Path,
    image: &Image,
    strict: bool,
    progress: &Progress,
    unpack: impl FnOnce(&Path) -> Result<(T, Users), Failure>,
) -> Result<T, Failure> {
    let staged = Staged::beside(destination)?;
    let (outcome, users) = unpack(staged.path())?;
    write_config(staged.path(), users.path(), image, strict, progress)?;
    staged.commit()?;
    Ok(outcome)
}

impl Users {
    fn path(&self) -> &Path {
        match self {
            Self::In(root) => root,
            Self::Of(copy) => copy.path(),
        }
    }
}

/// What changed in a bundle's rootfs since it was unpacked.
pub(crate) fn changes(
    bundle: &Path,
    state: &State,
    snapshot: &[u8],
    options: &PackOptions,
) -> Result<Diff, Failure> {
    if state.overlay.is_some() {
        let bundle = bundle.display();
        return Err(Failure::new(format!(
            "{bundle} has layers; --upper names the folder that holds the changes"
        )));
    }
    let doing = || format!("looking for changes in {}", bundle.display());
    let snapshot =
        Snapshot::read_from(snapshot, &Limits::default()).map_err(|e| Failure::during(doing(), e))?;
    diff::since(&snapshot, &bundle.join("rootfs"), options).map_err(|e| Failure::during(doing(), e))
}

/// config.json, for a runtime of this user. `users` is a folder in which the image's users are looked up.
fn write_config(
    bundle: &Path,
    users: &Path,
    image: &Image,
    strict: bool,
    progress: &Progress,
) -> Result<(), Failure> {
    let config = image.config.view();
    let mut options = ImageOptions::default().user_namespace(examples::user_namespace());
    if has_no_command(image) {
        let what = "the image has no command; config.json runs \"sh\"";
        if strict {
            return Err(Failure::new(what));
        }
        progress.warn("config.json", what);
        options = options.args(["sh"]);
    }
    let mut spec = spec::from_image(config, users, &options)
        .map_err(|e| Failure::during("making config.json of the image's config", e))?;
    // runtime-spec config.md, Root: a path that is relative is relative to the bundle.
    if let Some(root) = spec.root_mut() {
        root.set_path("rootfs".into());
    }
    let path = bundle.join("config.json");
    let mut text = serde_json::to_vec_pretty(&spec)?;
    text.push(b'\n');
    fs::write(&path, text)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)))
        .map_err(|e| Failure::during(format!("writing {}", path.display()), e))
}

fn has_no_command(image: &Image) -> bool {
    let Some(config) = image.config.view().config() else { return true };
    [config.entrypoint(), config.cmd()].into_iter().flatten().all(Vec::is_empty)
}
