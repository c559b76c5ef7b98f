//! Trees and edits of trees at random, the same for the same seed. Made by root, since owners and devices are part of it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

/// A small generator whose numbers are good enough to choose by (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap() % end
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Adds so many nodes of all kinds to a tree.
    pub(crate) fn grow(&mut self, root: &Path, nodes: usize) {
        for _ in 0..nodes {
            self.add(root);
        }
    }

    /// Changes a tree in every way there is, so many times.
    pub(crate) fn edit(&mut self, root: &Path, changes: usize) {
        for _ in 0..changes {
            let all = everything(root);
            if all.is_empty() {
                self.grow(root, 5);
                continue;
            }
            let path = all[self.below(all.len())].clone();
            let meta = fs::symlink_metadata(&path).unwrap();
            match self.below(14) {
                0..=2 => self.add(root),
                3 => remove(&path),
                4 if meta.is_file() => self.rewrite(&path, &meta),
                5 if meta.is_file() => {
                    let folder = self.folder(root);
                    let _ = fs::hard_link(&path, folder.join(self.name()));
                }
                6 if !meta.is_symlink() => self.chmod(&path),
                7 => self.chown(&path),
                8 => self.touch(&path),
                9 if meta.is_file() || meta.is_dir() => self.attribute(&path),
                10 => {
                    // Another type under the same name.
                    remove(&path);
                    self.make(root, &path);
                }
                11 if meta.is_dir() => {
                    remove(&path);
                    fs::create_dir(&path).unwrap();
                    for _ in 0..self.below(5) {
                        let child = path.join(self.name());
                        self.make(root, &child);
                    }
                }
                12 => {
                    let to = self.folder(root).join(self.name());
                    if !to.starts_with(&path) {
                        let _ = fs::rename(&path, to);
                    }
                }
                _ => self.touch(&path),
            }
        }
    }

    fn add(&mut self, root: &Path) {
        let folder = self.folder(root);
        let path = folder.join(self.name());
        if path.symlink_metadata().is_err() {
            self.make(root, &path);
        }
    }

    /// A directory of the tree, or its root.
    fn folder(&mut self, root: &Path) -> PathBuf {
        let mut folders: Vec<PathBuf> = everything(root)
            .into_iter()
            .filter(|path| path.symlink_metadata().unwrap().is_dir() && path.components().count() < 30)
            .collect();
        folders.push(root.to_owned());
        folders[self.below(folders.len())].clone()
    }

    fn name(&mut self) -> std::ffi::OsString {
        let kind = self.below(12);
        let number = self.below(1000);
        std::ffi::OsString::from_vec(match kind {
            0 => format!("with blank {number}").into_bytes(),
            1 => format!("é{number}").into_bytes(),
            2 => format!("-{number}").into_bytes(),
            3 => format!("back\\slash{number}").into_bytes(),
            4 => format!("{}{number}", "long".repeat(40)).into_bytes(),
            5 => format!(".{number}").into_bytes(),
            _ => format!("n{number}").into_bytes(),
        })
    }

    fn make(&mut self, root: &Path, path: &Path) {
        match self.below(12) {
            0..=2 => fs::create_dir(path).unwrap(),
            3 => {
                let target = self.of(&["n1", "/etc/absolute", "../..", "nowhere/at all", "."]);
                symlink(target, path).unwrap();
            }
            4 => rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap(),
            5 => {
                let kind = self.of(&[FileType::CharacterDevice, FileType::BlockDevice]);
                let device = rustix::fs::makedev(1 + u32::try_from(self.below(200)).unwrap(), 7);
                rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), device).unwrap();
            }
            6 => {
                let files: Vec<PathBuf> = everything(root)
                    .into_iter()
                    .filter(|path| path.symlink_metadata().unwrap().is_file())
                    .collect();
                match files.is_empty() {
                    true => drop(File::create(path).unwrap()),
                    false => fs::hard_link(&files[self.below(files.len())], path).unwrap(),
                }
                return;
            }
            _ => {
                let size = self.of(&[0, 1, 511, 512, 513, 4096, 70_000]);
                fs::write(path, self.bytes(size)).unwrap();
            }
        }
        if !path.symlink_metadata().unwrap().is_symlink() {
            self.chmod(path);
        }
        self.chown(path);
        self.touch(path);
    }

    fn bytes(&mut self, size: usize) -> Vec<u8> {
        (0..size).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// Other content; now and then of the same size and time, which only the time of the last change tells.
    fn rewrite(&mut self, path: &Path, meta: &fs::Metadata) {
        let same = self.below(2) == 0;
        let size = if same { usize::try_from(meta.len()).unwrap() } else { self.below(5000) };
        let bytes = self.bytes(size);
        File::create(path).unwrap().write_all(&bytes).unwrap();
        if same {
            set_time(path, meta.mtime());
        }
    }

    fn chmod(&mut self, path: &Path) {
        let mode = self.of(&[0o644, 0o600, 0o755, 0o4711, 0o2755, 0o1777, 0o000, 0o444]);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn chown(&mut self, path: &Path) {
        let mode = fs::symlink_metadata(path).unwrap();
        let (uid, gid) = (self.of(&[0, 1000, 65_534, 3_000_000_000]), self.of(&[0, 100, 2_097_152]));
        lchown(path, Some(uid), Some(gid)).unwrap();
        // The kernel takes away the bits that lend the owner's rights.
        if !mode.is_symlink() {
            fs::set_permissions(path, mode.permissions()).unwrap();
        }
    }

    fn touch(&mut self, path: &Path) {
        let seconds = self.of(&[0, 1, 1_000_000_000, 1_709_251_199, 4_102_444_800]);
        set_time(path, seconds + i64::try_from(self.below(1000)).unwrap());
    }

    fn attribute(&mut self, path: &Path) {
        let name = self.of(&["user.one", "user.two"]);
        if self.below(3) == 0 {
            let _ = rustix::fs::lremovexattr(path, name);
        } else {
            // Not empty: what is written in Go takes a record without a value for one that deletes.
            let size = self.of(&[1, 4, 100]);
            rustix::fs::lsetxattr(path, name, &self.bytes(size), XattrFlags::empty()).unwrap();
        }
    }
}

/// All names below a folder, sorted: the order in which a file system lists them must not matter.
fn everything(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    found
}

fn remove(path: &Path) {
    if path.symlink_metadata().unwrap().is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

fn set_time(path: &Path, seconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Whether all kinds of nodes are there: a seed that makes a dull tree proves little.
pub(crate) fn has_every_kind(root: &Path) -> bool {
    let all: Vec<fs::Metadata> =
        everything(root).iter().map(|path| path.symlink_metadata().unwrap()).collect();
    let any = |test: &dyn Fn(&fs::Metadata) -> bool| all.iter().any(test);
    any(&|m| m.is_dir())
        && any(&|m| m.is_symlink())
        && any(&|m| m.file_type().is_fifo())
        && any(&|m| m.file_type().is_char_device() || m.file_type().is_block_device())
        && any(&|m| m.is_file() && m.nlink() > 1)
        && any(&|m| m.mode() & 0o7000 != 0)
        && any(&|m| m.uid() != 0)
}
