use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use super::block::Pool;
use super::digests::ToHash;
use super::pipe::Chunks;
use super::{Blob, Message};
use crate::compression::{Decoder, Notice};
use crate::{Error, Result};

/// Inflates blobs, one after the other, for the work and for the hash.
pub(super) struct Inflater {
    pub(super) chunks: Chunks,
    pub(super) pool: Pool,
    /// The largest zstd window.
    pub(super) window: u64,
    pub(super) work: SyncSender<Message>,
    pub(super) hash: SyncSender<ToHash>,
}

impl Inflater {
    pub(super) fn run(mut self, blobs: Vec<Blob<'_>>) {
        for blob in blobs {
            let last = match self.one(blob) {
                Ok(Some(notices)) => Message::End(notices),
                Ok(None) => return,
                Err(error) => Message::Failed(error),
            };
            let failed = matches!(last, Message::Failed(_));
            // Nobody listens any more: the work failed, and knows why.
            if self.work.send(last).is_err() || failed || self.hash.send(ToHash::End).is_err() {
                return;
            }
        }
    }

    /// `None`: nobody listens any more.
    fn one(&mut self, blob: Blob<'_>) -> Result<Option<Vec<Notice>>> {
        let mut decoder = Decoder::with_window(&mut self.chunks, Some(blob.declared), self.window)?;
        let context = |e| Error::io(format!("reading {}", blob.descriptor.digest()), e);
        while let Some(block) = self.pool.fill(&mut decoder).map_err(context)? {
            let block = Arc::new(block);
            let sent = self.hash.send(ToHash::Data(Arc::clone(&block)));
            if sent.is_err() || self.work.send(Message::Data(block)).is_err() {
                return Ok(None);
            }
        }
        let notices = decoder.notices();
        self.chunks.next_blob().map_err(context)?;
        Ok(Some(notices))
    }
}
