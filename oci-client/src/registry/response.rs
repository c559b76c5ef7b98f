//! What the registry answers: bodies, and errors in the JSON form of distribution-spec, Error Codes.

use std::fmt::Display;

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use oci_digest::Error;
use serde_json::json;

use super::body::Body;

pub(super) type Reply = Response<Body>;
pub(super) type Answer = Result<Reply, Failure>;

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Reply {
    with_body(status, Body::empty())
}

/// A JSON response.
pub(super) fn json(status: StatusCode, content_type: &'static str, value: &serde_json::Value) -> Reply {
    let mut reply = with_body(status, Body::full(value.to_string()));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// A response with any body.
pub(super) fn with_body(status: StatusCode, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply
}

/// Sets a header; a value that no header can hold is left out.
pub(super) fn set(reply: &mut Reply, name: HeaderName, value: impl Display) {
    if let Ok(value) = HeaderValue::try_from(value.to_string()) {
        reply.headers_mut().insert(name, value);
    }
}

/// Adds one more value of a header.
pub(super) fn add(reply: &mut Reply, name: HeaderName, value: impl Display) {
    if let Ok(value) = HeaderValue::try_from(value.to_string()) {
        reply.headers_mut().append(name, value);
    }
}

/// `Docker-Content-Digest`.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The codes of distribution-spec, Error Codes, and `UNKNOWN` for what is the server's own fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    Unauthorized,
    Unsupported,
    TooManyRequests,
    Unknown,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// A request that is not done, as a status, a code and a message.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    code: Code,
    message: String,
    headers: Vec<(HeaderName, String)>,
    /// What happened inside, for the observer; never sent.
    pub(super) cause: Option<String>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), headers: Vec::new(), cause: None }
    }

    pub(super) fn bad(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn missing(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, message)
    }

    /// A failure inside: the client hears nothing of paths or causes, the observer does.
    pub(super) fn inside(cause: impl Display) -> Self {
        let mut failure =
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown, "the registry could not do it");
        failure.cause = Some(cause.to_string());
        failure
    }

    pub(super) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A store's error, where `missing` is the code for what is not there.
    pub(super) fn from_store(error: &Error, missing: Code) -> Self {
        match error {
            Error::DigestMismatch { .. } | Error::UnsupportedAlgorithm { .. } => {
                Self::bad(Code::DigestInvalid, error.to_string())
            }
            Error::SizeMismatch { .. } => Self::bad(Code::SizeInvalid, error.to_string()),
            Error::Document { .. } => Self::bad(Code::ManifestInvalid, error.to_string()),
            Error::Invalid { .. } => Self::bad(
                if missing == Code::BlobUnknown { Code::DigestInvalid } else { Code::ManifestInvalid },
                error.to_string(),
            ),
            Error::Limit { .. } => Self::too_large(error.to_string()),
            Error::Unsupported { .. } => {
                Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, error.to_string())
            }
            _ if error.is_not_found() => Self::missing(missing, "not found"),
            _ => {
                let mut failure = Self::inside(chain(error));
                if error.is_retryable() {
                    failure.status = StatusCode::SERVICE_UNAVAILABLE;
                }
                failure
            }
        }
    }

    pub(super) fn into_reply(self) -> Reply {
        let body = json!({"errors": [{"code": self.code.as_str(), "message": self.message, "detail": null}]});
        let mut reply = json(self.status, "application/json", &body);
        for (name, value) in self.headers {
            add(&mut reply, name, value);
        }
        reply
    }
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Runs a store's blocking work beside the connections.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // A store that panics fails this request alone.
        Err(error) => Err(Failure::inside(error)),
    }
}
