//! A registry with a thread of its own.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::Registry;

/// Threads for the stores' blocking work, at most.
const STORE_THREADS: usize = 32;

/// A registry that runs on a thread of its own until this is dropped.
///
/// Dropping it, or [`shutdown`](Self::shutdown), ends every connection, waits for the store work that has begun,
/// and joins the thread.
pub struct Server {
    registry: Registry,
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(registry: Registry, addr: impl ToSocketAddrs) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(STORE_THREADS)
            .thread_name("oci-registry-store")
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let service = registry.clone();
        let thread = std::thread::Builder::new().name("oci-registry".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let serving = tokio::spawn(async move { service.serve(listener).await });
                // A sender that is gone says the same as one that sends.
                drop(stopped.await);
                serving.abort();
                drop(serving.await);
            });
        })?;
        Ok(Self { registry, addr, stop: Some(stop), thread: Some(thread) })
    }

    /// The address it listens on, with the port that the system chose.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Host and port as they stand in references: `127.0.0.1:41234`.
    pub fn host(&self) -> String {
        self.addr.to_string()
    }

    /// `http://` and [`host`](Self::host).
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The registry that is served, to look into its repositories.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Stops serving; when it returns nothing of the server runs any more.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server's thread has been reported by the panic hook; there is nothing to undo.
            drop(thread.join());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addr", &self.addr).finish_non_exhaustive()
    }
}
