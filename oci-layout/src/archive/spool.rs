use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{self, AtFlags, Mode, OFlags};

use super::ArchiveOptions;
use crate::decompress::{MAGIC, compression};
use crate::root::create_temporary;
use crate::{Error, Result};

/// An empty file without a name, in the options' scratch folder.
pub(super) fn scratch(options: &ArchiveOptions) -> Result<File> {
    let folder = options.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    if let Ok(fd) = fs::open(&folder, flags, Mode::from_raw_mode(0o600)) {
        return Ok(File::from(fd));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = fs::open(&folder, flags, Mode::empty()).map_err(Error::io("open", &folder))?;
    let (file, name) = create_temporary(std::os::fd::AsFd::as_fd(&fd), 0o600, &folder)?;
    fs::unlinkat(&fd, &*name, AtFlags::empty()).map_err(Error::io("remove a file of", &folder))?;
    Ok(file)
}

/// An archive that came by a pipe, or compressed, as a file.
pub(super) fn archive(mut reader: impl Read + Send, path: &Path, options: &ArchiveOptions) -> Result<File> {
    let failed = |e: io::Error| Error::io("read", path)(e);
    let mut magic = Vec::new();
    reader.by_ref().take(MAGIC as u64).read_to_end(&mut magic).map_err(failed)?;
    let known = compression(&magic);
    let whole = Box::new(io::Cursor::new(magic).chain(reader));
    let plain: Box<dyn Read + Send + '_> = match (known, options.decompress) {
        (None, _) => whole,
        (Some("gzip" | "zstd"), Some(decompress)) => decompress(whole).map_err(failed)?,
        (Some(name), _) => {
            return Err(Error::Archive {
                path: path.to_owned(),
                member: String::new(),
                reason: format!("it is compressed with {name}, which cannot be read here"),
            });
        }
    };
    let maximum = options.max_spool_bytes;
    let mut file = scratch(options)?;
    let mut limited = plain.take(maximum.saturating_add(1));
    let copied = copy(&mut limited, &mut file, path)?;
    if copied > maximum {
        return Err(Error::Limit { path: path.to_owned(), limit: "bytes spooled", maximum });
    }
    file.seek(SeekFrom::Start(0)).map_err(Error::io("seek in", path))?;
    Ok(file)
}

/// Copies, telling a reader's failure from a writer's.
fn copy(reader: &mut impl Read, file: &mut File, path: &Path) -> Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut copied = 0;
    loop {
        let n = match reader.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::io("read", path)(e)),
        };
        file.write_all(buffer.get(..n).unwrap_or_default()).map_err(Error::io("spool", path))?;
        copied += n as u64;
    }
}
