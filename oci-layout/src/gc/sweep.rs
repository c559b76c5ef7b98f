use std::time::{Duration, SystemTime};

use rustix::fs::{self, AtFlags};
use rustix::io::Errno;

use super::mark::Mark;
use super::sharing;
use super::{GcEvent, GcOptions, GcReport};
use crate::blobs::{BlobName, Listed, is_plain, since};
use crate::layout::INDEX;
use crate::{Error, ImageLayout, Result};

/// Blobs for which the lock is held at a time.
const BATCH: usize = 256;

/// Removes what does not live and is old enough.
pub(super) fn sweep(
    layout: &ImageLayout,
    others: &[ImageLayout],
    options: &GcOptions,
    mark: &mut Mark<'_>,
    blobs: &[Listed],
    report: &mut GcReport,
) -> Result<()> {
    let (live, dead): (Vec<_>, Vec<_>) = blobs.iter().partition(|blob| mark.is_live(&blob.digest));
    for blob in live {
        report.live.add(blob.size);
    }
    for (number, batch) in dead.chunks(BATCH).enumerate() {
        options.cancel.check()?;
        let _lock = if options.dry_run {
            None
        } else {
            let lock = sharing::lock(layout, others)?;
            // Nobody who takes the lock gives or takes names now. What they named since the last look lives.
            if mark.index()? || number == 0 {
                std::iter::once(layout).chain(others).try_for_each(sync_index)?;
            }
            Some(lock)
        };
        for blob in batch {
            if mark.is_live(&blob.digest) {
                report.live.add(blob.size);
            } else if remove(layout, options, blob)? {
                report.removed.add(blob.size);
                options.tell(&GcEvent::Removed { digest: &blob.digest, bytes: blob.size });
            } else {
                report.spared.add(blob.size);
                options.tell(&GcEvent::Spared { digest: &blob.digest, bytes: blob.size });
            }
        }
    }
    Ok(())
}

/// Forces index.json to the disk: programs that write it without, would after a loss of power have their old one, which
/// names what is removed now.
fn sync_index(layout: &ImageLayout) -> Result<()> {
    let path = layout.path().join(INDEX);
    if layout.options.sync.syncs()
        && let Some((file, _)) = layout.root.file(layout.root.as_fd(), INDEX, &path)?
    {
        file.sync_all().map_err(Error::io("sync", &path))?;
        fs::fsync(layout.root.as_fd()).map_err(Error::io("sync", layout.path()))?;
    }
    Ok(())
}

/// Removes a blob unless it is too young; `false`: it is. The age counts that the file has now, under the lock, because
/// writers renew it when they rely on the blob.
fn remove(layout: &ImageLayout, options: &GcOptions, blob: &Listed) -> Result<bool> {
    let name = BlobName::of(&blob.digest)?;
    let path = || name.path(&layout.root);
    let Some(folder) = layout.root.folder(&name.folder())? else { return Ok(true) };
    match fs::statat(&folder, name.encoded, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if !is_plain(&stat) => return Ok(false),
        Ok(stat) => {
            // A time to come is no age.
            let age = SystemTime::now().duration_since(since(&stat)).unwrap_or(Duration::ZERO);
            if age < options.grace {
                return Ok(false);
            }
        }
        Err(Errno::NOENT) => return Ok(true),
        Err(errno) => return Err(Error::io("inspect", &path())(errno)),
    }
    if options.dry_run {
        return Ok(true);
    }
    match fs::unlinkat(&folder, name.encoded, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(errno) => Err(Error::io("remove", &path())(errno)),
    }
}
