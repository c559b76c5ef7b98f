use std::sync::Arc;

use http::header::ACCEPT;
use oci_digest::{Algorithm, Descriptor, Digest, MediaType, digest_of};

use super::Repository;
use crate::protocol::clean::clean;
use crate::protocol::media::{ACCEPT_MANIFESTS, essence, manifest_type};
use crate::reference::check_tag;
use crate::session::{Answer, Call, NOT_LET_IN};
use crate::{Error, Result};

/// The bytes of a manifest or index, verified, and what they are known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    descriptor: Descriptor,
    bytes: Arc<[u8]>,
}

impl Manifest {
    /// Media type, digest and size of the bytes.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The bytes as they were received.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, to keep.
    pub fn into_bytes(self) -> Arc<[u8]> {
        self.bytes
    }
}

impl Repository {
    /// The descriptor of the manifest or index that a tag or digest stands for.
    ///
    /// A registry that tells the digest is believed (content fetched by it is verified); one that does not is asked
    /// for the manifest itself.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unauthorized`], and whatever the exchange can meet.
    pub async fn resolve(&self, name: &str) -> Result<Descriptor> {
        match self.find(name).await {
            // The answer to a HEAD has no body: the one to a GET says why.
            Err(Error::NotFound { message, .. } | Error::Status { message, status: 403, .. })
                if message.is_empty() =>
            {
                self.manifest(name).await.map(|manifest| manifest.descriptor)
            }
            // A wrong password is not sent once more for that.
            Err(Error::Unauthorized { message, .. })
                if message.is_empty() && !self.session.has_credentials() =>
            {
                self.manifest(name).await.map(|manifest| manifest.descriptor)
            }
            other => other,
        }
    }

    /// As [`resolve`](Self::resolve), for callers that do not care why there is none.
    pub(crate) async fn find(&self, name: &str) -> Result<Descriptor> {
        let asked = self.check_name(name)?;
        let call = Call::head(self.endpoints.manifest(name))
            .header(ACCEPT, ACCEPT_MANIFESTS)
            .scope(self.pull_scope());
        let mut budget = self.session.budget();
        let mut answer = self.session.send(call, &mut budget).await?;
        match answer.status.as_u16() {
            200 => {}
            // Some registries and proxies do not know HEAD here.
            400 | 405 | 501 => return Ok(self.manifest(name).await?.descriptor),
            _ => return Err(self.refused(name, &mut answer, "HEAD").await),
        }
        let told = match told_digest(&answer) {
            // distribution-spec, Pulling manifests: by digest, other bytes may not be given.
            Some(told) if asked.as_ref().is_some_and(|asked| differ(asked, &told)) => {
                return Err(mismatch(asked, told));
            }
            told => asked.or(told),
        };
        let media_type = answer.text("content-type").and_then(|text| manifest_type(text).ok());
        let size = answer.text("content-length").and_then(|text| text.parse().ok());
        match (told, media_type, size) {
            (Some(digest), Some(media_type), Some(size)) if size <= self.session.options().manifest_limit => {
                Ok(Descriptor::new(media_type, size, digest))
            }
            _ => Ok(self.manifest(name).await?.descriptor),
        }
    }

    /// The manifest or index that a tag or digest stands for.
    ///
    /// By digest, the bytes are verified against it. By tag, the digest of the bytes is what counts.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve); [`Error::Limit`] for one above
    /// [`manifest_limit`](crate::ClientOptions::manifest_limit); [`Error::Content`] for wrong bytes;
    /// [`Error::Protocol`] for an answer that is no manifest.
    pub async fn manifest(&self, name: &str) -> Result<Manifest> {
        let asked = self.check_name(name)?;
        let mut budget = self.session.budget();
        loop {
            match self.fetch_manifest(name, asked.as_ref(), &mut budget).await {
                Err(error @ Error::Transfer { .. }) => match budget.next(None) {
                    Some(wait) => self.session.hold(wait, false).await,
                    None => return Err(error),
                },
                other => return other,
            }
        }
    }

