//! The files that this executable needs to run somewhere else: itself, its loader, and the shared objects it has
//! loaded.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use goblin::elf::Elf;

/// What to put where in an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// The bytes of this file of the host.
    CopyOf(PathBuf),
    /// A symbolic link to this.
    LinkTo(PathBuf),
}

/// The files by their path in the image, the executable itself as `executable`.
pub(crate) fn own_files(executable: &Path) -> io::Result<BTreeMap<PathBuf, Placed>> {
    let mut files = BTreeMap::new();
    let own = std::env::current_exe()?;
    let bytes = std::fs::read(&own)?;
    let elf = parse(&own, &bytes)?;
    files.insert(executable.to_owned(), Placed::CopyOf(own.clone()));
    if let Some(loader) = elf.interpreter {
        files.insert(loader.into(), Placed::CopyOf(loader.into()));
    }
    for object in loaded_objects(&std::fs::read("/proc/self/maps")?) {
        if object == own {
            continue;
        }
        // A file in the list that is not ELF is a mapped data file, for example a locale.
        let bytes = std::fs::read(&object)?;
        let Ok(elf) = Elf::parse(&bytes) else { continue };
        // The loader asks for an object by its soname, which the file on disk need not have.
        if let (Some(soname), Some(folder)) = (elf.soname, object.parent()) {
            let asked_for = folder.join(soname);
            if asked_for != object
                && let Some(name) = object.file_name()
            {
                files.entry(asked_for).or_insert_with(|| Placed::LinkTo(name.into()));
            }
        }
        files.insert(object.clone(), Placed::CopyOf(object));
    }
    Ok(files)
}

/// The folders that hold shared objects, for the loader, which in the image has no cache.
pub(crate) fn library_folders(files: &BTreeMap<PathBuf, Placed>, executable: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<_> = files
        .keys()
        .filter(|path| *path != executable)
        .filter_map(|path| path.parent())
        .map(Into::into)
        .collect();
    folders.dedup();
    folders
}

fn parse<'b>(path: &Path, bytes: &'b [u8]) -> io::Result<Elf<'b>> {
    Elf::parse(bytes)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {e}", path.display())))
}

/// proc(5), /proc/pid/maps: the sixth column is the path of the file that is mapped.
fn loaded_objects(maps: &[u8]) -> Vec<PathBuf> {
    let mut objects: Vec<_> = maps
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let start = line.iter().position(|byte| *byte == b'/')?;
            let path = PathBuf::from(OsString::from_vec(line[start..].to_vec()));
            path.is_file().then_some(path)
        })
        .collect();
    objects.sort();
    objects.dedup();
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_itself_and_what_it_has_loaded() {
        let name = Path::new("/inside");
        let files = own_files(name).unwrap();
        assert_eq!(files[name], Placed::CopyOf(std::env::current_exe().unwrap()));
        for file in files.values() {
            if let Placed::CopyOf(path) = file {
                assert!(path.is_file(), "{}", path.display());
            }
        }
    }

    #[test]
    fn reads_paths_with_blanks_out_of_maps() {
        let maps =
            b"7f00-7f01 r-xp 00000000 fe:01 1 /proc/self/exe\n7f02-7f03 rw-p 00000000 00:00 0 [heap]\n";
        assert_eq!(loaded_objects(maps), [PathBuf::from("/proc/self/exe")]);
    }
}
