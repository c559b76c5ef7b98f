use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use oci_digest::content::Content;
use oci_digest::{Algorithm, Descriptor, Digest, MediaType, digest_of};
use tokio::task::JoinHandle;

use super::manifest::{differ, told_digest};
use super::upload::{Feed, Outcome};
use super::{Repository, Upload};
use crate::session::{Budget, Call, Payload};
use crate::wait::wait;
use crate::{Error, Result};

impl Repository {
    /// Pushes a blob. The bytes are read on a thread for blocking work and streamed in constant memory; they are read
    /// again from the start when the transfer has to begin again. Size and digest are verified before the registry
    /// gets the last of them.
    ///
    /// A blob that the registry has already is sent all the same; ask [`has_blob`](Self::has_blob) first.
    ///
    /// # Errors
    /// [`Error::Content`] when the bytes do not fit the descriptor or cannot be read; [`Error::Status`] when the
    /// registry refuses them; whatever the exchange can meet.
    pub async fn push_blob(
        &self,
        descriptor: &Descriptor,
        content: impl Content + Send + 'static,
    ) -> Result<()> {
        let content = Arc::new(content);
        let mut push = Push::new(self, descriptor, None);
        loop {
            let (feed, request) = push.begin().await?;
            let content = content.clone();
            let fed = tokio::task::spawn_blocking(move || pump(&*content, feed)).await;
            let fed = fed.unwrap_or_else(|gone| Err(reader_gone(&gone)));
            if push.settle(fed, request).await? {
                return Ok(());
            }
        }
    }

    /// Pushes a blob from another repository of the same registry without its bytes passing through here.
    /// `Ok(false)`: the registry does not do it, send the bytes.
    ///
    /// # Errors
    /// What the exchange can meet.
    pub async fn mount_blob(&self, descriptor: &Descriptor, from: &str) -> Result<bool> {
        match self.mount(descriptor, from).await {
            Ok(None) => Ok(true),
            Ok(Some(upload)) => {
                upload.cancel().await;
                Ok(false)
            }
            // Registries that know no mounting, or do not let this client read the other repository.
            Err(Error::Status { .. } | Error::NotFound { .. } | Error::Unauthorized { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Pushes a manifest or index under a tag or its digest, and gives the digest.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `name` is a digest and not that of the bytes; [`Error::Status`] with the registry's
    /// message when it refuses them, for example because a blob is missing.
    pub async fn push_manifest(
        &self,
        name: &str,
        media_type: &MediaType,
        bytes: impl Into<Bytes>,
    ) -> Result<Digest> {
        let bytes = bytes.into();
        let named = self.check_name(name)?;
        let algorithm = named.as_ref().map_or(Ok(Algorithm::Sha256), Algorithm::of)?;
        let digest = digest_of(algorithm, &bytes);
        if let Some(expected) = named
            && expected != digest
        {
            return Err(oci_digest::Error::DigestMismatch { expected, actual: digest }.into());
        }
        let call = |payload| {
            Call::new(Method::PUT, self.endpoints.manifest(name), payload)
                .header(CONTENT_TYPE, media_type.to_string())
                .scope(self.push_scope())
        };
        let mut budget = self.session.budget();
        let mut answer = self.session.send(call(Payload::Bytes(bytes)), &mut budget).await?;
        if !matches!(answer.status.as_u16(), 200..=202) {
            return Err(answer.refusal(&call(Payload::None)).await);
        }
        match told_digest(&answer) {
            Some(actual) if differ(&digest, &actual) => {
                Err(oci_digest::Error::DigestMismatch { expected: digest, actual }.into())
            }
            _ => Ok(digest),
        }
    }
}

/// The attempts to push one blob.
#[derive(Debug)]
pub(crate) struct Push {
    repository: Repository,
    descriptor: Descriptor,
    budget: Budget,
    renewed: bool,
    /// An upload that is open already.
    upload: Option<Upload>,
}

impl Push {
    pub(crate) fn new(repository: &Repository, descriptor: &Descriptor, upload: Option<Upload>) -> Self {
        Self {
            repository: repository.clone(),
            descriptor: descriptor.clone(),
            budget: repository.session.budget(),
            renewed: false,
            upload,
        }
    }

    /// Opens an upload and starts the request that carries the bytes: pump them into the feed.
    pub(crate) async fn begin(&mut self) -> Result<(Feed, JoinHandle<Outcome>)> {
        let upload = match self.upload.take() {
            Some(upload) => upload,
            None => self.repository.begin_upload(&mut self.budget).await?,
        };
        let (feed, request) = upload.stream(&self.descriptor)?;
        Ok((feed, tokio::spawn(request)))
    }

    /// Waits for the request's end. `Ok(false)`: begin again.
    pub(crate) async fn settle(
        &mut self,
        fed: Result<(), oci_digest::Error>,
        request: JoinHandle<Outcome>,
    ) -> Result<bool> {
        if let Err(error) = fed {
            // The request breaks off by itself, its feed is gone.
            return Err(error.into());
        }
        let outcome = request
            .await
            .unwrap_or_else(|gone| Outcome::Failed { error: reader_gone(&gone).into(), retry_after: None });
        match outcome {
            Outcome::Stored => self.check().await.map(|()| true),
            Outcome::Again if !self.renewed => {
                self.renewed = true;
                Ok(false)
            }
            Outcome::Again => Err(Error::Unauthorized {
                method: "PUT",
                url: self.repository.shown(self.descriptor.digest().as_ref()),
                status: 401,
                reason: "the registry does not accept the new credentials either",
                message: String::new(),
            }),
            Outcome::Failed { error, retry_after } if error.is_retryable() => {
                let Some(wait) = self.budget.next(retry_after) else { return Err(error) };
                self.repository.session.hold(wait, retry_after.is_some()).await;
                Ok(false)
            }
            Outcome::Failed { error, .. } => Err(error),
        }
    }

    /// A registry may say that it stored a blob and have kept a part of it only.
    async fn check(&self) -> Result<()> {
        if self.repository.has_blob(&self.descriptor).await? {
            return Ok(());
        }
        Err(Error::Protocol {
            method: "PUT",
            url: self.repository.shown(self.descriptor.digest().as_ref()),
            reason: "the registry said that it stored the blob, but does not have it in this size".to_owned(),
        })
    }
}

/// Reads content on this thread and feeds it to an upload.
pub(crate) fn pump(content: &dyn Content, mut feed: Feed) -> Result<(), oci_digest::Error> {
    // Below the size from which allocators ask the system for each block.
    const CHUNK: usize = 64 * 1024;
    let mut reader = content.open(0)?;
    loop {
        let mut chunk = vec![0; CHUNK];
        let mut filled = 0;
        while let Some(room) = chunk.get_mut(filled..).filter(|room| !room.is_empty()) {
            match reader.read(room) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(oci_digest::Error::io("reading the content to push", error)),
            }
        }
        let end = filled < CHUNK;
        chunk.truncate(filled);
        if filled > 0 && !wait(feed.push(chunk.into()))? {
            return Ok(());
        }
        if end {
            return wait(feed.finish());
        }
    }
}

fn reader_gone(gone: &tokio::task::JoinError) -> oci_digest::Error {
    oci_digest::Error::io("pushing", std::io::Error::other(gone.to_string()))
}
