use std::io;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};

use super::access::Authorization;
use super::{Budget, Session};
use crate::net::{Egress, RequestBody, ResponseBody, SendError};
use crate::protocol::clean::clean;
use crate::protocol::url::Url;
use crate::protocol::{date, error_body};
use crate::{Error, Result};

/// A request as an operation wants it: without credentials, and followed through redirects when it is a GET or HEAD.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) payload: Payload,
    pub(crate) scopes: Vec<String>,
}

/// What a request carries.
#[derive(Debug)]
pub(crate) enum Payload {
    None,
    Bytes(Bytes),
    /// Sent once: an answer that asks for another attempt is given to the caller.
    Once(Option<RequestBody>),
}

/// The head of an answer, with its body still to be read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ResponseBody,
}

/// Why an attempt failed, and when the server wants to be asked again.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) retry_after: Option<Duration>,
}

const MAX_REDIRECTS: usize = 10;

/// Why a 401 is one when nothing more is known about it.
pub(crate) const NOT_LET_IN: &str = "not authorized";

impl Session {
    /// Sends a request, with credentials where they are asked for, through redirects, and again when it is worth it.
    ///
    /// Gives every answer but those that a further attempt may better.
    pub(crate) async fn send(&self, mut call: Call, budget: &mut Budget) -> Result<Answer> {
        loop {
            self.pass_gate().await;
            let (failure, answer) = match self.attempt(&mut call).await {
                Ok(answer) if !is_temporary(answer.status) => return Ok(answer),
                Ok(answer) => {
                    let retry_after = answer.retry_after();
                    (None, Some((answer, retry_after)))
                }
                Err(failure) => (Some(failure), None),
            };
            let once = matches!(call.payload, Payload::Once(_));
            let retry_after = match (&failure, &answer) {
                (Some(failure), _) if once || !failure.error.is_retryable() => None,
                (Some(failure), _) => Some(failure.retry_after),
                (None, Some((_, retry_after))) if !once => Some(*retry_after),
                _ => None,
            };
            let wait = retry_after.and_then(|retry_after| budget.next(retry_after));
            match (wait, failure, answer) {
                (Some(wait), ..) => self.hold(wait, retry_after.flatten().is_some()).await,
                (None, Some(failure), _) => return Err(failure.error),
                (None, None, Some((answer, _))) => return Ok(answer),
                (None, None, None) => {}
            }
        }
    }

    /// Waits; when the server asked for it, everybody who talks to this registry does.
    pub(crate) async fn hold(&self, wait: Duration, everybody: bool) {
        if everybody {
            let until = Instant::now() + wait;
            let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            *gate = Some(gate.map_or(until, |other| other.max(until)));
        }
        tokio::time::sleep(wait).await;
    }

    async fn pass_gate(&self) {
        let until = *self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            tokio::time::sleep_until(until.into()).await;
        }
    }

    async fn attempt(&self, call: &mut Call) -> Result<Answer, Failure> {
        let mut url = call.url.clone();
        let mut renewed = false;
        let mut hops = 0;
        let mut answered = None;
        loop {
            // Credentials belong to the registry's own origin and are not carried anywhere else.
            let own = url.origin() == self.origin;
            let authorization = match answered.take() {
                Some(authorization) => Some(authorization),
                None if own => self.authorization(&call.scopes).await?,
                None => None,
            };
            let payload = match &mut call.payload {
                Payload::Once(body) => body.take(),
                _ => None,
            };
            let (mut answer, _) = self.once(call, &url, authorization.as_ref(), payload).await?;
            let status = answer.status;
            if status == StatusCode::UNAUTHORIZED && own {
                if renewed {
                    return Err(self.not_accepted(call, &mut answer).await.into());
                }
                renewed = true;
                let authorization = self.answer(call, &mut answer, authorization.as_ref()).await?;
                if matches!(call.payload, Payload::Once(_)) {
                    // The body is gone. The caller begins again, with what has been learned here.
                    return Ok(answer);
                }
                answered = Some(authorization);
                continue;
            }
            let follows = matches!(call.method, Method::GET | Method::HEAD) && is_redirect(status);
            if !follows {
                return Ok(answer);
            }
            hops += 1;
            if hops > MAX_REDIRECTS {
                return Err(call.protocol(format!("more than {MAX_REDIRECTS} redirects")).into());
            }
            url = redirect(call, &answer)?;
        }
    }

    /// One request and its answer, whatever it is.
    pub(super) async fn once(
        &self,
        call: &Call,
        url: &Url,
        authorization: Option<&Authorization>,
        mut payload: Option<RequestBody>,
    ) -> Result<(Answer, ()), Failure> {
        let origin = url.origin();
        let egress = match origin.host == self.origin.host {
            true => Egress::Named,
            false => Egress::Told { registry: self.origin.clone() },
        };
        let head = self.head(call, url, authorization)?;
        let make = || {
            let body = match &call.payload {
                Payload::None => RequestBody::Empty,
                Payload::Bytes(bytes) => RequestBody::Whole(bytes.clone()),
                Payload::Once(_) => payload.take()?,
            };
            let mut request = Request::new(body);
            *request.method_mut() = call.method.clone();
            *request.uri_mut() = head.0.clone();
            *request.headers_mut() = head.1.clone();
            Some(request)
        };
        match self.shared.connector.send(&origin, &egress, make).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                Ok((Answer { url: url.clone(), status: head.status, headers: head.headers, body }, ()))
            }
            Err(SendError::Connect(error)) => Err(error.into()),
            Err(SendError::Broken(step, source)) => {
                Err(Error::Transfer { method: call.name(), url: url.to_string(), step, source }.into())
            }
        }
    }

    fn head(
        &self,
        call: &Call,
        url: &Url,
        authorization: Option<&Authorization>,
    ) -> Result<(Uri, HeaderMap)> {
        let target = Uri::try_from(url.target())
            .map_err(|_| call.protocol(format!("{:?} cannot be asked for", clean(url.path(), 100))))?;
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(HOST, value("host", &url.authority().to_string())?);
        headers.insert(USER_AGENT, value("user agent", &self.shared.options.user_agent)?);
        for (name, text) in &call.headers {
            headers.insert(name, value("header", text)?);
        }
        if let Some(Authorization(secret)) = authorization {
            let mut secret = HeaderValue::try_from(secret.as_str()).map_err(|_| Error::Config {
                what: "credentials",
                reason: "they have characters that no header can carry".to_owned(),
            })?;
            secret.set_sensitive(true);
            headers.insert(AUTHORIZATION, secret);
        }
        Ok((target, headers))
    }
}

