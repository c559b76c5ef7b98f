use super::{At, Call, Result};
use crate::plan::InRoot;
use crate::sys::Errno;
use crate::sys::call::{self, Fd};

/// What to make where nothing is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Existing,
    Folder,
    File,
}

/// Opens `path` inside `root`, and makes what is missing of it.
///
/// Every name is made in a directory that was opened inside the root, by one name without a slash: a folder that is
/// exchanged for a link meanwhile leads nowhere else.
pub(super) fn target(root: Fd, path: &InRoot, want: Want, resolve: u64) -> Result<Fd> {
    match call::open_in_root(root, &path.whole, libc::O_PATH, resolve) {
        Err(Errno(libc::ENOENT)) if want != Want::Existing => {}
        other => return other.at(Call::OpenInRoot),
    }
    let mut parent = root;
    let mut rest = path.parts.iter();
    while let Some(part) = rest.next() {
        let opened = match call::open_in_root(root, &part.path, libc::O_PATH, resolve) {
            Err(Errno(libc::ENOENT)) => {
                let last = rest.len() == 0;
                let made = if last && want == Want::File {
                    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_WRONLY;
                    call::openat(parent, &part.name, flags, 0o644).map(call::close).at(Call::Open)
                } else {
                    call::mkdirat(parent, &part.name, 0o755).at(Call::Mkdir)
                };
                match made {
                    // Somebody else was faster; or a link that leads nowhere, which the next look reports.
                    Err(failure) if failure.errno != Errno(libc::EEXIST) => return Err(failure),
                    _ => {}
                }
                call::open_in_root(root, &part.path, libc::O_PATH, resolve).at(Call::OpenInRoot)?
            }
            other => other.at(Call::OpenInRoot)?,
        };
        if parent != root {
            call::close(parent);
        }
        parent = opened;
    }
    Ok(parent)
}

/// Opens the folder that holds `path`, making it where it is missing, for something of the last name.
pub(super) fn parent(root: Fd, path: &InRoot) -> Result<Fd> {
    let mut folder = root;
    let mut rest = path.parts.iter();
    while let Some(part) = rest.next() {
        if rest.len() == 0 {
            break;
        }
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let opened = match call::open_in_root(root, &part.path, flags, 0) {
            Err(Errno(libc::ENOENT)) => {
                match call::mkdirat(folder, &part.name, 0o755) {
                    Err(Errno(libc::EEXIST)) | Ok(()) => {}
                    Err(errno) => return Err(errno).at(Call::Mkdir),
                }
                call::open_in_root(root, &part.path, flags, 0).at(Call::OpenInRoot)?
            }
            other => other.at(Call::OpenInRoot)?,
        };
        if folder != root {
            call::close(folder);
        }
        folder = opened;
    }
    Ok(folder)
}
