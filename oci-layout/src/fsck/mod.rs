//! Checking a layout, and mending it.
//!
//! ```
//! use oci_layout::ImageLayout;
//! use oci_layout::fsck::{FsckOptions, Problem};
//!
//! # let scratch = tempfile::tempdir()?;
//! let layout = ImageLayout::create(scratch.path().join("images"))?;
//! layout.put("text/plain".into(), &b"nobody names this"[..])?;
//! let report = layout.fsck(&FsckOptions::default())?;
//! assert!(report.is_sound());
//! assert_eq!(report.of(Problem::Orphan).count(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod content;
mod documents;
mod options;
mod repair;
mod report;
mod schema;

use std::collections::HashMap;

use crate::blobs::{Listed, Listing};
use crate::gc::{self, GcOptions, Mark};
use crate::{Error, ImageLayout, Result};
pub use options::{FsckEvent, FsckObserver, FsckOptions, Level};
pub use repair::{RepairOptions, RepairReport};
use report::Findings;
pub use report::{Finding, FsckReport, Problem, Severity};

impl ImageLayout {
    /// Checks the layout, as far as the [level](Level) says, and changes nothing.
    ///
    /// Everything that index.json leads to is looked at, and every blob there is. It takes no lock: what others change
    /// meanwhile may be found missing, which a second check tells.
    ///
    /// # Errors
    /// Damage is a [finding](Finding), not an error. An error is what keeps it from looking: folders that cannot be
    /// listed, and a cancelled check.
    pub fn fsck(&self, options: &FsckOptions) -> Result<FsckReport> {
        let mut findings = Findings::new(options);
        let mut report = FsckReport::default();
        let listing = match self.list_blobs() {
            Ok(listing) => listing,
            Err(Error::Refused { path, reason }) => {
                findings.add(Finding::new(Severity::Error, Problem::Refused, reason).path(path));
                Listing::default()
            }
            Err(error) => return Err(error),
        };
        for unknown in &listing.unknown {
            let reason = "it is not known, and left alone";
            findings
                .add(Finding::new(Severity::Info, Problem::Unknown, reason).path(self.path().join(unknown)));
        }
        let mut walk = documents::Walk::new(self, options, &mut findings);
        let has_index = walk.index()?;
        let (orphans, untold) =
            if has_index { self.orphans(options, &listing.blobs, &mut walk)? } else { (Vec::new(), 0) };
        let walked = walk.finish();
        for orphan in orphans {
            let reason = format!("nothing names it; it has {} bytes", orphan.size);
            findings.add(Finding::new(Severity::Info, Problem::Orphan, reason).digest(&orphan.digest));
        }
        if untold > 0 {
            let reason =
                format!("{untold} blobs are not named here, and it was not told which layouts share them");
            let folder = self.root.staging().path().to_owned();
            findings.add(Finding::new(Severity::Info, Problem::Untold, reason).path(folder));
        }
        report.documents = walked.documents;
        if options.level >= Level::Digests {
            content::check(self, options, &listing.blobs, &walked, &mut findings, &mut report)?;
        }
        findings.finish(&mut report);
        Ok(report)
    }

    /// The blobs that a garbage collector would remove in time, and how many may be such in a folder of layouts that we
    /// were not told of; what it would keep as a referrer is walked.
    fn orphans<'b>(
        &self,
        options: &FsckOptions,
        blobs: &'b [Listed],
        walk: &mut documents::Walk<'_, '_>,
    ) -> Result<(Vec<&'b Listed>, u64)> {
        let gc = GcOptions::default().ignore_damage(true).cancel(options.cancel.clone());
        let sizes: HashMap<_, _> = blobs.iter().map(|blob| (&blob.digest, blob.size)).collect();
        let others = gc::others(self, options.sharing.as_deref().unwrap_or_default())?;
        let mut mark = Mark::new(self, &gc, &sizes).sharing(&others);
        mark.index()?;
        let named: Vec<_> = blobs.iter().map(|blob| mark.is_live(&blob.digest)).collect();
        mark.candidates(blobs, |_| false)?;
        // Other layouts may name what lies in a shared folder.
        let is_untold = self.root.is_shared() && options.sharing.is_none();
        let (mut orphans, mut untold) = (Vec::new(), 0_u64);
        for (blob, named) in blobs.iter().zip(named) {
            match (mark.is_live(&blob.digest), named) {
                (true, true) => {}
                (true, false) => walk.referrer(&blob.digest, blob.size)?,
                (false, _) if is_untold => untold += 1,
                (false, _) => orphans.push(blob),
            }
        }
        Ok((orphans, untold))
    }
}
