use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{CopyOptions, Event};
use crate::content::{Content, Sink, Source, embedded};
use crate::media_type::Kind;
use crate::{Descriptor, Error, Result};

/// How a blob came to be in the sink.
pub(super) enum Outcome {
    Present,
    Adopted,
    Sent,
    Skipped,
}

/// Brings one blob into the sink by the cheapest way there is.
pub(super) fn blob(
    source: &dyn Source,
    sink: &dyn Sink,
    descriptor: &Descriptor,
    options: &CopyOptions,
    stop: &AtomicBool,
) -> Result<Outcome> {
    if sink.has(descriptor)? {
        options.tell(&Event::Present { descriptor });
        return Ok(Outcome::Present);
    }
    if let Some(location) = source.location(descriptor)
        && sink.adopt(descriptor, &location)?
    {
        options.tell(&Event::Adopted { descriptor });
        return Ok(Outcome::Adopted);
    }
    if let Some(bytes) = embedded(descriptor) {
        send(sink, descriptor, &bytes.as_slice(), options, stop)?;
        return Ok(Outcome::Sent);
    }
    if Kind::of(descriptor.media_type()).is_foreign() {
        match source.open(descriptor, 0) {
            Err(error) if error.is_not_found() => {
                options.tell(&Event::Skipped { descriptor });
                return Ok(Outcome::Skipped);
            }
            opened => drop(opened?),
        }
    }
    send(sink, descriptor, &(source, descriptor), options, stop)?;
    Ok(Outcome::Sent)
}

/// Sends bytes, watched and counted.
pub(super) fn send(
    sink: &dyn Sink,
    descriptor: &Descriptor,
    content: &dyn Content,
    options: &CopyOptions,
    stop: &AtomicBool,
) -> Result<()> {
    options.tell(&Event::Started { descriptor });
    sink.ingest(descriptor, &Watched { content, descriptor, options, stop })?;
    options.tell(&Event::Done { descriptor });
    Ok(())
}

/// Content that reports how far it was read, and ends when the copy has to.
struct Watched<'a> {
    content: &'a dyn Content,
    descriptor: &'a Descriptor,
    options: &'a CopyOptions,
    stop: &'a AtomicBool,
}

impl Content for Watched<'_> {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send + '_>> {
        check(self.options, self.stop)?;
        let inner = self.content.open(offset)?;
        Ok(Box::new(WatchedReader { watched: self, inner, bytes: offset, told: offset }))
    }
}

struct WatchedReader<'a> {
    watched: &'a Watched<'a>,
    inner: Box<dyn Read + Send + 'a>,
    bytes: u64,
    told: u64,
}

impl Read for WatchedReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        const STEP: u64 = 256 << 10;
        let Watched { descriptor, options, stop, .. } = *self.watched;
        check(options, stop)?;
        let n = self.inner.read(buf)?;
        self.bytes = self.bytes.saturating_add(n as u64);
        let ended = n == 0 && !buf.is_empty();
        if self.bytes - self.told >= STEP || (ended && self.bytes > self.told) {
            self.told = self.bytes;
            options.tell(&Event::Progress { descriptor, bytes: self.bytes });
        }
        Ok(n)
    }
}

/// Whether the copy goes on: neither cancelled nor failed elsewhere.
pub(super) fn check(options: &CopyOptions, stop: &AtomicBool) -> Result<()> {
    options.cancel.check()?;
    if stop.load(Ordering::Acquire) { Err(Error::Cancelled) } else { Ok(()) }
}
