//! A whole file tree as comparable text: one line of attributes per name.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use oci_digest::{Algorithm, HashReader};

/// What to leave out of a comparison.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leave {
    /// The times of directories, which the specification does not fix for parents that a later layer touches.
    pub directory_times: bool,
}

/// Every name below a folder with its type, mode, owner, size, content, link target, device number, hard-link
/// group, extended attributes and time.
pub fn snapshot(root: &Path, leave: Leave) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut groups: HashMap<(u64, u64), PathBuf> = HashMap::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(name) = todo.pop() {
        let path = if name.as_os_str().is_empty() { root.to_owned() } else { root.join(&name) };
        let meta = fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let kind = meta.file_type();
        let mut line = format!("{:06o} {}:{}", meta.mode(), meta.uid(), meta.gid());
        if kind.is_file() {
            let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let mut content = HashReader::new(file, Algorithm::Sha256);
            std::io::copy(&mut content, &mut std::io::sink()).unwrap();
            line += &format!(" {} {}", meta.size(), content.finish().0);
        } else if kind.is_symlink() {
            line += &format!(" -> {:?}", fs::read_link(&path).unwrap());
        } else if kind.is_char_device() || kind.is_block_device() {
            line += &format!(" device {}", meta.rdev());
        } else if kind.is_dir() {
            for entry in fs::read_dir(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())) {
                todo.push(name.join(entry.unwrap().file_name()));
            }
        }
        for (key, value) in xattrs(&path) {
            line += &format!(" {key:?}={value:?}");
        }
        if !(leave.directory_times && kind.is_dir()) {
            line += &format!(" @{}", meta.mtime());
        }
        if !kind.is_dir() && meta.nlink() > 1 {
            let first = groups.entry((meta.dev(), meta.ino())).or_insert_with(|| name.clone());
            // The walk's order is not the names': the group is known by its least name.
            if name < *first {
                *first = name.clone();
            }
        }
        found.insert(name, line);
    }
    for (name, line) in &mut found {
        let meta = fs::symlink_metadata(root.join(name)).unwrap();
        if let Some(first) = groups.get(&(meta.dev(), meta.ino())).filter(|_| !meta.is_dir()) {
            *line += &format!(" linked with {first:?}");
        }
    }
    found
}

/// The names at which two trees differ, in words; empty when they are equal.
pub fn difference(ours: &BTreeMap<PathBuf, String>, theirs: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let mut all = Vec::new();
    for (name, line) in ours {
        match theirs.get(name) {
            None => all.push(format!("only ours:   {} {line}", name.display())),
            Some(other) if other != line => {
                all.push(format!("{}:\n    ours:   {line}\n    theirs: {other}", name.display()));
            }
            Some(_) => {}
        }
    }
    all.extend(
        theirs
            .iter()
            .filter(|(name, _)| !ours.contains_key(*name))
            .map(|(name, line)| format!("only theirs: {} {line}", name.display())),
    );
    all
}

/// Asserts that two trees are the same.
pub fn assert_same(what: &str, ours: &Path, theirs: &Path, leave: Leave) {
    let found = difference(&snapshot(ours, leave), &snapshot(theirs, leave));
    assert!(
        found.is_empty(),
        "{what}: {} differences, among them\n{}",
        found.len(),
        found[..found.len().min(20)].join("\n")
    );
}

fn xattrs(path: &Path) -> Vec<(OsString, Vec<u8>)> {
    let mut names = vec![0; 64 * 1024];
    let Ok(length) = rustix::fs::llistxattr(path, &mut names[..]) else { return Vec::new() };
    let mut found: Vec<_> = names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let name = std::ffi::OsStr::from_bytes(name).to_owned();
            let mut value = vec![0; 64 * 1024];
            let length = rustix::fs::lgetxattr(path, &name, &mut value[..]).unwrap();
            value.truncate(length);
            (name, value)
        })
        .collect();
    found.sort();
    found
}
