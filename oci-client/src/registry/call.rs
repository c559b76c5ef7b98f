//! One request on its way through the registry.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;

use super::auth::Grant;
use super::names::Query;
use super::response::{Code, Failure};
use super::shared::Shared;

/// One request: what its handler needs of it.
pub(super) struct Call {
    pub(super) shared: Arc<Shared>,
    pub(super) method: Method,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) body: RequestBody,
    /// What the request's credentials allow.
    pub(super) grant: Grant,
}

impl Call {
    /// A header's text; one that is no text counts as absent.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }
}

/// The body of a request, with an idle limit, and counted.
pub(super) struct RequestBody {
    inner: Incoming,
    idle: Duration,
    declared: Option<u64>,
    received: Arc<AtomicU64>,
}

impl RequestBody {
    pub(super) fn new(inner: Incoming, idle: Duration, received: Arc<AtomicU64>) -> Self {
        let declared = inner.size_hint().exact();
        Self { inner, idle, declared, received }
    }

    /// The size that the request's head declared.
    pub(super) fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// The next bytes, `None` at a proper end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let broken = || Failure::bad(Code::BlobUploadInvalid, "the body broke off");
        loop {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut self.inner).poll_frame(cx));
            let frame = match tokio::time::timeout(self.idle, frame).await {
                Ok(frame) => frame,
                Err(_) => {
                    let message = "no data came for too long";
                    return Err(Failure::new(StatusCode::REQUEST_TIMEOUT, Code::BlobUploadInvalid, message));
                }
            };
            match frame {
                Some(Ok(frame)) => {
                    // Trailers carry nothing that this registry knows.
                    if let Ok(bytes) = frame.into_data() {
                        self.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(_)) => return Err(broken()),
                // A connection that ends early can look like an end of the body.
                None => {
                    let received = self.received.load(Ordering::Relaxed);
                    return if self.declared.is_some_and(|size| size != received) {
                        Err(broken())
                    } else {
                        Ok(None)
                    };
                }
            }
        }
    }

    /// The whole body, if it has at most `limit` bytes.
    pub(super) async fn whole(&mut self, limit: u64) -> Result<Vec<u8>, Failure> {
        let too_large = || Failure::too_large(format!("the body is larger than {limit} bytes"));
        if self.declared.is_some_and(|size| size > limit) {
            return Err(too_large());
        }
        let mut whole = Vec::new();
        while let Some(bytes) = self.next().await? {
            if whole.len() as u64 + bytes.len() as u64 > limit {
                return Err(too_large());
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }
}
