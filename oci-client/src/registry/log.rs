//! What was asked and what was answered, for programs that check requests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{AUTHORIZATION, COOKIE, HeaderValue, PROXY_AUTHORIZATION};
use http::{HeaderMap, Method, StatusCode};

/// One request and its answer. Given to the observer before the head of the answer is sent, so that a client that
/// has its answer finds its record.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Record {
    /// Where the connection came from.
    pub remote: Option<SocketAddr>,
    /// The method.
    pub method: Method,
    /// The path as it was sent.
    pub path: String,
    /// The query as it was sent, without `?`.
    pub query: Option<String>,
    /// The request's headers. Of `Authorization`, `Proxy-Authorization` and `Cookie` only the first word is kept.
    pub headers: HeaderMap,
    /// The bytes of the request's body that were read.
    pub request_bytes: u64,
    /// The status of the answer.
    pub status: StatusCode,
    /// The bytes of the answer's body.
    pub response_bytes: u64,
    /// What failed inside the registry or its store, when something did; the client was not told.
    pub failure: Option<String>,
}

impl Record {
    /// Method, path and query on one line, for example `GET /v2/a/tags/list?n=1`.
    pub fn line(&self) -> String {
        match &self.query {
            Some(query) => format!("{} {}?{query}", self.method, self.path),
            None => format!("{} {}", self.method, self.path),
        }
    }
}

/// An observer that keeps the records. Clones share them.
///
/// ```
/// use oci_client::registry::{Registry, RequestLog};
///
/// let log = RequestLog::new();
/// let server = Registry::builder().observer(log.observer()).start()?;
/// # use std::io::{Read, Write};
/// # let mut stream = std::net::TcpStream::connect(server.addr())?;
/// # stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: registry\r\nConnection: close\r\n\r\n")?;
/// # stream.read_to_string(&mut String::new())?;
/// // … a client asks for /v2/ …
/// assert_eq!(log.lines(), ["GET /v2/"]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct RequestLog(Arc<Mutex<Vec<Record>>>);

impl RequestLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// The observer to give to [`Builder::observer`](super::Builder::observer).
    pub fn observer(&self) -> impl Fn(&Record) + Send + Sync + 'static {
        let log = self.clone();
        move |record| log.records_mut().push(record.clone())
    }

    /// The records so far, oldest first.
    pub fn records(&self) -> Vec<Record> {
        self.records_mut().clone()
    }

    /// The records so far, which are then forgotten.
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut *self.records_mut())
    }

    /// [`Record::line`] of every record.
    pub fn lines(&self) -> Vec<String> {
        self.records_mut().iter().map(Record::line).collect()
    }

    fn records_mut(&self) -> std::sync::MutexGuard<'_, Vec<Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The headers without what must not be kept: of a credential only its scheme.
pub(super) fn without_secrets(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE] {
        if let Some(value) = headers.get(&name) {
            let scheme = value.to_str().unwrap_or_default().split_once(' ').map_or("", |(scheme, _)| scheme);
            let hidden = HeaderValue::try_from(format!("{scheme} (hidden)"));
            headers.insert(name, hidden.unwrap_or(HeaderValue::from_static("(hidden)")));
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_kept() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic c2VjcmV0"));
        headers.insert(COOKIE, HeaderValue::from_static("c2VjcmV0"));
        headers.insert("accept", HeaderValue::from_static("*/*"));
        let kept = without_secrets(&headers);
        assert_eq!(kept[AUTHORIZATION], "Basic (hidden)");
        assert_eq!(kept["accept"], "*/*");
        assert!(!format!("{kept:?}").contains("c2VjcmV0"));
    }
}
