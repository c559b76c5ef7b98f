//! The mount option `tmpcopyup`: a new tmpfs that begins with a copy of what it covers.
//!
//! The source is content of an image, or what another container is changing at this moment. So every name is opened
//! by its own folder's descriptor, never through a link, and looked at again once it is open.

use std::ffi::CStr;

use super::{At, Call, Result, fail};
use crate::step::CopyUp;
use crate::sys::Errno;
use crate::sys::call::{self, Fd, Stat};

/// Folders in folders; the child's stack has room for this and no memory for more.
const MAX_DEPTH: u32 = 64;
const BLOCK: usize = 16 << 10;
const ENTRIES: usize = 1 << 10;

/// Copies what is in the folder `onto` to the root of `tree`.
///
/// Hard links become files of their own, extended attributes stay behind, and an owner who is nobody in the user
/// namespace is left out.
pub(super) fn copy_up(onto: Fd, tree: Fd, wanted: CopyUp) -> Result<()> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    let from = call::openat(onto, c".", flags, 0).at(Call::Open)?;
    let to = call::openat(tree, c".", flags, 0).at(Call::Open)?;
    let found = call::stat(from, c"").at(Call::Stat)?;
    if wanted.owner {
        own(to, c"", &found)?;
    }
    if wanted.mode {
        call::fchmod(to, found.permissions()).at(Call::Chmod)?;
    }
    let mut block = [0; BLOCK];
    folder(from, to, 0, &mut block)?;
    call::set_times(to, c"", &found).at(Call::Times)?;
    call::close(from);
    call::close(to);
    Ok(())
}

fn folder(from: Fd, to: Fd, depth: u32, block: &mut [u8; BLOCK]) -> Result<()> {
    if depth > MAX_DEPTH {
        return fail(Call::TooDeep, libc::ELOOP);
    }
    let mut entries = [0u8; ENTRIES];
    loop {
        let length = call::entries(from, &mut entries).at(Call::Entries)?;
        let mut rest = entries.get(..length).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        // struct linux_dirent64: inode and offset of eight bytes each, the record's length, a type, the name.
        while let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, low, high, _, name @ ..] = rest {
            let name = CStr::from_bytes_until_nul(name).unwrap_or_default();
            if !matches!(name.to_bytes(), b"" | b"." | b"..") {
                entry(from, to, name, depth, block)?;
            }
            rest = rest.get(usize::from(u16::from_ne_bytes([*low, *high]))..).unwrap_or_default();
        }
    }
}

fn entry(from: Fd, to: Fd, name: &CStr, depth: u32, block: &mut [u8; BLOCK]) -> Result<()> {
    let found = match call::stat(from, name) {
        // Somebody removed it meanwhile.
        Err(Errno(libc::ENOENT)) => return Ok(()),
        other => other.at(Call::Stat)?,
    };
    match found.mode & libc::S_IFMT {
        libc::S_IFDIR => {
            let below = open_same(from, name, libc::O_DIRECTORY, &found)?;
            call::mkdirat(to, name, 0o700).at(Call::Mkdir)?;
            let new = call::openat(to, name, libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0);
            let new = new.at(Call::Open)?;
            folder(below, new, depth.wrapping_add(1), block)?;
            own(new, c"", &found)?;
            call::fchmod(new, found.permissions()).at(Call::Chmod)?;
            call::close(new);
            call::close(below);
        }
        libc::S_IFREG => {
            let file = open_same(from, name, libc::O_NONBLOCK, &found)?;
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
            let new = call::openat(to, name, flags, 0o600).at(Call::Open)?;
            content(file, new, block)?;
            own(new, c"", &found)?;
            call::fchmod(new, found.permissions()).at(Call::Chmod)?;
            call::close(new);
            call::close(file);
        }
        libc::S_IFLNK => {
            let length = call::readlinkat(from, name, block).at(Call::Readlink)?;
            // As long as the block would be cut off; the kernel has no link of more than a page.
            let Some(end) = block.get_mut(length) else { return fail(Call::Readlink, libc::ENAMETOOLONG) };
            *end = 0;
            let to_where = CStr::from_bytes_until_nul(block).unwrap_or_default();
            call::symlinkat(to_where, to, name).at(Call::Symlink)?;
            own(to, name, &found)?;
        }
        kind => {
            let number = libc::makedev(found.rdev_major, found.rdev_minor);
            call::mknodat(to, name, kind | found.permissions(), number).at(Call::Mknod)?;
            own(to, name, &found)?;
        }
    }
    call::set_times(to, name, &found).at(Call::Times)
}

