use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::Document;
use crate::layout::INDEX;
use crate::lock::Lock;
use crate::{Error, ImageLayout, Result};

/// How often an edit is redone because a program that does not take our lock changed index.json.
const ATTEMPTS: u32 = 20;
/// How often an index.json that is no JSON is read again: some tools write it in place.
const REREADS: u32 = 4;

impl ImageLayout {
    /// Edits index.json as the JSON value it is, under the layout's exclusive lock.
    ///
    /// `edit` says whether it changed anything, and may be called more than once: when a program that does not take
    /// the lock changes the file in between, the edit is done again on what is there then. All blobs are on
    /// the disk before the new index is, which replaces the old as a whole; fields that nobody knows survive.
    ///
    /// # Errors
    /// Those of `edit`, [`Error::Conflict`] when other programs kept changing the file, and what reading and
    /// writing can meet.
    pub fn edit_index(&self, mut edit: impl FnMut(&mut Value) -> Result<bool>) -> Result<bool> {
        self.edit(|document| edit(document.value_mut())).map(|(changed, _lock)| changed)
    }

    /// As [`edit_index`](Self::edit_index); the lock is handed on, for what must be done before others see it.
    pub(crate) fn edit(&self, mut edit: impl FnMut(&mut Document) -> Result<bool>) -> Result<(bool, Lock)> {
        let lock = Lock::exclusive(&self.root)?;
        let path = self.path().join(INDEX);
        let limit = self.options.max_index_bytes;
        for attempt in 0..ATTEMPTS {
            let (before, mut document) = self.read_index()?;
            if !edit(&mut document)? {
                return Ok((false, lock));
            }
            let after = serde_json::to_vec(document.value())
                .map_err(|e| super::document::wrong(&path, String::new(), &e.to_string()))?;
            if after.len() as u64 > limit {
                return Err(Error::Limit { path, limit: "bytes", maximum: limit });
            }
            if self.options.sync.syncs() {
                self.sync_blobs()?;
            }
            let unchanged = || Ok(self.root.read(INDEX, limit)?.as_deref() == Some(&*before));
            if self.root.replace(INDEX, &after, self.options.sync.syncs(), unchanged)? {
                return Ok((true, lock));
            }
            thread::sleep(Duration::from_millis(u64::from(attempt)));
        }
        Err(Error::Conflict { path })
    }

    /// The index's bytes and value as they are now.
    pub(crate) fn read_index(&self) -> Result<(Vec<u8>, Document)> {
        let path = self.path().join(INDEX);
        let mut reads = 0;
        loop {
            let bytes =
                self.root.read(INDEX, self.options.max_index_bytes)?.ok_or_else(|| Error::NotALayout {
                    path: self.path().to_owned(),
                    reason: "there is no index.json".to_owned(),
                })?;
            match Document::parse(&bytes, &path) {
                Ok(document) => return Ok((bytes, document)),
                // Perhaps half of what somebody is writing at this moment.
                Err(_) if reads < REREADS => {
                    reads += 1;
                    thread::sleep(Duration::from_millis(2 << reads));
                }
                Err(error) => return Err(error),
            }
        }
    }
}
