//! Layers ahead of the work: reading, inflating and hashing on threads of their own, through bounded buffers.
//!
//! Read and verify the blob ∥ inflate ∥ hash for the diffID ∥ whoever reads [`Ahead`]. Each thread goes on to the next
//! layer by itself. The two last share the inflated blocks, so that nothing is copied between them.

mod block;
mod digests;
mod inflate;
mod pipe;

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::thread::{Builder, Scope};

use block::{Block, Pool};
use inflate::Inflater;
use oci_digest::content::Source;
use oci_digest::{Descriptor, Digest};

use crate::compression::{Compression, Notice};
use crate::{Error, Result};

/// How many blocks may wait for the work, and as many for the hash: of the same blocks, 2 to 4 MiB in all.
const BLOCKS: usize = 8;

/// A layer to be read: its blob, what its media type says of its compression, and what must come out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blob<'a> {
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) declared: Compression,
    pub(crate) diff_id: &'a Digest,
}

enum Message {
    Data(Arc<Block>),
    /// The blob was read to its last byte and had the digest and size of its descriptor.
    End(Vec<Notice>),
    Failed(Error),
}

/// The uncompressed bytes of layers, one after the other.
pub(crate) struct Ahead {
    messages: Receiver<Message>,
    verdicts: Receiver<Result<()>>,
    current: Option<Arc<Block>>,
    position: usize,
    /// At the end of a layer: what was odd about it.
    end: Option<Vec<Notice>>,
}

impl Ahead {
    /// Starts reading; zstd windows may be as large as `window`. Dropping what is returned stops the threads at their next buffer.
    pub(crate) fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        source: &'env dyn Source,
        blobs: Vec<Blob<'env>>,
        window: u64,
    ) -> Result<Self> {
        let (compressed, chunks) = pipe::bounded();
        let (work, messages) = sync_channel(BLOCKS);
        let (hash, blocks) = sync_channel(BLOCKS);
        let inflater = Inflater { chunks, pool: Pool::new(), window, work, hash };
        let (verdict, verdicts) = channel();
        let descriptors = blobs.iter().map(|blob| blob.descriptor).collect();
        let diff_ids = blobs.iter().map(|blob| blob.diff_id).collect();
        let thread = |name: &str| Builder::new().name(name.into());
        thread("layer-read")
            .spawn_scoped(scope, move || pipe::fill(source, descriptors, &compressed))
            .and_then(|_| thread("layer-inflate").spawn_scoped(scope, move || inflater.run(blobs)))
            .and_then(|_| {
                thread("layer-hash").spawn_scoped(scope, move || digests::run(diff_ids, &blocks, &verdict))
            })
            .map_err(|e| Error::io("starting a thread", e))?;
        Ok(Self { messages, verdicts, current: None, position: 0, end: None })
    }

    /// After a read gave nothing: waits for the digest of what was read, and goes on to the next layer. Gives what was
    /// odd about the one before.
    pub(crate) fn next_layer(&mut self) -> Result<Vec<Notice>> {
        let notices = self.end.take().unwrap_or_default();
        self.verdicts.recv().map_err(|_| Error::io("hashing a layer", ended_early()))??;
        Ok(notices)
    }
}

impl BufRead for Ahead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.as_ref().is_none_or(|block| self.position == block.bytes().len()) {
            if self.end.is_some() {
                return Ok(&[]);
            }
            match self.messages.recv() {
                Ok(Message::Data(block)) => (self.current, self.position) = (Some(block), 0),
                Ok(Message::End(notices)) => self.end = Some(notices),
                Ok(Message::Failed(error)) => return Err(error.into()),
                Err(_) => return Err(ended_early()),
            }
        }
        Ok(self.current.as_ref().and_then(|block| block.bytes().get(self.position..)).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.position += amount;
    }
}

impl Read for Ahead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

fn ended_early() -> io::Error {
    io::Error::other("a thread that reads ahead ended early")
}
