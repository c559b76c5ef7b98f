use std::ffi::CStr;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oci_digest::{Algorithm, Digest};
use rustix::fs::{self, AtFlags, FileType, Stat};
use rustix::io::Errno;

use super::BlobName;
use crate::layout::BLOBS;
use crate::root::WORK;
use crate::{Error, ImageLayout, Result};

/// A plain file in a blob folder, under the name of a digest.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// Since when it was not written or relied upon: the file's modification time.
    pub(crate) since: SystemTime,
}

/// What the blob folders hold.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) blobs: Vec<Listed>,
    /// Paths below the layout's folder of what is not ours to touch: names that are no digests, links, folders,
    /// folders of algorithms that are not known.
    pub(crate) unknown: Vec<String>,
}

impl ImageLayout {
    /// Lists the blob folders of the algorithms that are known. Nothing is opened.
    pub(crate) fn list_blobs(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        let Some(blobs) = self.root.folder(&[BLOBS])? else { return Ok(listing) };
        let folder_path = self.root.blobs_path();
        let known =
            |name: &CStr| Algorithm::ALL.into_iter().find(|a| a.as_str().as_bytes() == name.to_bytes());
        for_each(blobs.as_fd(), &folder_path, |name| {
            // A shared folder has our work folder in it.
            let is_ours = self.root.is_shared() && name.to_bytes() == WORK.as_bytes();
            if known(name).is_none() && !is_ours {
                listing.unknown.push(format!("{BLOBS}/{}", name.to_string_lossy()));
            }
            Ok(())
        })?;
        for algorithm in Algorithm::ALL {
            let Some(folder) = self.root.folder(&[BLOBS, algorithm.as_str()])? else { continue };
            let path = folder_path.join(algorithm.as_str());
            for_each(folder.as_fd(), &path, |name| {
                let stat = match fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => stat,
                    Err(Errno::NOENT) => return Ok(()),
                    Err(errno) => return Err(Error::io("inspect", &path)(errno)),
                };
                let digest = digest_named(algorithm, name).filter(|_| is_plain(&stat));
                match digest {
                    Some(digest) => {
                        listing.blobs.push(Listed { digest, size: size(&stat), since: since(&stat) })
                    }
                    None => {
                        listing.unknown.push(format!("{BLOBS}/{algorithm}/{}", name.to_string_lossy()));
                    }
                }
                Ok(())
            })?;
        }
        Ok(listing)
    }
}

/// The digest whose blob has this name, if it is one.
pub(crate) fn digest_named(algorithm: Algorithm, name: &CStr) -> Option<Digest> {
    let digest: Digest = format!("{algorithm}:{}", name.to_str().ok()?).parse().ok()?;
    BlobName::of(&digest).is_ok().then_some(digest)
}

/// Calls for each name in a folder but `.` and `..`.
pub(crate) fn for_each(
    folder: std::os::fd::BorrowedFd<'_>,
    path: &std::path::Path,
    mut each: impl FnMut(&CStr) -> Result<()>,
) -> Result<()> {
    for entry in fs::Dir::read_from(folder).map_err(Error::io("list", path))? {
        let entry = entry.map_err(Error::io("list", path))?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            each(entry.file_name())?;
        }
    }
    Ok(())
}

pub(crate) fn is_plain(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

pub(crate) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// The modification time. What is before 1970 counts as that.
pub(crate) fn since(stat: &Stat) -> SystemTime {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds)).unwrap_or(UNIX_EPOCH)
}