/// Opens what was looked at, and nothing that has taken its place.
fn open_same(from: Fd, name: &CStr, flags: i32, found: &Stat) -> Result<Fd> {
    let file = call::openat(from, name, libc::O_RDONLY | libc::O_NOFOLLOW | flags, 0).at(Call::Open)?;
    let now = call::stat(file, c"").at(Call::Stat)?;
    if now.mode & libc::S_IFMT != found.mode & libc::S_IFMT {
        return fail(Call::Stat, libc::EAGAIN);
    }
    Ok(file)
}

fn content(from: Fd, to: Fd, block: &mut [u8; BLOCK]) -> Result<()> {
    loop {
        let length = call::read(from, block).at(Call::Read)?;
        let mut rest = block.get(..length).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            let written = call::write(to, rest).at(Call::Write)?;
            rest = rest.get(written..).unwrap_or_default();
        }
    }
}

fn own(folder: Fd, name: &CStr, found: &Stat) -> Result<()> {
    match call::chown(folder, name, found.uid, found.gid) {
        // An id that the user namespace does not have.
        Err(Errno(libc::EINVAL)) => Ok(()),
        other => other.at(Call::Chown),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    const ALL: CopyUp = CopyUp { mode: true, owner: true };

    /// With the stack that the child has.
    fn copy(from: &Path, to: &Path) -> std::result::Result<(), (Call, i32)> {
        let (from, to) = (fs::File::open(from).unwrap(), fs::File::open(to).unwrap());
        std::thread::Builder::new()
            .stack_size(256 << 10)
            .spawn(move || {
                copy_up(from.as_raw_fd(), to.as_raw_fd(), ALL).map_err(|error| (error.call, error.errno.0))
            })
            .unwrap()
            .join()
            .unwrap()
    }

    fn folders() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
        let both = tempfile::tempdir().unwrap();
        let (from, to) = (both.path().join("from"), both.path().join("to"));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        (both, from, to)
    }

    #[test]
    fn everything_arrives() {
        let (_both, from, to) = folders();
        fs::create_dir_all(from.join("a/b")).unwrap();
        for number in 0..200 {
            fs::write(from.join(format!("a/b/with a rather long name {number}")), number.to_string())
                .unwrap();
        }
        fs::write(from.join("large"), vec![7; 3 * BLOCK + 5]).unwrap();
        fs::write(from.join("empty"), "").unwrap();
        symlink("/nowhere/../x", from.join("link")).unwrap();
        call::mknodat(fs::File::open(&from).unwrap().as_raw_fd(), c"pipe", libc::S_IFIFO | 0o640, 0)
            .unwrap_or_else(|errno| panic!("{}", errno.0));
        fs::set_permissions(from.join("large"), PermissionsExt::from_mode(0o4751)).unwrap();
        fs::set_permissions(from.join("a"), PermissionsExt::from_mode(0o1770)).unwrap();
        fs::set_permissions(&from, PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!(copy(&from, &to), Ok(()));
        assert_eq!(fs::read_dir(to.join("a/b")).unwrap().count(), 200);
        assert_eq!(fs::read_to_string(to.join("a/b/with a rather long name 199")).unwrap(), "199");
        assert_eq!(fs::read(to.join("large")).unwrap(), vec![7; 3 * BLOCK + 5]);
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("/nowhere/../x"));
        assert!(fs::symlink_metadata(to.join("pipe")).unwrap().file_type().is_fifo());
        for name in ["", "a", "a/b", "large", "empty", "link", "a/b/with a rather long name 7"] {
            let found = |root: &Path| {
                let found = fs::symlink_metadata(root.join(name)).unwrap();
                (found.mode(), found.uid(), found.gid(), found.mtime(), found.mtime_nsec())
            };
            assert_eq!(found(&from), found(&to), "{name}");
        }
    }

    #[test]
    fn depth_is_limited() {
        for (depth, expected) in [(MAX_DEPTH, Ok(())), (MAX_DEPTH + 1, Err((Call::TooDeep, libc::ELOOP)))] {
            let (_both, from, to) = folders();
            let path: std::path::PathBuf = (0..depth).map(|_| "d").collect();
            fs::create_dir_all(from.join(path)).unwrap();
            assert_eq!(copy(&from, &to), expected, "{depth}");
        }
    }
}
