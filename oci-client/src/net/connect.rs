use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::pool::Lease;
use super::{Egress, Pool, Progress, RequestBody, ResponseBody, egress, tls};
use crate::options::ClientOptions;
use crate::protocol::url::Origin;
use crate::{Error, Result};

/// Makes connections, keeps them, and sends requests on them.
pub(crate) struct Connector {
    tls: Option<TlsConnector>,
    pool: Arc<Pool>,
    idle: Duration,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No connection was made.
    Connect(Error),
    /// The exchange broke off.
    Broken(&'static str, io::Error),
}

impl Connector {
    pub(crate) fn new(options: &ClientOptions) -> Result<Self> {
        let tls = tls::config(options)?.map(TlsConnector::from);
        Ok(Self { tls, pool: Arc::default(), idle: options.idle_timeout })
    }

    /// Sends one request and waits for the head of its answer. `make` is called again when a kept connection turned
    /// out to be stale; it gives `None` when the body cannot be had a second time.
    pub(crate) async fn send(
        &self,
        origin: &Origin,
        egress: &Egress,
        mut make: impl FnMut() -> Option<Request<RequestBody>>,
    ) -> Result<Response<ResponseBody>, SendError> {
        let gone = || SendError::Broken("sending", io::ErrorKind::BrokenPipe.into());
        let mut request = make().ok_or_else(gone)?;
        let key = (origin.clone(), egress.clone());
        // A body that can be had only once is not risked on a connection that may be stale.
        let max_age = matches!(request.body(), RequestBody::Stream { .. }).then_some(Duration::from_secs(1));
        while let Some(sender) = self.pool.take(&key, max_age).await {
            let lease = Lease { pool: self.pool.clone(), key: key.clone(), sender };
            match self.exchange(lease, request).await {
                Ok(answer) => return Ok(answer),
                // A server may close an idle connection at any time (RFC 9112 section 9.3.1).
                Err((SendError::Broken(step, error), unsent)) if error.kind() != io::ErrorKind::TimedOut => {
                    match unsent.or_else(&mut make) {
                        Some(again) => request = again,
                        None => return Err(SendError::Broken(step, error)),
                    }
                }
                Err((error, _)) => return Err(error),
            }
        }
        let (sender, ended) = self.connect(origin, egress).await.map_err(SendError::Connect)?;
        let lease = Lease { pool: self.pool.clone(), key, sender };
        match self.exchange(lease, request).await {
            Ok(answer) => Ok(answer),
            Err((SendError::Broken(step, source), _)) => Err(self.why(origin, step, source, ended).await),
            Err((error, _)) => Err(error),
        }
    }

    /// The reason why a new connection broke. With TLS 1.3 a server refuses a client's certificate only after the
    /// handshake, so that a refusal may look like a connection that is simply gone.
    async fn why(&self, origin: &Origin, step: &'static str, source: io::Error, ended: Ended) -> SendError {
        let source = match ended.now_or_soon().await {
            Some(reason) if source.kind() != io::ErrorKind::TimedOut => reason,
            _ => source,
        };
        if is_tls(&source) {
            let source = io::Error::new(io::ErrorKind::InvalidData, source);
            return SendError::Connect(Error::Connect { host: origin.to_string(), step: "TLS", source });
        }
        SendError::Broken(step, source)
    }

    async fn exchange(
        &self,
        mut lease: Lease,
        request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, (SendError, Option<Request<RequestBody>>)> {
        let progress = match request.body() {
            RequestBody::Stream { progress, .. } => progress.clone(),
            _ => Progress::default(),
        };
        let mut answer = std::pin::pin!(lease.sender.try_send_request(request));
        let mut sent = progress.count();
        let answer = loop {
            match timeout(self.idle, &mut answer).await {
                Ok(answer) => break answer,
                Err(_) if progress.count() > sent => sent = progress.count(),
                Err(_) => {
                    let error = io::Error::new(io::ErrorKind::TimedOut, "no answer within the idle timeout");
                    return Err((SendError::Broken("waiting for the answer", error), None));
                }
            }
        };
        match answer {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                Ok(Response::from_parts(head, ResponseBody::new(body, lease, self.idle)))
            }
            Err(mut error) => {
                let unsent = error.take_message();
                let error = into_io(error.into_error());
                Err((SendError::Broken("waiting for the answer", error), unsent))
            }
        }
    }

