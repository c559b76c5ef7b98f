use std::fmt;
use std::io;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, RANGE};
use oci_digest::{Algorithm, Descriptor, Digest, Hasher};

use super::Repository;
use super::part::Part;
use crate::net::ResponseBody;
use crate::protocol::range;
use crate::session::{Answer, Budget, Call};
use crate::{Error, Result};

/// The bytes of one blob, as they arrive. A transfer that breaks is taken up where it broke.
///
/// Memory is bounded by what one read of the connection brings (256 KiB).
pub struct BlobReader {
    repository: Repository,
    digest: Digest,
    size: u64,
    /// Where the next byte to hand out lies.
    position: u64,
    /// Bytes still to be thrown away, because the registry sent the blob from its start.
    skip: u64,
    body: Option<ResponseBody>,
    hasher: Option<Hasher>,
    budget: Budget,
    /// Where breaks were last counted anew.
    ground: u64,
    /// A range was not honoured: ask for everything.
    whole: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Done,
    Failed,
}

impl Repository {
    /// Opens a blob. Size and digest are verified: the reader does not end well before both fit.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unauthorized`], and whatever the exchange can meet.
    pub async fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader> {
        let hasher = Hasher::new(Algorithm::of(descriptor.digest())?);
        self.open_blob(descriptor, 0, Some(hasher)).await
    }

    /// Opens a blob at a byte offset. The size is checked, the digest is not: who has the bytes before the offset
    /// verifies the whole.
    ///
    /// # Errors
    /// As [`blob`](Self::blob); [`Error::Invalid`] for an offset behind the end.
    pub async fn blob_from(&self, descriptor: &Descriptor, offset: u64) -> Result<BlobReader> {
        self.open_blob(descriptor, offset, None).await
    }

    /// Whether the registry has a blob of the descriptor's digest and size.
    ///
    /// # Errors
    /// What the exchange can meet; that it is not there is `Ok(false)`.
    pub async fn has_blob(&self, descriptor: &Descriptor) -> Result<bool> {
        Algorithm::of(descriptor.digest())?;
        let call = Call::head(self.endpoints.blob(descriptor.digest()))
            .header(ACCEPT_ENCODING, "identity")
            .scope(self.pull_scope());
        let mut answer = self.session.send(call, &mut self.session.budget()).await?;
        match answer.status.as_u16() {
            200 => {
                // A size that is not told counts as right, one that is wrong as another blob.
                let size = answer.text("content-length").and_then(|text| text.parse::<u64>().ok());
                Ok(size.is_none_or(|size| size == descriptor.size()))
            }
            404 => Ok(false),
            _ => Err(self.refused(descriptor.digest().as_ref(), &mut answer, "HEAD").await),
        }
    }

    async fn open_blob(
        &self,
        descriptor: &Descriptor,
        offset: u64,
        hasher: Option<Hasher>,
    ) -> Result<BlobReader> {
        Algorithm::of(descriptor.digest())?;
        let size = descriptor.size();
        if offset > size {
            return Err(Error::Invalid {
                what: "offset",
                value: offset.to_string(),
                reason: format!("the blob has {size} bytes"),
            });
        }
        let mut reader = BlobReader {
            repository: self.clone(),
            digest: descriptor.digest().clone(),
            size,
            position: offset,
            skip: 0,
            body: None,
            hasher,
            budget: self.session.budget(),
            ground: offset,
            whole: false,
            state: State::Open,
        };
        // Nothing can be asked for by a range without bytes.
        if offset == 0 || offset < size {
            reader.ask().await?;
        }
        Ok(reader)
    }
}

