//! Every blob, read whole: its digest, and what is inside a layer.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use oci_digest::media_type::{Compression, Kind, Layer};
use oci_digest::{Algorithm, CancelToken, Descriptor, Digest, Hasher};

use super::documents::{Promise, Walked, chain};
use super::report::Findings;
use super::{Finding, FsckEvent, FsckOptions, FsckReport, Level, Problem, Severity};
use crate::blobs::Listed;
use crate::decompress::{MAGIC, compression};
use crate::{ImageLayout, Result};

/// Bytes per read.
const BUFFER: usize = 256 << 10;

/// Reads all blobs, several at a time.
pub(super) fn check(
    layout: &ImageLayout,
    options: &FsckOptions,
    blobs: &[Listed],
    walked: &Walked,
    findings: &mut Findings<'_>,
    report: &mut FsckReport,
) -> Result<()> {
    // The largest first, so that none of them is begun when everything else is done.
    let mut order: Vec<&Listed> =
        blobs.iter().filter(|blob| !walked.damaged.contains(&blob.digest)).collect();
    order.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let bytes = order.iter().map(|blob| blob.size).fold(0, u64::saturating_add);
    options.tell(&FsckEvent::Planned { blobs: order.len() as u64, bytes });

    let next = AtomicUsize::new(0);
    let shared = Mutex::new((findings, report));
    let jobs = match options.jobs {
        0 => thread::available_parallelism().map_or(1, NonZero::get),
        jobs => jobs,
    };
    let work = || -> Result<()> {
        let mut buffer = vec![0; BUFFER];
        while let Some(blob) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            options.cancel.check()?;
            let named = walked.named.get(&blob.digest);
            let promises = walked.diff_ids.get(&blob.digest).map(Vec::as_slice).unwrap_or_default();
            let result = Blob { layout, options, blob, named, promises }.check(&mut buffer)?;
            // A panic in another thread cannot leave this half changed: it is lists and numbers.
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let (findings, report) = &mut *shared;
            result.findings.into_iter().for_each(|finding| findings.add(finding));
            report.blobs += 1;
            report.bytes = report.bytes.saturating_add(result.bytes);
            report.diff_ids += result.diff_ids;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (1..jobs.min(order.len())).map(|_| scope.spawn(work)).collect();
        let mut result = work();
        for worker in workers {
            match worker.join() {
                Ok(other) => result = result.and(other),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        result
    })
}

/// One blob to read.
struct Blob<'a> {
    layout: &'a ImageLayout,
    options: &'a FsckOptions,
    blob: &'a Listed,
    named: Option<&'a Descriptor>,
    promises: &'a [Promise],
}

#[derive(Default)]
struct Outcome {
    findings: Vec<Finding>,
    bytes: u64,
    diff_ids: u64,
}

