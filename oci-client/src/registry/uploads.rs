//! Uploads of blobs: distribution-spec, Pushing blobs, and Cross-repository mount.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header::{HeaderName, LOCATION, RANGE};
use http::{Method, StatusCode};
use oci_digest::content::{Source, Store};
use oci_digest::{Descriptor, Digest, MediaType};
use tokio::sync::OwnedMutexGuard;

use super::auth::Action;
use super::call::{Call, RequestBody};
use super::names;
use super::random;
use super::response::{Answer, CONTENT_DIGEST, Code, Failure, Reply, blocking, empty, set};
use super::shared::{Options, Shared};
use super::spool::Spool;
use crate::protocol::range::number;

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// How long an upload is kept that nobody goes on with.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The open uploads of a registry.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<HashMap<String, Arc<Session>>>);

/// One open upload.
#[derive(Debug)]
struct Session {
    id: String,
    repository: String,
    /// The bytes received, readable while another request is writing.
    offset: AtomicU64,
    touched: Mutex<Instant>,
    spool: Arc<tokio::sync::Mutex<Spool>>,
}

/// `POST /v2/<name>/blobs/uploads/`
pub(super) async fn start(call: &mut Call, name: &str) -> Answer {
    if let Some(digest) = call.query.first("mount") {
        let digest = names::digest(digest)?;
        if let Some(reply) = mount(call, name, digest).await? {
            return Ok(reply);
        }
    } else if let Some(digest) = call.query.first("digest") {
        let digest = names::digest(digest)?;
        let session = Arc::new(Session::new(String::new(), name, &call.shared.options));
        let spool = session.lock().await?;
        let spool = receive(&mut call.body, &session, spool, &call.shared.options).await?;
        commit(&call.shared, name, &digest, spool).await?;
        return Ok(created(name, &digest));
    }
    let session = call.shared.uploads.open(name, &call.shared.options)?;
    let mut reply = session.describe(StatusCode::ACCEPTED);
    if let Some(bytes) = call.shared.options.chunk_min {
        set(&mut reply, CHUNK_MIN_LENGTH, bytes);
    }
    Ok(reply)
}

/// `GET`, `PATCH`, `PUT` and `DELETE /v2/<name>/blobs/uploads/<id>`
pub(super) async fn go_on(call: &mut Call, name: &str, id: &str) -> Answer {
    let shared = Arc::clone(&call.shared);
    let session = shared.uploads.find(name, id)?;
    match call.method {
        Method::PATCH => {
            let spool = session.lock().await?;
            shared.uploads.find(name, id)?;
            drop(append(call, &session, spool).await?);
            Ok(session.describe(StatusCode::ACCEPTED))
        }
        Method::PUT => {
            let Some(digest) = call.query.first("digest") else {
                return Err(Failure::bad(Code::DigestInvalid, "the digest parameter is missing"));
            };
            let digest = names::digest(digest)?;
            let spool = session.lock().await?;
            // Another request may have ended the upload while this one waited.
            shared.uploads.find(name, id)?;
            let spool = append(call, &session, spool).await?;
            let result = commit(&shared, name, &digest, spool).await;
            if result.as_ref().map_or_else(|failure| failure.status == StatusCode::BAD_REQUEST, |()| true) {
                // Bytes that are not those of the digest will not become so.
                shared.uploads.close(id);
            }
            result.map(|()| created(name, &digest))
        }
        Method::DELETE => {
            shared.uploads.close(id);
            Ok(empty(StatusCode::NO_CONTENT))
        }
        _ => Ok(session.describe(StatusCode::NO_CONTENT)),
    }
}

