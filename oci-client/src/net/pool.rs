use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;
use tokio::time::timeout;

use super::{Egress, RequestBody};
use crate::protocol::url::Origin;

/// Idle connections by where they lead to, and by who named that place.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<Key, Vec<Idle>>>,
}

type Key = (Origin, Egress);

struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

const MAX_PER_KEY: usize = 16;
const MAX_KEYS: usize = 64;
/// Shorter than servers keep connections.
const MAX_AGE: Duration = Duration::from_secs(20);

impl Pool {
    /// A connection that was idle for less than `max_age` and still looks alive.
    pub(super) async fn take(
        &self,
        key: &Key,
        max_age: Option<Duration>,
    ) -> Option<SendRequest<RequestBody>> {
        loop {
            let mut idle = self.lock().get_mut(key)?.pop()?;
            if idle.since.elapsed() > max_age.unwrap_or(MAX_AGE) || idle.sender.is_closed() {
                continue;
            }
            // It was given back when its answer ended; its task may need a moment to notice.
            if let Ok(Ok(())) = timeout(Duration::from_millis(250), idle.sender.ready()).await {
                return Some(idle.sender);
            }
        }
    }

    fn put(&self, key: Key, sender: SendRequest<RequestBody>) {
        if sender.is_closed() {
            return;
        }
        let mut pool = self.lock();
        if pool.len() >= MAX_KEYS && !pool.contains_key(&key) {
            pool.clear();
        }
        let idle = pool.entry(key).or_default();
        idle.retain(|i| !i.sender.is_closed() && i.since.elapsed() < MAX_AGE);
        if idle.len() < MAX_PER_KEY {
            idle.push(Idle { sender, since: Instant::now() });
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use.
pub(super) struct Lease {
    pub(super) pool: Arc<Pool>,
    pub(super) key: Key,
    pub(super) sender: SendRequest<RequestBody>,
}

impl Lease {
    /// The answer has been read: the connection may serve another request.
    pub(super) fn give_back(self) {
        self.pool.put(self.key, self.sender);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idle").field("since", &self.since).finish_non_exhaustive()
    }
}
