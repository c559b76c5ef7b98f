//! Blobs from their source to whoever inflates them, read and verified by a thread of its own.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use oci_digest::content::Source;
use oci_digest::{Descriptor, VerifyReader};

use super::block::{Block, Pool};
use crate::{Error, Result};

/// How many blocks of compressed bytes may wait: 1 MiB.
const BLOCKS: usize = 4;

/// A block, the end of a blob that fits its descriptor (`None`), or why there is no more.
type Piece = Result<Option<Block>>;

/// The bytes of one blob after the other.
pub(super) struct Chunks {
    pieces: Receiver<Piece>,
    current: Option<Block>,
    position: usize,
    ended: bool,
}

pub(super) fn bounded() -> (SyncSender<Piece>, Chunks) {
    let (sender, pieces) = sync_channel(BLOCKS);
    (sender, Chunks { pieces, current: None, position: 0, ended: false })
}

/// Reads and verifies the blobs, one after the other.
pub(super) fn fill(source: &dyn Source, blobs: Vec<&Descriptor>, sender: &SyncSender<Piece>) {
    let pool = Pool::new();
    for blob in blobs {
        if let Err(error) = one(source, blob, &pool, sender) {
            // Whoever inflates may have failed before, and knows why.
            let _ = sender.send(Err(error));
            return;
        }
    }
}

fn one(source: &dyn Source, blob: &Descriptor, pool: &Pool, sender: &SyncSender<Piece>) -> Result<()> {
    let context = || format!("reading {}", blob.digest());
    let content = |e| Error::Content { context: context(), source: Box::new(e) };
    let raw = source.open(blob, 0).map_err(content)?;
    let mut verified = VerifyReader::of(raw, blob).map_err(content)?;
    loop {
        let piece = pool.fill(&mut verified).map_err(|e| Error::io(context(), e))?;
        let ended = piece.is_none();
        if sender.send(Ok(piece)).is_err() {
            return Err(Error::io(context(), io::Error::other("nobody inflates any more")));
        }
        if ended {
            return Ok(());
        }
    }
}

impl Chunks {
    /// Goes on to the next blob. What was not read of the one before is, since only its end says that it fits.
    pub(super) fn next_blob(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink())?;
        self.ended = false;
        Ok(())
    }
}

impl Read for Chunks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let rest = self.current.as_ref().and_then(|block| block.bytes().get(self.position..));
            if let Some(mut rest) = rest
                && !rest.is_empty()
            {
                let n = rest.read(buf)?;
                self.position += n;
                return Ok(n);
            }
            self.current = None;
            if self.ended {
                return Ok(0);
            }
            match self.pieces.recv() {
                Ok(Ok(Some(block))) => (self.current, self.position) = (Some(block), 0),
                Ok(Ok(None)) => self.ended = true,
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(super::ended_early()),
            }
        }
    }
}
