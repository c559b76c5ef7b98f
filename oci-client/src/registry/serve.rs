//! Connections: accepted, spoken to in HTTP/1.1, and closed so that the last answer arrives.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::auth::Grant;
use super::body::Body;
use super::call::{Call, RequestBody};
use super::log::{Record, without_secrets};
use super::names::Query;
use super::response::Reply;
use super::router;
use super::shared::Shared;

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Accepts connections until it is dropped, which ends them all.
pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let room = Arc::new(Semaphore::new(shared.options.connections));
    let local = listener.local_addr().map_or_else(|_| "localhost".to_owned(), |addr| addr.to_string());
    let local: Arc<str> = local.into();
    // Dropped with this future, and its tasks with it.
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, remote)) => {
                let (shared, local) = (Arc::clone(&shared), Arc::clone(&local));
                connections.spawn(async move {
                    connection(shared, stream, remote, local).await;
                    drop(permit);
                });
            }
            // Out of descriptors, or a client that was gone before it was met: others must still be served, and
            // not by spinning.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, remote: SocketAddr, local: Arc<str>) {
    // Without it small answers wait for acknowledgements; a socket that refuses works all the same.
    drop(stream.set_nodelay(true));
    let idle = shared.options.idle;
    let service = service_fn(move |request| {
        let (shared, local) = (Arc::clone(&shared), Arc::clone(&local));
        Box::pin(async move { Ok::<_, Infallible>(respond(shared, request, remote, &local).await) })
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(parts) = connection.without_shutdown().await {
        linger(parts.io.into_inner()).await;
    }
}

/// A socket that is closed while the client is still sending resets the connection, and the client may lose the
/// answer that told it to stop. So what comes is read for a while.
async fn linger(mut stream: TcpStream) {
    const PATIENCE: Duration = Duration::from_secs(2);
    if stream.shutdown().await.is_err() {
        return;
    }
    let drain = async {
        let mut buffer = vec![0; 16 * 1024];
        while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
    };
    // Either way the connection ends now.
    drop(tokio::time::timeout(PATIENCE, drain).await);
}

/// The one place through which every request and every answer passes.
async fn respond(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    remote: SocketAddr,
    local: &str,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let received = Arc::new(AtomicU64::new(0));
    let body = RequestBody::new(body, shared.options.idle, Arc::clone(&received));
    let mut failure = None;
    let answer = match Query::parse(head.uri.query()) {
        Err(failure) => Err(failure),
        Ok(query) => {
            let mut call = Call {
                shared: Arc::clone(&shared),
                method: head.method.clone(),
                query,
                headers: head.headers.clone(),
                body,
                grant: Grant::Scopes(Vec::new()),
            };
            router::route(&mut call, head.uri.path(), local).await
        }
    };
    let mut reply: Reply = answer.unwrap_or_else(|failed| {
        failure.clone_from(&failed.cause);
        failed.into_reply()
    });
    reply.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    if let Some(observer) = &shared.observer {
        observer(&Record {
            remote: Some(remote),
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            headers: without_secrets(&head.headers),
            request_bytes: received.load(Ordering::Relaxed),
            status: reply.status(),
            response_bytes: reply.body().len(),
            failure,
        });
    }
    reply
}
