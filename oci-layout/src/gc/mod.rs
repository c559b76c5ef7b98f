//! Garbage collection: what index.json does not lead to goes.
//!
//! ```
//! use oci_digest::MediaType;
//! use oci_layout::ImageLayout;
//! use oci_layout::gc::GcOptions;
//!
//! # let scratch = tempfile::tempdir()?;
//! let layout = ImageLayout::create(scratch.path().join("images"))?;
//! layout.put(MediaType::ImageLayer, &b"nobody names this"[..])?;
//! let report = layout.gc(&GcOptions::default())?;
//! assert_eq!((report.removed.files, report.spared.files), (0, 1)); // it is too young
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod mark;
mod options;
mod sharing;
mod stale;
mod sweep;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::{ImageLayout, Result};
pub(crate) use mark::Mark;
pub use options::{Count, GcEvent, GcObserver, GcOptions, GcReport};
pub(crate) use sharing::others;

impl ImageLayout {
    /// Removes blobs that nothing in index.json leads to, and what interrupted writers left.
    ///
    /// Everything a document names counts: manifests, configs, layers and subjects, of OCI's and docker's types, and
    /// every descriptor in JSON of types that are not known (up to 64 MiB of it). A manifest in the layout whose
    /// `subject` is kept is kept, too. What is not known is never touched: other files and folders, names that are no
    /// digests, algorithms that have no folder here.
    ///
    /// It may run beside any number of writers that use this crate. The lock is held exclusively for some hundred
    /// blobs at a time, index.json is looked at again each time, and what a writer puts or finds present is spared for
    /// [`grace`](GcOptions::grace) from then on. For programs that do not take the lock the grace age is all there
    /// is, and what they rely on without writing it is not seen. The same holds for users who share a layout: only the
    /// owner of a blob, and root, can renew its age.
    ///
    /// Of layouts that [share](crate::LayoutOptions::shared_blobs) the folder with their blobs, one call collects for all,
    /// and has to be [told of them](GcOptions::sharing).
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) for a layout that shares its blobs with others that are not told. A
    /// manifest or index that is reachable and damaged, as the error of reading it: nothing is removed then, because
    /// what it names is not known ([`ignore_damage`](GcOptions::ignore_damage)). What is named and not there at all is
    /// no error: an index may list platforms that were never fetched. And what reading and removing can meet.
    pub fn gc(&self, options: &GcOptions) -> Result<GcReport> {
        let now = SystemTime::now();
        let others = sharing::told(self, options)?;
        let listing = self.list_blobs()?;
        let sizes: HashMap<_, _> = listing.blobs.iter().map(|blob| (&blob.digest, blob.size)).collect();
        let is_young =
            |since: SystemTime| now.duration_since(since).unwrap_or(Duration::ZERO) < options.grace;

        let mut mark = Mark::new(self, options, &sizes).sharing(&others);
        mark.index()?;
        mark.keep(&options.keep)?;
        mark.candidates(&listing.blobs, is_young)?;

        let mut report = GcReport { unknown: listing.unknown, ..GcReport::default() };
        sweep::sweep(self, &others, options, &mut mark, &listing.blobs, &mut report)?;
        stale::remove(self, options, now, &mut report.stale)?;
        report.missing = mark.into_missing();
        for digest in &report.missing {
            options.tell(&GcEvent::Missing { digest });
        }
        Ok(report)
    }
}
