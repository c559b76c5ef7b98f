//! A stream in blocks that several threads compress, written in order: the same bytes whatever the number of threads.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use zlib_rs::crc32::crc32_combine;

use super::block::{Block, Compressed, Method};

/// Compresses what is written to it.
pub(super) struct Blocks<W: Write> {
    inner: W,
    method: Method,
    team: Team,
    /// The block that is being filled, behind the end of the one before.
    block: Vec<u8>,
    before: usize,
    index: u64,
    /// Of everything that was written to `inner`, before compression, and how many bytes that was.
    crc: u32,
    len: u64,
}

impl<W: Write> Blocks<W> {
    pub(super) fn new(mut inner: W, method: Method, threads: usize) -> io::Result<Self> {
        if let Method::Gzip { .. } = method {
            // RFC 1952: deflate, no flags, no time, no extra flags, and 255 for an unknown operating system.
            inner.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])?;
        }
        Ok(Self {
            inner,
            method,
            team: Team::new(method, threads),
            block: Vec::new(),
            before: 0,
            index: 0,
            crc: 0,
            len: 0,
        })
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.submit(true)?;
        while let Some(compressed) = self.team.next()? {
            self.put(compressed)?;
        }
        if let Method::Gzip { .. } = self.method {
            // RFC 1952: the size modulo 2^32.
            self.inner.write_all(&self.crc.to_le_bytes())?;
            self.inner.write_all(&(self.len as u32).to_le_bytes())?;
        }
        self.inner.flush()?;
        Ok(self.inner)
    }

    /// Nothing of the block at work: where blocks end decides what the bytes are.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }

    /// Takes bytes up to the end of the block at work. A full block waits until it is known not to be the last.
    pub(super) fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let full = self.before + self.method.block();
        if self.block.len() >= full && !buf.is_empty() {
            self.submit(false)?;
        }
        let full = self.before + self.method.block();
        let taken = buf.len().min(full - self.block.len());
        self.block.extend_from_slice(buf.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn submit(&mut self, last: bool) -> io::Result<()> {
        while self.team.is_busy() {
            if let Some(compressed) = self.team.next()? {
                self.put(compressed)?;
            }
        }
        let mut next = self.team.buffer();
        let window = self.method.window().min(self.block.len());
        next.extend_from_slice(self.block.get(self.block.len() - window..).unwrap_or_default());
        let bytes = std::mem::replace(&mut self.block, next);
        let before = std::mem::replace(&mut self.before, window);
        let index = self.index;
        self.index += 1;
        self.team.give(Block { bytes, before, index, last })
    }

    fn put(&mut self, compressed: Compressed) -> io::Result<()> {
        self.inner.write_all(&compressed.bytes)?;
        self.crc = crc32_combine(self.crc, compressed.crc, compressed.len);
        self.len += compressed.len;
        self.team.take_back(compressed.spare);
        Ok(())
    }
}

/// Those who compress. The threads are started with the second block: most layers in tests, and many in images, have
/// only one. They end when this is dropped.
struct Team {
    method: Method,
    size: usize,
    workers: Vec<JoinHandle<()>>,
    jobs: Option<SyncSender<Job>>,
    /// The results to come, in order.
    pending: VecDeque<Receiver<io::Result<Compressed>>>,
    /// Blocks compressed right here.
    done: VecDeque<Compressed>,
    begun: bool,
    spare: Vec<Vec<u8>>,
}

struct Job {
    block: Block,
    result: SyncSender<io::Result<Compressed>>,
}

impl Team {
    fn new(method: Method, size: usize) -> Self {
        Self {
            method,
            size,
            workers: Vec::new(),
            jobs: None,
            pending: VecDeque::new(),
            done: VecDeque::new(),
            begun: false,
            spare: Vec::new(),
        }
    }

    /// Whether a result should be taken before more work is given.
    fn is_busy(&self) -> bool {
        !self.done.is_empty() || self.pending.len() >= 2 * self.size
    }

    fn give(&mut self, block: Block) -> io::Result<()> {
        if self.size > 1 && self.workers.is_empty() && std::mem::replace(&mut self.begun, true) {
            self.start();
        }
        let Some(jobs) = self.jobs.as_ref().filter(|_| !(block.last && self.pending.is_empty())) else {
            self.done.push_back(block.compress(self.method)?);
            return Ok(());
        };
        let (result, receiver) = sync_channel(1);
        self.pending.push_back(receiver);
        jobs.send(Job { block, result }).map_err(|_| ended())
    }

    /// The next result, in order. `None` when everything that was given came back.
    fn next(&mut self) -> io::Result<Option<Compressed>> {
        match self.pending.pop_front() {
            Some(receiver) => receiver.recv().map_err(|_| ended())?.map(Some),
            None => Ok(self.done.pop_front()),
        }
    }

    /// A system that gives no threads gets its layers more slowly.
    fn start(&mut self) {
        let (jobs, queue) = sync_channel::<Job>(2 * self.size);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..self.size {
            let (queue, method) = (Arc::clone(&queue), self.method);
            let worker =
                std::thread::Builder::new().name("oci-compress".into()).spawn(move || work(&queue, method));
            self.workers.extend(worker);
        }
        if !self.workers.is_empty() {
            self.jobs = Some(jobs);
        }
    }

    fn buffer(&mut self) -> Vec<u8> {
        let capacity = self.method.window() + self.method.block();
        let mut buffer = self.spare.pop().unwrap_or_default();
        // The first block of a small layer stays as small as it is.
        if self.begun {
            buffer.reserve_exact(capacity);
        }
        buffer
    }

    fn take_back(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.spare.push(buffer);
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        // Nobody waits for these any more: a worker that cannot deliver ends.
        self.pending.clear();
        self.jobs = None;
        for worker in self.workers.drain(..) {
            // One that panicked has been noticed by what it did not deliver.
            let _ = worker.join();
        }
    }
}

fn work(queue: &Mutex<Receiver<Job>>, method: Method) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, result }) = job else { return };
        if result.send(block.compress(method)).is_err() {
            return;
        }
    }
}

fn ended() -> io::Error {
    io::Error::other("a thread that compresses has ended")
}
