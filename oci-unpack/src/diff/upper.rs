use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::change::ChangeKind;
use super::plan::{Diff, Plan};
use crate::framing::EntryKind;
use crate::pack::node::{Folder, Node};
use crate::pack::walk::failed;
use crate::pack::{PackEvent, PackOptions};
use crate::{Error, Result};

/// What an overlayfs upper folder changes in the folders below it. The overlay must not be mounted meanwhile.
///
/// Character devices 0:0 and files with the attribute `overlay.whiteout` become whiteouts, directories with
/// `overlay.opaque` get an opaque marker; the attributes are looked for in `trusted.*` and in `user.*` (the mount option
/// `userxattr`). Reading those in `trusted.*` needs `CAP_SYS_ADMIN`: without, opaque directories of such a mount look
/// like any other. The root's entry is always written, since the folder's attributes are those of the mount's root.
/// What the folder below has is not known here: a node counts as modified if overlayfs noted that it was copied up, else
/// as added.
///
/// # Errors
/// [`Error::Entry`] for a directory that was renamed (`redirect_dir`) and for a file whose data stayed below (`metacopy`):
/// the upper folder alone does not tell what they hold. [`Error::Io`] naming what cannot be read.
pub fn overlay_upper(upper: &Path, options: &PackOptions) -> Result<Diff> {
    let mut walk = Walk { folder: upper, path: Vec::new(), plan: Plan::default(), sockets: Vec::new() };
    let root = Folder::open(upper).map_err(|e| walk.failed("opening", e))?;
    if walk.directory(&root)? {
        walk.plan.write(b"", Some(ChangeKind::Modified))?;
    }
    let mut diff = Diff::new(upper, walk.plan, walk.sockets, options);
    diff.of_overlay = true;
    Ok(diff)
}

/// Whether an attribute is overlayfs' own.
pub(super) fn is_own(name: &[u8]) -> bool {
    own(name).is_some()
}

fn own(name: &[u8]) -> Option<&[u8]> {
    name.strip_prefix(b"trusted.overlay.").or_else(|| name.strip_prefix(b"user.overlay."))
}

struct Walk<'a> {
    folder: &'a Path,
    path: Vec<u8>,
    plan: Plan,
    sockets: Vec<PackEvent>,
}

impl Walk<'_> {
    /// Whether it holds anything.
    fn directory(&mut self, dir: &Folder) -> Result<bool> {
        let names = dir.names().map_err(|e| self.failed("listing", e))?;
        let base = self.path.len();
        for name in &names {
            if base > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            self.node(dir, name)?;
            self.path.truncate(base);
        }
        Ok(!names.is_empty())
    }

    fn node(&mut self, dir: &Folder, name: &CStr) -> Result<()> {
        let Some(node) = dir.look(name).map_err(|e| self.failed("reading", e))? else {
            let path = OsStr::from_bytes(&self.path).into();
            self.sockets.push(PackEvent::SocketSkipped { path });
            return Ok(());
        };
        match node.kind {
            EntryKind::CharDevice { major: 0, minor: 0 } => self.plan.hide(&self.path),
            EntryKind::Directory => {
                let sub = Folder::open_at(dir, name).map_err(|e| self.failed("opening", e))?;
                self.subdirectory(&sub)
            }
            EntryKind::Regular => {
                let (_, node) = dir.file(name).map_err(|e| self.failed("opening", e))?;
                if attribute(&node, b"metacopy").is_some() {
                    return Err(
                        self.refused("only its attributes were copied up (metacopy), its data lies below")
                    );
                }
                if attribute(&node, b"whiteout").is_some() && node.size == 0 {
                    return self.plan.hide(&self.path);
                }
                self.plan.write(&self.path, Some(kind(&node)))
            }
            // Their attributes are not read.
            _ => self.plan.write(&self.path, Some(ChangeKind::Added)),
        }
    }

    fn subdirectory(&mut self, dir: &Folder) -> Result<()> {
        let node = dir.node().map_err(|e| self.failed("reading", e))?;
        if attribute(&node, b"redirect").is_some() {
            return Err(
                self.refused("it was renamed (redirect_dir), what it holds lies below under another name")
            );
        }
        match attribute(&node, b"opaque") {
            Some(b"y") => self.plan.write_opaque(&self.path, kind(&node))?,
            // "x" says that there are whiteouts by attribute in it.
            _ => self.plan.write(&self.path, Some(kind(&node)))?,
        }
        self.directory(dir).map(|_| ())
    }

    fn refused(&self, reason: &str) -> Error {
        Error::entry(&self.path, format!("the upper folder alone does not tell what it is: {reason}"))
    }

    fn failed(&self, doing: &str, error: impl Into<std::io::Error>) -> Error {
        failed(doing, self.folder, &self.path, error)
    }
}

fn attribute<'n>(node: &'n Node, name: &[u8]) -> Option<&'n [u8]> {
    node.xattrs.iter().find(|(found, _)| own(found) == Some(name)).map(|(_, value)| &value[..])
}

fn kind(node: &Node) -> ChangeKind {
    if attribute(node, b"origin").is_some() { ChangeKind::Modified } else { ChangeKind::Added }
}
