//! The users of an image whose files are in several folders.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use examples::Failure;
use tempfile::TempDir;

/// A folder with what the layers together have as /etc/passwd and /etc/group; the uppermost layer comes first.
pub(crate) fn users(layers: &[PathBuf]) -> Result<TempDir, Failure> {
    let folder = tempfile::tempdir()?;
    let etc = folder.path().join("etc");
    let own = fs::Permissions::from_mode(0o700);
    // A umask may take even their maker's rights.
    fs::set_permissions(folder.path(), own.clone())?;
    fs::create_dir(&etc).and_then(|()| fs::set_permissions(&etc, own))?;
    for name in ["passwd", "group"] {
        let Some(found) = uppermost(layers, name) else { continue };
        fs::copy(&found, etc.join(name))
            .map_err(|e| Failure::during(format!("reading {}", found.display()), e))?;
    }
    Ok(folder)
}

/// The file that the mounted layers show, the uppermost layer first, unless a layer hides it or it is no plain file.
fn uppermost(layers: &[PathBuf], name: &str) -> Option<PathBuf> {
    for layer in layers {
        let etc = layer.join("etc");
        let Ok(meta) = fs::symlink_metadata(&etc) else { continue };
        if !meta.is_dir() {
            return None;
        }
        let path = etc.join(name);
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() && !is_whiteout(&path, &meta) => return Some(path),
            Ok(_) => return None,
            Err(_) if is_opaque(&etc) => return None,
            Err(_) => {}
        }
    }
    None
}

/// A character device 0:0, or an empty file with an attribute (Linux 6.7).
fn is_whiteout(path: &Path, meta: &fs::Metadata) -> bool {
    (meta.file_type().is_char_device() && meta.rdev() == 0)
        || (meta.size() == 0 && has_attribute(path, "overlay.whiteout", None))
}

fn is_opaque(folder: &Path) -> bool {
    has_attribute(folder, "overlay.opaque", Some(b"y"))
}

fn has_attribute(path: &Path, name: &str, value: Option<&[u8]>) -> bool {
    ["trusted", "user"].iter().any(|space| {
        let mut found = [0; 16];
        match rustix::fs::lgetxattr(path, format!("{space}.{name}"), &mut found) {
            Ok(length) => value.is_none_or(|value| found.get(..length) == Some(value)),
            Err(_) => false,
        }
    })
}
