use std::future::Future;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle};

use crate::wait::wait;
use crate::{Error, Result};

/// The threads that connections live on. Clones share them; they end with the last.
#[derive(Debug, Clone)]
pub(super) struct Runtime(Arc<Owned>);

#[derive(Debug)]
struct Owned {
    runtime: Option<tokio::runtime::Runtime>,
    handle: Handle,
}

impl Runtime {
    pub(super) fn new() -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(4)
            .thread_name("oci-client")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|e| Error::Config { what: "threads", reason: e.to_string() })?;
        let handle = runtime.handle().clone();
        Ok(Self(Arc::new(Owned { runtime: Some(runtime), handle })))
    }

    /// Runs a future on this thread, with its connections on the runtime's.
    pub(super) fn run<F: Future>(&self, future: F) -> F::Output {
        let _context = self.0.handle.enter();
        wait(future)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping a runtime waits for its threads, which is a panic on a thread of another runtime.
            runtime.shutdown_background();
        }
    }
}