    async fn connect(&self, origin: &Origin, egress: &Egress) -> Result<(SendRequest<RequestBody>, Ended)> {
        let failed = |step| move |source| Error::Connect { host: origin.to_string(), step, source };
        let stream = self.reach(origin, egress).await?;
        stream.set_nodelay(true).map_err(failed("connection"))?;
        if !origin.https {
            return self.speak(stream).await.map_err(failed("connection"));
        }
        let Some(tls) = &self.tls else {
            let reason = "TLS is not compiled in (feature ring or aws-lc-rs)".to_owned();
            return Err(Error::Config { what: "https", reason });
        };
        let name = ServerName::try_from(origin.host.clone())
            .map_err(|e| failed("TLS handshake")(io::Error::new(io::ErrorKind::InvalidData, e)))?;
        let stream = self.bounded(tls.connect(name, stream)).await.map_err(failed("TLS handshake"))?;
        self.speak(stream).await.map_err(failed("connection"))
    }

    /// A stream to the first address that answers.
    async fn reach(&self, origin: &Origin, egress: &Egress) -> Result<TcpStream> {
        let failed = |step| move |source| Error::Connect { host: origin.to_string(), step, source };
        let addresses = self.resolve(origin).await.map_err(failed("name resolution"))?;
        let near = match egress {
            Egress::Named => true,
            Egress::Told { registry } if registry.host == origin.host => true,
            Egress::Told { registry } => {
                let registry = self.resolve(registry).await.map_err(failed("name resolution"))?;
                registry.iter().any(egress::is_near)
            }
        };
        let addresses = egress.allowed(addresses, near);
        let mut last = None;
        for address in &addresses {
            match self.bounded(TcpStream::connect(address)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(source) => Err(failed("connection")(source)),
            None => Err(Error::Refused {
                url: format!("{}://{origin}", if origin.https { "https" } else { "http" }),
                reason: "a server may not lead to this address",
            }),
        }
    }

    async fn resolve(&self, origin: &Origin) -> io::Result<Vec<SocketAddr>> {
        let found = self.bounded(lookup_host((origin.host.as_str(), origin.port))).await?;
        // More addresses than this do not make the host easier to reach.
        let found: Vec<_> = found.take(8).collect();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(found)
    }

    async fn speak<S>(&self, stream: S) -> io::Result<(SendRequest<RequestBody>, Ended)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(stream)).await.map_err(into_io)?;
        let (tell, ended) = oneshot::channel();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                // Mostly nobody asks: whoever waits for an answer is told by hyper.
                let _ = tell.send(into_io(error));
            }
        });
        Ok((sender, Ended(ended)))
    }

    /// A connection that is not made soon is not made at all.
    async fn bounded<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let limit = self.idle.min(Duration::from_secs(6));
        match timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
        }
    }
}

/// Tells how a connection ended, if it ended with an error.
struct Ended(oneshot::Receiver<io::Error>);

impl Ended {
    async fn now_or_soon(self) -> Option<io::Error> {
        timeout(Duration::from_millis(250), self.0).await.ok()?.ok()
    }
}

fn is_tls(error: &io::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error.is::<rustls::Error>() {
            return true;
        }
        // An io::Error shows its inner error's source, not the inner error.
        source = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

/// Bounds the head of an answer and what one read brings.
const MAX_BUFFER: usize = 256 * 1024;

fn into_io(error: hyper::Error) -> io::Error {
    let kind = if error.is_parse() {
        io::ErrorKind::InvalidData
    } else if error.is_incomplete_message() {
        io::ErrorKind::UnexpectedEof
    } else {
        io::ErrorKind::ConnectionReset
    };
    io::Error::new(kind, error)
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("pool", &self.pool)
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}
