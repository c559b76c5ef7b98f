//! The body of a response: bytes in memory, or a blob read from its store piece by piece.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use oci_digest::content::Store;
use oci_digest::{Descriptor, Error};
use tokio::task::JoinHandle;

use super::response::{Code, Failure, blocking};

/// Bytes of a blob that are in memory at once for one response: this piece and the next.
const PIECE: u64 = 256 * 1024;

/// The body of a response; its size is always known.
#[derive(Debug)]
pub(super) struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Full(Bytes),
    Blob(Blob),
}

impl Body {
    pub(super) fn empty() -> Self {
        Self(Kind::Full(Bytes::new()))
    }

    pub(super) fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Full(bytes.into()))
    }

    /// The bytes `start..end` of a blob. The first piece is read here, so that a store that cannot give the blob
    /// is met before the head of the response is sent.
    pub(super) async fn blob(
        store: Arc<dyn Store>,
        descriptor: Descriptor,
        start: u64,
        end: u64,
    ) -> Result<Self, Failure> {
        if start >= end {
            return Ok(Self::empty());
        }
        let source = Arc::new(BlobSource { store, descriptor });
        let from = Arc::clone(&source);
        let first =
            blocking(move || from.read(start, end).map_err(|e| Failure::from_store(&e, Code::BlobUnknown)))
                .await?;
        let at = start + first.len() as u64;
        let mut blob = Blob { source, at, end, ready: Some(first), reading: None };
        blob.read_ahead();
        Ok(Self(Kind::Blob(blob)))
    }

    pub(super) fn len(&self) -> u64 {
        match &self.0 {
            Kind::Full(bytes) => bytes.len() as u64,
            Kind::Blob(blob) => blob.left(),
        }
    }
}

/// A blob on its way. No thread is held while a slow client takes its time: each piece opens the store anew at
/// its offset, and one piece is read ahead.
#[derive(Debug)]
struct Blob {
    source: Arc<BlobSource>,
    /// The offset up to which pieces have been read.
    at: u64,
    end: u64,
    ready: Option<Bytes>,
    reading: Option<JoinHandle<Result<Bytes, Error>>>,
}

impl Blob {
    fn left(&self) -> u64 {
        self.end - self.at + self.ready.as_ref().map_or(0, |bytes| bytes.len() as u64)
    }

    fn read_ahead(&mut self) {
        if self.at < self.end && self.reading.is_none() {
            let (source, at, end) = (Arc::clone(&self.source), self.at, self.end);
            self.reading = Some(tokio::task::spawn_blocking(move || source.read(at, end)));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(bytes) = self.ready.take() {
            return Poll::Ready(Some(Ok(bytes)));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let result = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        match result {
            Ok(Ok(bytes)) => {
                self.at += bytes.len() as u64;
                self.read_ahead();
                Poll::Ready(Some(Ok(bytes)))
            }
            Ok(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            Err(error) => Poll::Ready(Some(Err(io::Error::other(error)))),
        }
    }
}

struct BlobSource {
    store: Arc<dyn Store>,
    descriptor: Descriptor,
}

impl BlobSource {
    /// One whole piece from `at`. Fewer bytes than the descriptor promises are an error, so that the connection
    /// ends in the middle of the body and no client takes it for the blob.
    fn read(&self, at: u64, end: u64) -> Result<Bytes, Error> {
        let wanted = PIECE.min(end - at);
        let mut bytes = Vec::with_capacity(usize::try_from(wanted).unwrap_or(0));
        let context = || format!("reading {}", self.descriptor.digest());
        self.store
            .open(&self.descriptor, at)?
            .take(wanted)
            .read_to_end(&mut bytes)
            .map_err(|e| Error::io(context(), e))?;
        if bytes.len() as u64 != wanted {
            return Err(Error::io(context(), io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes.into())
    }
}

impl std::fmt::Debug for BlobSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobSource").field("digest", self.descriptor.digest()).finish_non_exhaustive()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.get_mut().0 {
            Kind::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Blob(blob) => blob.poll(cx).map(|next| next.map(|result| result.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}
