//! A tree as text: one line per node, with what is not as usual.
//!
//! `name/` a directory, `name =content` a file, `name -> target` a link, `name | ` a pipe, `name c1:3` a device,
//! `name == other` a further name of an inode. Then mode (unless 0755 for directories, 0644 for others), owner
//! (unless 0:0), `@time` (unless 1000 s) and `{name=value}` for extended attributes. The root is `.` and only shown
//! when it is not what a root is that no entry names.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::layer::TIME;

pub(crate) fn show(root: &Path, owners: bool) -> String {
    let mut nodes = BTreeMap::new();
    collect(root, &mut Vec::new(), &mut nodes);
    let mut first = BTreeMap::new();
    let mut lines = Vec::new();
    for name in nodes.keys() {
        let path = root.join(OsStr::from_bytes(name));
        let line = line(&path, name, owners, &mut first);
        if line != "./ @0" {
            lines.push(line);
        }
    }
    lines.join("\n")
}

fn collect(root: &Path, name: &mut Vec<u8>, nodes: &mut BTreeMap<Vec<u8>, ()>) {
    nodes.insert(if name.is_empty() { b".".to_vec() } else { name.clone() }, ());
    let path = root.join(OsStr::from_bytes(name));
    if !path.symlink_metadata().unwrap().is_dir() {
        return;
    }
    let Ok(entries) = std::fs::read_dir(&path) else { return };
    for entry in entries {
        let len = name.len();
        if len > 0 {
            name.push(b'/');
        }
        name.extend(entry.unwrap().file_name().into_vec());
        collect(root, name, nodes);
        name.truncate(len);
    }
}

fn line(path: &Path, name: &[u8], owners: bool, first: &mut BTreeMap<u64, String>) -> String {
    let meta = path.symlink_metadata().unwrap();
    let kind = meta.file_type();
    let mut line = name.escape_ascii().to_string();
    if kind.is_dir() {
        line.push('/');
    } else if let Some(other) = first.get(&meta.ino()) {
        return format!("{line} == {other}");
    } else {
        first.insert(meta.ino(), line.clone());
    }
    if kind.is_file() {
        let content = std::fs::read(path).unwrap_or_else(|e| e.to_string().into_bytes());
        if content.len() > 100 {
            line += &format!(" =[{} bytes]", content.len());
        } else {
            line += &format!(" ={}", content.escape_ascii());
        }
    } else if kind.is_symlink() {
        let target = std::fs::read_link(path).unwrap().into_os_string().into_vec();
        let shown = target.escape_ascii().to_string();
        line += &if target.len() > 100 {
            format!(" -> [{} bytes]", target.len())
        } else {
            format!(" -> {shown}")
        };
    } else if kind.is_fifo() {
        line += " |";
    } else if !kind.is_dir() {
        let letter = if kind.is_block_device() { 'b' } else { 'c' };
        let (major, minor) = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
        line += &format!(" {letter}{major}:{minor}");
    }
    let mode = meta.mode() & 0o7777;
    if !kind.is_symlink() && mode != if kind.is_dir() { 0o755 } else { 0o644 } {
        line += &format!(" {mode:04o}");
    }
    if owners && (meta.uid(), meta.gid()) != (0, 0) {
        line += &format!(" {}:{}", meta.uid(), meta.gid());
    }
    if (meta.mtime(), meta.mtime_nsec()) != (TIME, 0) {
        line += &format!(" @{}", meta.mtime());
        if meta.mtime_nsec() != 0 {
            line += &format!(".{:09}", meta.mtime_nsec());
        }
    }
    for (name, value) in xattrs(path) {
        line += &format!(" {{{}={}}}", name.escape_ascii(), value.escape_ascii());
    }
    line
}

fn xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut list = vec![0; 1 << 16];
    let len = rustix::fs::llistxattr(path, &mut list[..]).unwrap_or(0);
    let mut names: Vec<_> = list[..len].split(|b| *b == 0).filter(|n| !n.is_empty()).collect();
    // A label is the host's, and not what is tested here.
    names.retain(|name| *name != b"security.selinux");
    names.sort();
    let value = |name: &[u8]| {
        let mut value = vec![0; 1 << 16];
        match rustix::fs::lgetxattr(path, name, &mut value[..]) {
            Ok(len) => value[..len].to_vec(),
            Err(errno) => errno.to_string().into_bytes(),
        }
    };
    names.iter().map(|name| (name.to_vec(), value(name))).collect()
}
