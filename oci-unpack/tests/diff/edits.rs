//! Random trees, and random edits of them.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

/// Always the same for a seed (Marsaglia's xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }

    fn pick<'v, T>(&mut self, values: &'v [T]) -> Option<&'v T> {
        if values.is_empty() { None } else { values.get(self.below(values.len())) }
    }
}

const NAMES: [&[u8]; 9] =
    [b"a", b"a-", b"a0", b"b", b"c.txt", b"d", b"lib", "gr\u{fc}n".as_bytes(), b"\xff\n"];
const MODES: [u32; 6] = [0o644, 0o755, 0o600, 0o4755, 0o1777, 0o711];
const CONTENTS: [&str; 4] = ["", "one", "two", "three"];

/// Set for the root of a user namespace.
pub(crate) const UNPRIVILEGED: &str = "OCI_UNPACK_EDIT_UNPRIVILEGED";

/// What an edit may be. overlayfs renames directories by a redirect, or not at all, and shows the names of one file as files
/// of different numbers when one of them was there before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    Plain,
    Overlay,
}

/// A tree of about so many nodes.
pub(crate) fn grow(root: &Path, dice: &mut Dice, nodes: usize) {
    for _ in 0..nodes {
        add(root, dice, Where::Plain);
    }
}

/// So many edits, of all kinds.
pub(crate) fn edit(root: &Path, dice: &mut Dice, edits: usize, place: Where) {
    for _ in 0..edits {
        let all = nodes(root);
        let files: Vec<_> = all.iter().filter(|path| is(path, FileType::RegularFile)).cloned().collect();
        match dice.below(10) {
            0..3 => add(root, dice, place),
            3 => remove(dice.pick(&all)),
            4 => {
                // Another type in its place, or a new file of the same name.
                if let Some(path) = dice.pick(&all) {
                    remove(Some(path));
                    make(path, if place == Where::Plain { &files } else { &[] }, dice);
                }
            }
            5 => {
                if let Some(path) = dice.pick(&files) {
                    let content = dice.pick(&CONTENTS).unwrap();
                    fs::write(path, content).unwrap();
                }
            }
            6 => {
                if let Some(path) = dice.pick(&all).filter(|path| !is(path, FileType::Symlink)) {
                    let mode = *dice.pick(&MODES).unwrap();
                    fs::set_permissions(path, Permissions::from_mode(mode | 0o700)).unwrap();
                }
            }
            7 => {
                if let Some(path) = dice.pick(&all) {
                    set_time(path, dice);
                }
            }
            8 => {
                if let (Some(from), Some(to)) = (dice.pick(&all), dice.pick(&directories(root))) {
                    let moved = to.join(name(dice));
                    if place == Where::Plain || !is(from, FileType::Directory) {
                        // Fails for a directory into itself, or onto one that is not empty.
                        let _ = fs::rename(from, moved);
                    }
                }
            }
            _ => {
                if let Some(path) = dice.pick(&files) {
                    decorate(path, dice);
                }
            }
        }
    }
}

fn add(root: &Path, dice: &mut Dice, place: Where) {
    let files: Vec<_> = nodes(root).into_iter().filter(|path| is(path, FileType::RegularFile)).collect();
    let files = if place == Where::Plain { files } else { Vec::new() };
    let directories = directories(root);
    let path = dice.pick(&directories).unwrap().join(name(dice));
    if fs::symlink_metadata(&path).is_err() {
        make(&path, &files, dice);
    }
}

fn make(path: &Path, files: &[PathBuf], dice: &mut Dice) {
    match dice.below(9) {
        0..3 => {
            fs::create_dir(path).unwrap();
            let mode = *dice.pick(&MODES).unwrap();
            fs::set_permissions(path, Permissions::from_mode(mode | 0o700)).unwrap();
        }
        3..6 => {
            fs::write(path, dice.pick(&CONTENTS).unwrap()).unwrap();
            let mode = *dice.pick(&MODES).unwrap();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            if dice.below(4) == 0 {
                // With a hole.
                let file = File::options().write(true).open(path).unwrap();
                file.write_all_at(b"end", 1 << 16).unwrap();
            }
        }
        6 => symlink(OsStr::from_bytes(dice.pick(&NAMES).unwrap()), path).unwrap(),
        7 => match dice.pick(files).filter(|file| fs::symlink_metadata(file).is_ok()) {
            Some(file) => fs::hard_link(file, path).unwrap(),
            None => rustix::fs::mkfifoat(CWD, path, Mode::from(0o640)).unwrap(),
        },
        _ if privileged() => {
            let device = rustix::fs::makedev(1, 3 + dice.below(3) as u32);
            rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::from(0o600), device).unwrap();
        }
        _ => rustix::fs::mkfifoat(CWD, path, Mode::from(0o600)).unwrap(),
    }
    if dice.below(2) == 0 {
        set_time(path, dice);
    }
}

fn remove(path: Option<&PathBuf>) {
    match path {
        Some(path) if is(path, FileType::Directory) => fs::remove_dir_all(path).unwrap(),
        Some(path) => fs::remove_file(path).unwrap(),
        None => {}
    }
}

fn decorate(path: &Path, dice: &mut Dice) {
    if privileged() && dice.below(2) == 0 {
        let owner = 1000 + dice.below(2) as u32;
        std::os::unix::fs::lchown(path, Some(owner), Some(owner)).unwrap();
    }
    // Not every file system has these, and then no tree has them.
    let _ =
        rustix::fs::setxattr(path, "user.note", [b'0' + dice.below(3) as u8].as_slice(), XattrFlags::empty());
    if dice.below(3) == 0 {
        let _ = rustix::fs::removexattr(path, "user.note");
    }
}

/// Whether owners and devices can be made: not by the root of a user namespace.
fn privileged() -> bool {
    rustix::process::geteuid().is_root() && std::env::var_os(UNPRIVILEGED).is_none()
}

fn set_time(path: &Path, dice: &mut Dice) {
    let time = Timespec { tv_sec: 1000 + dice.below(3) as i64, tv_nsec: 500 * dice.below(2) as i64 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Sets the time of a file.
pub(crate) fn touch(path: &Path, seconds: u64) {
    let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    File::open(path).unwrap().set_times(times).unwrap();
}

fn name(dice: &mut Dice) -> &'static OsStr {
    OsStr::from_bytes(dice.pick(&NAMES).unwrap())
}

fn is(path: &Path, kind: FileType) -> bool {
    rustix::fs::lstat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == kind)
}

fn directories(root: &Path) -> Vec<PathBuf> {
    let mut all = vec![root.to_path_buf()];
    all.extend(nodes(root).into_iter().filter(|path| is(path, FileType::Directory)));
    all
}

/// Everything below a folder, sorted.
fn nodes(root: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut stack = vec![root.to_path_buf()];
    while let Some(dir) = stack.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if is(&path, FileType::Directory) {
                stack.push(path.clone());
            }
            all.push(path);
        }
    }
    all.sort();
    all
}
