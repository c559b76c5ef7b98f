//! Reading, verifying and inflating ahead of the work, on a thread of its own and through bounded buffers.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::Scope;

use oci_digest::content::Source;
use oci_digest::{Descriptor, VerifyReader};

use crate::compression::{Compression, Decoder, Notice};
use crate::{Error, Result};

/// One buffer, and how many of them are between the two threads: 2 MiB in all.
const BUFFER: usize = 256 << 10;
const BUFFERS: usize = 8;

/// A layer to be read: its blob, and what its media type says of its compression.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blob<'a> {
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) declared: Compression,
}

enum Message {
    Data(Vec<u8>),
    /// The blob was read to its last byte and had the digest and size of its descriptor.
    End(Vec<Notice>),
    Failed(Error),
}

/// The uncompressed bytes of layers that another thread reads, one after the other.
pub(crate) struct Ahead {
    messages: Receiver<Message>,
    used: Sender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
    /// At the end of a layer: what was odd about it.
    end: Option<Vec<Notice>>,
}

impl Ahead {
    /// Starts reading. Dropping what is returned stops the thread at its next buffer.
    pub(crate) fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        source: &'env dyn Source,
        blobs: Vec<Blob<'env>>,
        window: u64,
    ) -> Result<Self> {
        let (sender, messages) = sync_channel(BUFFERS);
        let (used, returned) = channel();
        std::thread::Builder::new()
            .name("oci-unpack-read".into())
            .spawn_scoped(scope, move || {
                for blob in blobs {
                    let last = match read(source, blob, window, &sender, &returned) {
                        Ok(Some(notices)) => Message::End(notices),
                        Ok(None) => return,
                        Err(error) => Message::Failed(error),
                    };
                    let failed = matches!(last, Message::Failed(_));
                    // Nobody listens any more: the work failed, and knows why.
                    if sender.send(last).is_err() || failed {
                        return;
                    }
                }
            })
            .map_err(|e| Error::io("starting a thread", e))?;
        Ok(Self { messages, used, current: Vec::new(), position: 0, end: None })
    }

    /// After a read gave 0: goes on to the next layer. Gives what was odd about the one before.
    pub(crate) fn next_layer(&mut self) -> Vec<Notice> {
        self.end.take().unwrap_or_default()
    }
}

impl Read for Ahead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.position == self.current.len() {
            if self.end.is_some() {
                return Ok(0);
            }
            match self.messages.recv() {
                Ok(Message::Data(data)) => {
                    self.position = 0;
                    // The other thread may be done already, and then needs no buffers.
                    let _ = self.used.send(std::mem::replace(&mut self.current, data));
                }
                Ok(Message::End(notices)) => self.end = Some(notices),
                Ok(Message::Failed(error)) => return Err(error.into()),
                Err(_) => return Err(io::Error::other("the reading thread ended early")),
            }
        }
        let rest = self.current.get(self.position..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.position += n;
        Ok(n)
    }
}

/// Reads one blob to its end. `None`: nobody listens any more.
fn read(
    source: &dyn Source,
    blob: Blob<'_>,
    window: u64,
    sender: &SyncSender<Message>,
    returned: &Receiver<Vec<u8>>,
) -> Result<Option<Vec<Notice>>> {
    let context = || format!("reading {}", blob.descriptor.digest());
    let content = |e| Error::Content { context: context(), source: Box::new(e) };
    let raw = source.open(blob.descriptor, 0).map_err(content)?;
    let verified = VerifyReader::of(raw, blob.descriptor).map_err(content)?;
    let mut decoder = Decoder::with_window(verified, Some(blob.declared), window)?;
    loop {
        let mut buffer = returned.try_recv().unwrap_or_default();
        buffer.resize(BUFFER, 0);
        let mut filled = 0;
        while let Some(room) = buffer.get_mut(filled..)
            && !room.is_empty()
        {
            match decoder.read(room) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io(context(), e)),
            }
        }
        if filled == 0 {
            return Ok(Some(decoder.notices()));
        }
        buffer.truncate(filled);
        if sender.send(Message::Data(buffer)).is_err() {
            return Ok(None);
        }
    }
}