impl Blob<'_> {
    fn check(&self, buffer: &mut [u8]) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let file = match self.layout.blob(&self.blob.digest) {
            Ok((file, _)) => file,
            // Somebody removed or replaced it since it was listed.
            Err(error) if error.is_not_found() => return Ok(outcome),
            Err(error) => {
                outcome.findings.push(self.finding(Problem::Unreadable, chain(&error)));
                return Ok(outcome);
            }
        };
        let algorithm = Algorithm::of(&self.blob.digest)?;
        let tee = Tee::new(file, algorithm, self.options.cancel.clone());
        if let Some(decoded) = self.decoded(tee.clone(), &mut outcome) {
            self.diff_id(decoded, buffer, &mut outcome);
        }
        // What the decoder left: bytes behind the end of its stream, or everything.
        let rest = drain(tee.clone(), buffer);
        // A cancelled stream fails as a broken one does.
        self.options.cancel.check()?;
        let (actual, bytes, failed) = tee.finish(algorithm);
        outcome.bytes = bytes;
        if let Some(error) = failed.or(rest.err()) {
            outcome.findings.clear();
            let path = self.layout.blob_path(&self.blob.digest)?;
            outcome.findings.push(self.finding(Problem::Unreadable, error.to_string()).path(path));
        } else if actual != self.blob.digest {
            // What is inside damaged bytes says nothing more.
            outcome.findings.clear();
            let reason = format!("its bytes have the digest {actual}");
            outcome.findings.push(self.finding(Problem::Digest, reason));
        }
        let octets;
        let descriptor = match self.named {
            Some(named) => named,
            None => {
                let media_type = "application/octet-stream".into();
                octets = Descriptor::new(media_type, self.blob.size, self.blob.digest.clone());
                &octets
            }
        };
        self.options.tell(&FsckEvent::Read { descriptor });
        Ok(outcome)
    }

    /// A reader of what is inside, when that is to be checked and can be.
    fn decoded(&self, mut tee: Tee, outcome: &mut Outcome) -> Option<io::Result<Box<dyn Read + Send>>> {
        let named =
            self.named.filter(|_| self.options.level >= Level::DiffIds && !self.promises.is_empty())?;
        let Kind::Layer(Layer { compression: declared, .. }) = Kind::of(named.media_type()) else {
            return None;
        };
        if declared != Compression::None && self.options.decompress.is_none() {
            return None;
        }
        let mut magic = Vec::new();
        if let Err(error) = tee.by_ref().take(MAGIC as u64).read_to_end(&mut magic) {
            return Some(Err(error));
        }
        let found = compression(&magic);
        let whole = Box::new(io::Cursor::new(magic).chain(tee));
        if found != name(declared) {
            let what = |name: Option<&'static str>| name.unwrap_or("no compression");
            let reason =
                format!("its media type says {}, its bytes are {}", what(name(declared)), what(found));
            let finding = Finding { severity: Severity::Warning, ..self.finding(Problem::MediaType, reason) };
            outcome.findings.push(finding);
        }
        Some(match (found, self.options.decompress) {
            (Some("gzip" | "zstd"), Some(decompress)) => decompress(whole),
            (Some(name @ ("xz" | "bzip2")), _) => Err(io::Error::new(io::ErrorKind::Unsupported, name)),
            _ => Ok(whole),
        })
    }

    fn diff_id(&self, decoded: io::Result<Box<dyn Read + Send>>, buffer: &mut [u8], outcome: &mut Outcome) {
        // Nearly always one, sha256.
        let mut algorithms: Vec<Algorithm> =
            self.promises.iter().filter_map(|promise| Algorithm::of(&promise.diff_id).ok()).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        let mut hashers: Vec<Hasher> = algorithms.into_iter().map(Hasher::new).collect();
        let read = decoded.map_err(|error| chain(&error)).and_then(|mut reader| {
            loop {
                match reader.read(buffer) {
                    Ok(0) => return Ok(()),
                    Ok(n) => {
                        let bytes = buffer.get(..n).unwrap_or_default();
                        hashers.iter_mut().for_each(|hasher| hasher.update(bytes));
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(chain(&error)),
                }
            }
        });
        if let Err(reason) = read {
            let reason = format!("it cannot be decompressed: {reason}");
            outcome.findings.push(self.finding(Problem::DiffId, reason));
            return;
        }
        outcome.diff_ids += 1;
        let digests: Vec<_> = hashers.into_iter().map(Hasher::finish).collect();
        for promise in self.promises {
            let actual = digests.iter().find(|digest| digest.algorithm() == promise.diff_id.algorithm());
            if let Some(actual) = actual.filter(|actual| **actual != promise.diff_id) {
                let reason = format!(
                    "its diffID is {actual}, and {} in {} at {}",
                    promise.diff_id, promise.config, promise.pointer
                );
                outcome.findings.push(self.finding(Problem::DiffId, reason).pointer(promise.pointer.clone()));
            }
        }
    }

    fn finding(&self, problem: Problem, reason: impl Into<String>) -> Finding {
        let finding = Finding::new(Severity::Error, problem, reason).digest(&self.blob.digest);
        match self.named {
            Some(named) => finding.named(named),
            None => finding,
        }
    }
}

/// A compression as first bytes tell it.
fn name(compression: Compression) -> Option<&'static str> {
    match compression {
        Compression::Gzip => Some("gzip"),
        Compression::Zstd => Some("zstd"),
        _ => None,
    }
}

fn drain(mut reader: impl Read, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        match reader.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A blob's bytes, hashed on their way to a decoder that wants a reader of its own; clones go on where others stopped.
#[derive(Clone)]
struct Tee(Arc<Mutex<Stream>>);

struct Stream {
    file: File,
    hasher: Hasher,
    bytes: u64,
    failed: Option<io::Error>,
    cancel: CancelToken,
}

impl Tee {
    fn new(file: File, algorithm: Algorithm, cancel: CancelToken) -> Self {
        let hasher = Hasher::new(algorithm);
        Self(Arc::new(Mutex::new(Stream { file, hasher, bytes: 0, failed: None, cancel })))
    }

    /// The digest and number of the bytes that were read, and the error that ended it.
    fn finish(self, algorithm: Algorithm) -> (Digest, u64, Option<io::Error>) {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hasher = std::mem::replace(&mut stream.hasher, Hasher::new(algorithm));
        (hasher.finish(), stream.bytes, stream.failed.take())
    }
}

impl Read for Tee {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let stream = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stream.cancel.check()?;
        let n = stream.file.read(buf).inspect_err(|error| {
            // A decoder may hide what kind of error it met; that the disk fails must not look like damage.
            if error.kind() != io::ErrorKind::Interrupted {
                stream.failed = Some(io::Error::new(error.kind(), error.to_string()));
            }
        })?;
        stream.hasher.update(buf.get(..n).unwrap_or_default());
        stream.bytes += n as u64;
        Ok(n)
    }
}