/// Takes the body of a PATCH or PUT into the session.
async fn append(
    call: &mut Call,
    session: &Arc<Session>,
    spool: OwnedMutexGuard<Spool>,
) -> Result<OwnedMutexGuard<Spool>, Failure> {
    let start = spool.len();
    let range =
        match call.headers.get("content-range") {
            None => None,
            Some(value) => Some(value.to_str().ok().and_then(content_range).ok_or_else(|| {
                Failure::bad(Code::BlobUploadInvalid, "the Content-Range is not START-END")
            })?),
        };
    // distribution-spec, Pushing a blob in chunks: chunks MUST be uploaded in order; the answer to another one
    // MUST be 416.
    if range.is_some_and(|(first, _)| first != start) {
        return Err(Failure::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            Code::BlobUploadInvalid,
            format!("the upload goes on at byte {start}"),
        )
        .header(LOCATION, session.location())
        .header(RANGE, session.range())
        .header(UPLOAD_UUID, session.id.clone()));
    }
    let mut spool = receive(&mut call.body, session, spool, &call.shared.options).await?;
    let received = spool.len() - start;
    if let Some((first, last)) = range
        && received != last - first + 1
    {
        spool.truncate(start);
        session.offset.store(start, Ordering::Release);
        return Err(Failure::bad(
            Code::SizeInvalid,
            format!("the Content-Range says {} bytes, {received} came", last - first + 1),
        ));
    }
    Ok(spool)
}

/// Spools a body. What came before it broke off is kept, so that the client can go on there.
async fn receive(
    body: &mut RequestBody,
    session: &Arc<Session>,
    mut spool: OwnedMutexGuard<Spool>,
    options: &Options,
) -> Result<OwnedMutexGuard<Spool>, Failure> {
    let limit = options.blob_limit;
    let too_large = || Failure::too_large(format!("the blob is larger than {limit} bytes"));
    if body.declared().is_some_and(|more| spool.len().saturating_add(more) > limit) {
        return Err(too_large());
    }
    while let Some(bytes) = body.next().await? {
        if spool.len().saturating_add(bytes.len() as u64) > limit {
            return Err(too_large());
        }
        let session = Arc::clone(session);
        let append = move |mut spool: OwnedMutexGuard<Spool>| {
            spool.append(&bytes).map_err(|e| Failure::inside(format!("spooling an upload: {e}")))?;
            session.advance(spool.len());
            Ok(spool)
        };
        let in_memory = spool.fits_memory(0) && spool.len() + (64 << 10) < options.spool_memory as u64;
        // Were the connection to end here, the write would still be finished and counted.
        spool = if in_memory { append(spool)? } else { blocking(move || append(spool)).await? };
    }
    Ok(spool)
}

/// Gives a received blob to its store, which verifies it.
async fn commit(
    shared: &Shared,
    name: &str,
    digest: &Digest,
    spool: OwnedMutexGuard<Spool>,
) -> Result<(), Failure> {
    let descriptor = blob(digest, spool.len());
    shared
        .with_new_store(name, move |store| {
            store.ingest(&descriptor, &*spool).map_err(|e| Failure::from_store(&e, Code::BlobUnknown))
        })
        .await
}