impl Call {
    pub(crate) fn new(method: Method, url: Url, payload: Payload) -> Self {
        Self { method, url, headers: Vec::new(), payload, scopes: Vec::new() }
    }

    pub(crate) fn get(url: Url) -> Self {
        Self::new(Method::GET, url, Payload::None)
    }

    pub(crate) fn head(url: Url) -> Self {
        Self::new(Method::HEAD, url, Payload::None)
    }

    pub(crate) fn scope(mut self, scope: String) -> Self {
        self.scopes.push(scope);
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn name(&self) -> &'static str {
        name(&self.method)
    }

    pub(crate) fn protocol(&self, reason: impl Into<String>) -> Error {
        Error::Protocol { method: self.name(), url: self.url.to_string(), reason: reason.into() }
    }
}

impl Answer {
    /// A header's text. One that is no text counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn texts<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        date::retry_after(self.text("retry-after")?, SystemTime::now())
    }

    /// The registry's own words; reads at most 8 KiB of the body.
    pub(crate) async fn message(&mut self) -> String {
        match self.body.read(error_body::MAX_BYTES).await {
            Ok((body, _)) => error_body::message(self.text("content-type"), &body),
            Err(_) => String::new(),
        }
    }

    /// The error that this answer is.
    pub(crate) async fn refusal(&mut self, call: &Call) -> Error {
        let message = self.message().await;
        let (method, url, status) = (call.name(), self.url.to_string(), self.status.as_u16());
        match status {
            401 => Error::Unauthorized { method, url, status, reason: NOT_LET_IN, message },
            404 => Error::NotFound { what: url, message },
            _ => Error::Status { method, url, status, message },
        }
    }

    /// Reads up to `max` bytes of the body, and whether there are more.
    pub(crate) async fn read(&mut self, max: usize, call: &Call) -> Result<(Vec<u8>, bool)> {
        self.body.read(max).await.map_err(|source| self.broken(call, source))
    }

    pub(crate) fn broken(&self, call: &Call, source: io::Error) -> Error {
        Error::Transfer { method: call.name(), url: self.url.to_string(), step: "reading the body", source }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, retry_after: None }
    }
}

/// Whether another attempt may bring another answer.
pub(crate) fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn redirect(call: &Call, answer: &Answer) -> Result<Url> {
    let location = answer.text("location").ok_or_else(|| call.protocol("a redirect without a location"))?;
    let url = answer.url.join(location).map_err(|reason| {
        call.protocol(format!("redirected to {:?}, {reason}", clean(without_secrets(location), 100)))
    })?;
    if answer.url.is_https() && !url.is_https() {
        return Err(Error::Refused { url: url.to_string(), reason: "a redirect from https to http" });
    }
    Ok(url)
}

/// What can be printed of a URL that could not be read: neither its query nor a user in it.
fn without_secrets(url: &str) -> &str {
    let url = url.split_once('?').map_or(url, |(before, _)| before);
    url.rsplit_once('@').map_or(url, |(_, behind)| behind)
}

fn value(what: &'static str, text: &str) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|_| Error::Invalid {
        what,
        value: clean(text, 100),
        reason: "it has characters that no header can carry".to_owned(),
    })
}

fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "request",
    }
}