impl BlobReader {
    /// The next bytes; `None` at the end, which comes only after everything was found to fit.
    ///
    /// # Errors
    /// [`Error::Content`] when size or digest do not fit; what the exchange can meet when the retries are used up. A
    /// reader that failed keeps failing.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        match self.state {
            State::Open => {}
            State::Done => return Ok(None),
            State::Failed => {
                let source = io::Error::other("the reader has failed before");
                return Err(self.transfer(source));
            }
        }
        let result = self.advance().await;
        match &result {
            Ok(Some(bytes)) => {
                self.position += bytes.len() as u64;
                if let Some(hasher) = &mut self.hasher {
                    hasher.update(bytes);
                }
            }
            Ok(None) => self.state = State::Done,
            Err(_) => {
                self.state = State::Failed;
                self.body = None;
            }
        }
        result
    }

    /// The number of the blob's bytes before the next chunk.
    pub fn position(&self) -> u64 {
        self.position
    }

    async fn advance(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.position == self.size && self.body.is_none() {
                return self.verify().map(|()| None);
            }
            let Some(body) = &mut self.body else {
                self.ask().await?;
                continue;
            };
            match body.chunk().await {
                Ok(Some(mut bytes)) => {
                    let skipped = self.skip.min(bytes.len() as u64);
                    self.skip -= skipped;
                    let _ = bytes.split_to(usize::try_from(skipped).unwrap_or(usize::MAX).min(bytes.len()));
                    if bytes.is_empty() {
                        continue;
                    }
                    let end = self.position + bytes.len() as u64;
                    if end > self.size {
                        return Err(self.wrong_size(end, true));
                    }
                    self.count_ground(end);
                    return Ok(Some(bytes));
                }
                Ok(None) if self.position == self.size => self.body = None,
                // An end that comes too early is a break like any other.
                Ok(None) => {
                    let early = "the body ended before the blob did";
                    self.broke(io::Error::new(io::ErrorKind::UnexpectedEof, early)).await?;
                }
                // Everything is here; how the connection ended does not matter.
                Err(_) if self.position == self.size => self.body = None,
                Err(source) => self.broke(source).await?,
            }
        }
    }

    /// Spends a retry on a break, or fails with it.
    async fn broke(&mut self, source: io::Error) -> Result<()> {
        self.body = None;
        match self.budget.next(None) {
            Some(wait) => {
                self.repository.session.hold(wait, false).await;
                Ok(())
            }
            None => {
                let part = Part {
                    came: self.position,
                    size: self.size,
                    digest: self.digest.clone(),
                    attempts: self.budget.attempts(),
                };
                Err(self.transfer(part.broken(source)))
            }
        }
    }

    /// Breaks are counted anew when enough has arrived since; crumbs do not keep a transfer alive for ever.
    fn count_ground(&mut self, end: u64) {
        if end - self.ground >= (self.size / 256).max(64 * 1024) {
            self.ground = end;
            self.budget.refill();
        }
    }

    /// Asks for the bytes from `position`, and accepts only an answer that gives exactly these or the whole blob.
    async fn ask(&mut self) -> Result<()> {
        loop {
            let ranged = self.position > 0 && !self.whole;
            let call = self.call(ranged);
            let mut answer = self.repository.session.send(self.call(ranged), &mut self.budget).await?;
            if let Some(encoding) = answer.text("content-encoding")
                && !encoding.trim().eq_ignore_ascii_case("identity")
            {
                return Err(call.protocol("the blob is sent in an encoding that was not asked for"));
            }
            match answer.status.as_u16() {
                206 if ranged && self.is_asked_for(&answer) => self.skip = 0,
                // The range was not understood or not honoured. RFC 9110 section 14.2 lets servers ignore it.
                206 | 416 if ranged => {
                    self.whole = true;
                    continue;
                }
                200 => {
                    if let Some(size) = answer.body.announced()
                        && size != self.size
                    {
                        return Err(self.wrong_size(size, false));
                    }
                    // The connection's next bytes are the blob's first; those handed out already are dropped.
                    self.skip = self.position;
                    self.whole = false;
                }
                206 => return Err(call.protocol("the answer is a part of the blob, which was not asked for")),
                _ => return Err(self.repository.refused(self.digest.as_ref(), &mut answer, "GET").await),
            }
            self.body = Some(answer.body);
            return Ok(());
        }
    }

    fn call(&self, ranged: bool) -> Call {
        let call = Call::get(self.repository.endpoints.blob(&self.digest))
            .header(ACCEPT_ENCODING, "identity")
            .scope(self.repository.pull_scope());
        if ranged { call.header(RANGE, range::closed(self.position, self.size)) } else { call }
    }

    fn is_asked_for(&self, answer: &Answer) -> bool {
        let range = answer.text("content-range").and_then(range::content_range);
        range.is_some_and(|(first, last, size)| {
            first == self.position
                && last == self.size.saturating_sub(1)
                && size.is_none_or(|size| size == self.size)
                && answer.body.announced().is_none_or(|length| length == self.size - self.position)
        })
    }

    fn verify(&mut self) -> Result<()> {
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        let actual = hasher.finish();
        if actual == self.digest {
            return Ok(());
        }
        Err(Error::Content(oci_digest::Error::DigestMismatch { expected: self.digest.clone(), actual }))
    }

    fn wrong_size(&self, actual: u64, more: bool) -> Error {
        let (digest, expected) = (self.digest.clone(), self.size);
        Error::Content(oci_digest::Error::SizeMismatch { digest, expected, actual, more })
    }

    fn transfer(&self, source: io::Error) -> Error {
        let url = self.repository.endpoints.blob(&self.digest).to_string();
        Error::Transfer { method: "GET", url, step: "reading the body", source }
    }
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader")
            .field("digest", &self.digest)
            .field("size", &self.size)
            .field("position", &self.position)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