/// Takes a blob over from another repository. `None`: it cannot be, and the client must send it.
async fn mount(call: &Call, name: &str, digest: Digest) -> Result<Option<Reply>, Failure> {
    let Some(from) = call.query.first("from") else { return Ok(None) };
    if !names::is_name(from) || !call.grant.allows(from, Action::Pull) {
        return Ok(None);
    }
    let from = match call.shared.with_store(from, Ok).await {
        Ok(store) => store,
        Err(failure) if failure.status == StatusCode::NOT_FOUND => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let wanted = digest.clone();
    let mounted = call.shared.with_new_store(name, move |to| mount_between(&*from, &*to, &wanted)).await?;
    Ok(mounted.then(|| created(name, &digest)))
}

fn mount_between(from: &dyn Store, to: &dyn Store, digest: &Digest) -> Result<bool, Failure> {
    let failed = |e: &_| Failure::from_store(e, Code::BlobUnknown);
    let source = match Source::resolve(from, digest.as_ref()) {
        Ok(descriptor) => descriptor,
        Err(error) if error.is_not_found() => return Ok(false),
        Err(error) => return Err(failed(&error)),
    };
    let target = blob(digest, source.size());
    if to.has(&target).map_err(|e| failed(&e))? {
        return Ok(true);
    }
    let adopted = match from.location(&source) {
        Some(location) => to.adopt(&target, &location).map_err(|e| failed(&e))?,
        None => false,
    };
    if !adopted {
        to.ingest(&target, &(from, &source)).map_err(|e| failed(&e))?;
    }
    Ok(true)
}

impl Uploads {
    fn open(&self, repository: &str, options: &Options) -> Result<Arc<Session>, Failure> {
        let id = random::hex().map_err(Failure::inside)?;
        let session = Arc::new(Session::new(id.clone(), repository, options));
        let mut sessions = self.locked();
        if sessions.len() >= options.uploads {
            sessions.retain(|_, session| !session.is_abandoned());
        }
        if sessions.len() >= options.uploads {
            let message = "too many uploads are open";
            return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, message));
        }
        sessions.insert(id, Arc::clone(&session));
        Ok(session)
    }

    fn find(&self, repository: &str, id: &str) -> Result<Arc<Session>, Failure> {
        match self.locked().get(id) {
            Some(session) if session.repository == repository => Ok(Arc::clone(session)),
            _ => Err(Failure::missing(Code::BlobUploadUnknown, "there is no such upload")),
        }
    }

    fn close(&self, id: &str) {
        self.locked().remove(id);
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn new(id: String, repository: &str, options: &Options) -> Self {
        let spool = Spool::new(options.spool_folder.clone(), options.spool_memory);
        Self {
            id,
            repository: repository.to_owned(),
            offset: AtomicU64::new(0),
            touched: Mutex::new(Instant::now()),
            spool: Arc::new(tokio::sync::Mutex::new(spool)),
        }
    }

    /// Waits for the request before this one: after a break the client can be back before its old connection is
    /// known to be gone.
    async fn lock(&self) -> Result<OwnedMutexGuard<Spool>, Failure> {
        const PATIENCE: Duration = Duration::from_secs(10);
        let lock = Arc::clone(&self.spool).lock_owned();
        tokio::time::timeout(PATIENCE, lock).await.map_err(|_| {
            let message = "another request is writing to this upload";
            Failure::new(StatusCode::CONFLICT, Code::BlobUploadInvalid, message)
        })
    }

    fn advance(&self, offset: u64) {
        self.offset.store(offset, Ordering::Release);
        *self.touched.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_abandoned(&self) -> bool {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > ABANDONED
    }

    fn location(&self) -> String {
        format!("/v2/{}/blobs/uploads/{}", self.repository, self.id)
    }

    /// `0-<last byte>`. What holds nothing says `0-0` as common registries do, which a client cannot tell from
    /// one byte.
    fn range(&self) -> String {
        format!("0-{}", self.offset.load(Ordering::Acquire).saturating_sub(1))
    }

    fn describe(&self, status: StatusCode) -> Reply {
        let mut reply = empty(status);
        set(&mut reply, LOCATION, self.location());
        set(&mut reply, RANGE, self.range());
        set(&mut reply, UPLOAD_UUID, &self.id);
        reply
    }
}

fn created(name: &str, digest: &Digest) -> Reply {
    let mut reply = empty(StatusCode::CREATED);
    set(&mut reply, LOCATION, format!("/v2/{name}/blobs/{digest}"));
    set(&mut reply, CONTENT_DIGEST, digest);
    reply
}

fn blob(digest: &Digest, size: u64) -> Descriptor {
    Descriptor::new(MediaType::Other("application/octet-stream".into()), size, digest.clone())
}

/// `<start>-<end>`, both included; some clients put `bytes ` before and `/*` behind.
fn content_range(text: &str) -> Option<(u64, u64)> {
    let text = text.trim().strip_prefix("bytes ").unwrap_or(text.trim());
    let text = text.split_once('/').map_or(text, |(range, _)| range);
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last && last < u64::MAX).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::content_range;

    #[test]
    fn ranges_of_chunks() {
        for (text, range) in [
            ("0-0", Some((0, 0))),
            ("5-9", Some((5, 9))),
            ("bytes 5-9/*", Some((5, 9))),
            ("5-4", None),
            ("", None),
            ("-", None),
            ("5-", None),
            ("+5-9", None),
            ("a-b", None),
            ("0-18446744073709551615", None),
            ("0-18446744073709551616", None),
        ] {
            assert_eq!(content_range(text), range, "{text:?}");
        }
    }
}