    async fn fetch_manifest(
        &self,
        name: &str,
        asked: Option<&Digest>,
        budget: &mut crate::session::Budget,
    ) -> Result<Manifest> {
        let call = || {
            Call::get(self.endpoints.manifest(name)).header(ACCEPT, ACCEPT_MANIFESTS).scope(self.pull_scope())
        };
        let mut answer = self.session.send(call(), budget).await?;
        if answer.status.as_u16() != 200 {
            return Err(self.refused(name, &mut answer, "GET").await);
        }
        let limit = self.session.options().manifest_limit;
        let too_large = || Error::Limit { url: self.shown(name), limit: "manifest bytes", maximum: limit };
        if answer.body.announced().is_some_and(|size| size > limit) {
            return Err(too_large());
        }
        let content_type = answer.text("content-type").unwrap_or_default().to_owned();
        let (bytes, more) = answer.read(usize::try_from(limit).unwrap_or(usize::MAX), &call()).await?;
        if more {
            return Err(too_large());
        }
        let media_type = self.media_type(&content_type, &bytes).map_err(|reason| call().protocol(reason))?;
        let algorithm = match asked {
            Some(digest) => Algorithm::of(digest)?,
            None => Algorithm::Sha256,
        };
        let digest = digest_of(algorithm, &bytes);
        if asked.is_some_and(|asked| *asked != digest) {
            return Err(mismatch(asked.cloned(), digest));
        }
        // By tag, a wrong header means that somebody's view of the content is broken.
        match told_digest(&answer) {
            Some(told) if asked.is_none() => {
                let actual = match Algorithm::of(&told) {
                    Ok(algorithm) => digest_of(algorithm, &bytes),
                    Err(_) => told.clone(),
                };
                if actual != told {
                    return Err(mismatch(Some(told), actual));
                }
            }
            _ => {}
        }
        let descriptor = Descriptor::new(media_type, bytes.len() as u64, digest);
        Ok(Manifest { descriptor, bytes: bytes.into() })
    }

    /// The media type of a manifest: that of the header, which the body must not contradict. Where the header says
    /// nothing in particular, the body counts.
    fn media_type(&self, content_type: &str, bytes: &[u8]) -> Result<MediaType, String> {
        let body: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|_| "the answer is no JSON document".to_owned())?;
        if !body.is_object() {
            return Err("the answer is no JSON object".to_owned());
        }
        // image-spec manifest.md and image-index.md: one document is not both.
        if body.get("manifests").is_some() && body.get("layers").is_some() {
            return Err("the answer has both manifests and layers".to_owned());
        }
        let inner = body.get("mediaType").and_then(serde_json::Value::as_str);
        let vague =
            matches!(essence(content_type).as_str(), "" | "application/json" | "application/octet-stream");
        let outer = if vague { inner.unwrap_or_default() } else { content_type };
        let media_type =
            manifest_type(outer).map_err(|reason| format!("{reason}: {:?}", clean(outer, 100)))?;
        match inner {
            Some(inner) if MediaType::from(inner) != media_type => {
                Err(format!("sent as {media_type}, but it says {:?}", clean(inner, 100)))
            }
            _ => Ok(media_type),
        }
    }

    /// The digest that a name is, or `None` for a tag.
    pub(super) fn check_name(&self, name: &str) -> Result<Option<Digest>> {
        if !name.contains(':') {
            return check_tag(name).map(|()| None);
        }
        let digest: Digest = name.parse().map_err(|_| Error::Invalid {
            what: "digest",
            value: clean(name, 200),
            reason: "it is not algorithm:encoded".to_owned(),
        })?;
        Algorithm::of(&digest)?;
        Ok(Some(digest))
    }

    pub(super) async fn refused(&self, name: &str, answer: &mut Answer, method: &'static str) -> Error {
        let message = answer.message().await;
        let (url, status) = (answer.url.to_string(), answer.status.as_u16());
        match status {
            404 => Error::NotFound { what: self.shown(name), message },
            401 => Error::Unauthorized { method, url, status, reason: NOT_LET_IN, message },
            _ => Error::Status { method, url, status, message },
        }
    }
}

/// `Docker-Content-Digest`, if it is a digest that can be compared.
pub(super) fn told_digest(answer: &Answer) -> Option<Digest> {
    let digest: Digest = answer.text("docker-content-digest")?.parse().ok()?;
    Algorithm::of(&digest).ok().map(|_| digest)
}

/// Digests of different algorithms cannot be compared.
pub(super) fn differ(one: &Digest, other: &Digest) -> bool {
    one.algorithm() == other.algorithm() && one != other
}

fn mismatch(expected: Option<Digest>, actual: Digest) -> Error {
    let expected = expected.unwrap_or_else(|| actual.clone());
    Error::Content(oci_digest::Error::DigestMismatch { expected, actual })
}
