use std::sync::atomic::{AtomicU64, Ordering};

use crate::framing::Entry;
use crate::{Error, Limits, Result};

/// What all layers together may use, and have used. Layers that are worked on side by side share it.
#[derive(Debug)]
pub(crate) struct Budget {
    max_entries: u64,
    max_bytes: u64,
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        let (entries, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { max_entries: limits.entries, max_bytes: limits.bytes, entries, bytes }
    }

    /// Counts before anything is done: a header's promise is checked and not what comes of it.
    pub(super) fn take(&self, entry: &Entry) -> Result<()> {
        if add(&self.entries, 1) > self.max_entries {
            return Err(Error::Limit { limit: "entries", maximum: self.max_entries });
        }
        if add(&self.bytes, entry.size) > self.max_bytes {
            return Err(Error::Limit { limit: "bytes written", maximum: self.max_bytes });
        }
        Ok(())
    }

    /// A name of 4096 bytes makes two thousand directories, which count as if entries had named them.
    pub(super) fn implied(&self, directories: u64) -> Result<()> {
        if self.entries.load(Ordering::Relaxed).saturating_add(directories) > self.max_entries {
            return Err(Error::Limit { limit: "entries", maximum: self.max_entries });
        }
        Ok(())
    }
}

/// A promise may be so large that the sum would wrap.
fn add(to: &AtomicU64, amount: u64) -> u64 {
    let sum = |now: u64| now.saturating_add(amount);
    let before = to.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(sum(now)));
    sum(before.unwrap_or_else(|now| now))
}
