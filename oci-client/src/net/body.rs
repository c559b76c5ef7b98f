use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::pool::Lease;

/// What a request carries.
#[derive(Debug)]
pub(crate) enum RequestBody {
    Empty,
    Whole(Bytes),
    /// Chunks of exactly `left` bytes in all; an error breaks the request off.
    Stream {
        chunks: mpsc::Receiver<io::Result<Bytes>>,
        left: u64,
        progress: Progress,
    },
}

/// Counts the chunks of a body that were taken for sending, so that whoever waits for the answer can tell a slow
/// upload from a server that stopped reading.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<AtomicU64>);

impl Progress {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Stream { left: 0, .. } => Poll::Ready(None),
            Self::Stream { chunks, left, progress } => match chunks.poll_recv(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(bytes))) => match left.checked_sub(bytes.len() as u64) {
                    Some(rest) => {
                        *left = rest;
                        progress.0.fetch_add(1, Ordering::Relaxed);
                        Poll::Ready(Some(Ok(Frame::data(bytes))))
                    }
                    None => Poll::Ready(Some(Err(io::ErrorKind::InvalidData.into()))),
                },
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream { left, .. } => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Empty => 0,
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Stream { left, .. } => *left,
        })
    }
}

/// The body of an answer. Read to its end, its connection goes back to the pool; dropped before, it is closed.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    incoming: Incoming,
    lease: Option<Lease>,
    idle: Duration,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, lease: Lease, idle: Duration) -> Self {
        let mut body = Self { incoming, lease: Some(lease), idle };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }

    /// The next bytes, as they came from the connection. `None` at the proper end.
    pub(crate) async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut self.incoming).poll_frame(cx));
            match timeout(self.idle, frame).await {
                Err(_) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "no byte within the idle timeout"));
                }
                Ok(None) => {
                    self.finish();
                    return Ok(None);
                }
                Ok(Some(Err(error))) => return Err(broken(error)),
                Ok(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data()
                        && !bytes.is_empty()
                    {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// Reads up to `max` bytes, and whether there are more.
    pub(crate) async fn read(&mut self, max: usize) -> io::Result<(Vec<u8>, bool)> {
        let mut out = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            let room = max - out.len();
            if bytes.len() > room {
                out.extend_from_slice(bytes.get(..room).unwrap_or_default());
                return Ok((out, true));
            }
            out.extend_from_slice(&bytes);
        }
        Ok((out, false))
    }

    /// The size that the head announced.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

/// Why a body broke off, in the words of whoever noticed it first.
fn broken(error: hyper::Error) -> io::Error {
    let system = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match system.map(|system| (system.kind(), system.raw_os_error())) {
        Some((_, Some(code))) => io::Error::from_raw_os_error(code),
        Some((kind @ io::ErrorKind::UnexpectedEof, None)) => {
            io::Error::new(kind, "the connection ended before the body did")
        }
        Some((kind, None)) => io::Error::new(kind, error),
        None => io::Error::new(io::ErrorKind::ConnectionReset, error),
    }
}
