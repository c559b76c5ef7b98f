use std::io;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use oci_digest::{Algorithm, Descriptor, Hasher};
use tokio::sync::mpsc;

use super::Repository;
use super::manifest::{differ, told_digest};
use crate::net::{Progress, RequestBody};
use crate::protocol::endpoint;
use crate::protocol::url::Url;
use crate::session::{Answer, Budget, Call, Payload, is_temporary};
use crate::{Error, Result};

/// An upload that the registry has opened.
#[derive(Debug)]
pub(crate) struct Upload {
    repository: Repository,
    url: Url,
}

/// The sending end of an upload's bytes: hashes what passes and withholds the end from the registry when it does
/// not fit the descriptor.
#[derive(Debug)]
pub(crate) struct Feed {
    chunks: mpsc::Sender<io::Result<Bytes>>,
    hasher: Hasher,
    descriptor: Descriptor,
    bytes: u64,
    /// Held back until it is known whether it is the last.
    pending: Option<Bytes>,
}

/// What became of a commit.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The registry has the blob.
    Stored,
    /// Begin again with a new upload: credentials were renewed.
    Again,
    /// Begin again if the budget has it.
    Failed { error: Error, retry_after: Option<std::time::Duration> },
}

impl Repository {
    /// Opens an upload (distribution-spec, Pushing blobs: POST then PUT).
    pub(crate) async fn begin_upload(&self, budget: &mut Budget) -> Result<Upload> {
        let url = self.endpoints.uploads();
        let mut answer = self.session.send(self.begin_call(url), budget).await?;
        match answer.status.as_u16() {
            202 => self.upload_at(&answer),
            _ => Err(answer.refusal(&self.begin_call(self.endpoints.uploads())).await),
        }
    }

    /// Asks the registry to take a blob from another of its repositories. An upload comes back when it does not.
    ///
    /// distribution-spec, Mounting a blob from another repository: 201 is done, 202 is an upload.
    pub(crate) async fn mount(&self, descriptor: &Descriptor, from: &str) -> Result<Option<Upload>> {
        Algorithm::of(descriptor.digest())?;
        let url = self.endpoints.mount(descriptor.digest(), from);
        let call = |url| self.begin_call(url).scope(crate::session::scope(from, "pull"));
        let mut answer = self.session.send(call(url.clone()), &mut self.session.budget()).await?;
        match answer.status.as_u16() {
            201 => Ok(None),
            202 => self.upload_at(&answer).map(Some),
            _ => Err(answer.refusal(&call(url)).await),
        }
    }

    fn begin_call(&self, url: Url) -> Call {
        Call::new(Method::POST, url, Payload::Bytes(Bytes::new()))
            .header(CONTENT_LENGTH, "0")
            .scope(self.push_scope())
    }

    fn upload_at(&self, answer: &Answer) -> Result<Upload> {
        let protocol =
            |reason: String| Error::Protocol { method: "POST", url: answer.url.to_string(), reason };
        let location =
            answer.text("location").ok_or_else(|| protocol("an upload without a location".into()))?;
        let url = answer
            .url
            .join(location)
            .map_err(|reason| protocol(format!("an upload at a wrong location: {reason}")))?;
        if answer.url.is_https() && !url.is_https() {
            return Err(Error::Refused { url: url.to_string(), reason: "an upload from https to http" });
        }
        Ok(Upload { repository: self.clone(), url })
    }
}

impl Upload {
    /// Gives the upload up. The registry forgets it sooner or later anyway, so nothing is asked about the answer.
    pub(crate) async fn cancel(self) {
        let call = Call::new(Method::DELETE, self.url, Payload::None).scope(self.repository.push_scope());
        let mut none = Budget::new(0, std::time::Duration::ZERO);
        let _ = self.repository.session.send(call, &mut none).await;
    }

    /// Where to put the bytes in, and the request to run beside it.
    pub(crate) fn stream(
        self,
        descriptor: &Descriptor,
    ) -> Result<(Feed, impl Future<Output = Outcome> + Send + use<>)> {
        let hasher = Hasher::new(Algorithm::of(descriptor.digest())?);
        // Two chunks under way and one in the making.
        let (sender, receiver) = mpsc::channel(2);
        let body =
            RequestBody::Stream { chunks: receiver, left: descriptor.size(), progress: Progress::default() };
        let feed = Feed { chunks: sender, hasher, descriptor: descriptor.clone(), bytes: 0, pending: None };
        let descriptor = descriptor.clone();
        Ok((feed, async move { self.commit(&descriptor, body).await }))
    }

    async fn commit(self, descriptor: &Descriptor, body: RequestBody) -> Outcome {
        let repository = self.repository;
        let url = endpoint::commit(&self.url, descriptor.digest());
        let call = |payload| {
            Call::new(Method::PUT, url.clone(), payload)
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, descriptor.size().to_string())
                .scope(repository.push_scope())
        };
        let mut budget = repository.session.budget();
        let answer = repository.session.send(call(Payload::Once(Some(body))), &mut budget).await;
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Outcome::Failed { error, retry_after: None },
        };
        match answer.status.as_u16() {
            201 => match told_digest(&answer) {
                Some(told) if differ(&told, descriptor.digest()) => Outcome::Failed {
                    error: Error::Content(oci_digest::Error::DigestMismatch {
                        expected: descriptor.digest().clone(),
                        actual: told,
                    }),
                    retry_after: None,
                },
                _ => Outcome::Stored,
            },
            401 => Outcome::Again,
            _ => {
                let retry_after = answer.retry_after().filter(|_| is_temporary(answer.status));
                let error = answer.refusal(&call(Payload::None)).await;
                Outcome::Failed { error, retry_after }
            }
        }
    }
}

impl Feed {
    /// Takes the next bytes. `Ok(false)`: the request has ended, see its outcome.
    pub(crate) async fn push(&mut self, bytes: Bytes) -> Result<bool, oci_digest::Error> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.descriptor.size() {
            return Err(self.wrong_size(true));
        }
        self.hasher.update(&bytes);
        match self.pending.replace(bytes) {
            Some(bytes) => Ok(self.chunks.send(Ok(bytes)).await.is_ok()),
            None => Ok(true),
        }
    }

    /// Sends the last bytes, if all of them together are what was described.
    pub(crate) async fn finish(mut self) -> Result<(), oci_digest::Error> {
        if self.bytes < self.descriptor.size() {
            return Err(self.wrong_size(false));
        }
        let actual = self.hasher.clone().finish();
        let expected = self.descriptor.digest().clone();
        if actual != expected {
            return Err(oci_digest::Error::DigestMismatch { expected, actual });
        }
        if let Some(bytes) = self.pending.take() {
            // An ended request is seen in its outcome.
            let _ = self.chunks.send(Ok(bytes)).await;
        }
        Ok(())
    }

    fn wrong_size(&self, more: bool) -> oci_digest::Error {
        oci_digest::Error::SizeMismatch {
            digest: self.descriptor.digest().clone(),
            expected: self.descriptor.size(),
            actual: self.bytes,
            more,
        }
    }
}
