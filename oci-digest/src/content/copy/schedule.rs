use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::graph::{self, Node};
use super::transfer::{self, Outcome};
use super::{CopyOptions, CopyReport, Event};
use crate::content::{Sink, Source};
use crate::media_type::Kind;
use crate::{Descriptor, Digest, Error, Result};

/// The walk of one copy, shared by its threads.
///
/// Each digest is one entry, however often and wherever it is named. A manifest is put into the sink when all
/// that it names is there, which ends because a verified document cannot name itself. Referrers and subjects are
/// not waited for by what names them, so that a source which lists a manifest as its own referrer does no harm.
pub(super) struct Schedule<'a> {
    source: &'a dyn Source,
    sink: &'a dyn Sink,
    options: &'a CopyOptions,
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

struct State {
    entries: Vec<Entry>,
    /// A digest that is named as a blob and as a manifest is both: registries keep the two apart.
    by_digest: HashMap<(Digest, bool), usize>,
    /// Manifests to read, and to put: before any blob, because they show what else there is to do.
    documents: VecDeque<Task>,
    blobs: VecDeque<usize>,
    running: usize,
    held_bytes: u64,
    total_bytes: u64,
    error: Option<Error>,
    report: CopyReport,
}

struct Entry {
    descriptor: Descriptor,
    depth: u64,
    role: Role,
    is_done: bool,
    bytes: Vec<u8>,
    /// How many of its children are not in the sink yet.
    waits_for: usize,
    parents: Vec<usize>,
}

/// How a manifest is put into the sink.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    /// Under its digest, named by others.
    Child,
    /// As a root without tags.
    Published,
    /// Not at all by the walk: it is what the copy was asked for and comes last.
    Root,
}

#[derive(Clone, Copy)]
enum Task {
    Fetch(usize),
    Put(usize),
    Blob(usize),
}

impl<'a> Schedule<'a> {
    pub(super) fn new(
        source: &'a dyn Source,
        sink: &'a dyn Sink,
        options: &'a CopyOptions,
        root: &Descriptor,
    ) -> Self {
        let report = CopyReport {
            root: root.clone(),
            tags: Vec::new(),
            sent: 0,
            sent_bytes: 0,
            present: 0,
            adopted: 0,
            skipped: Vec::new(),
            referrers: Vec::new(),
        };
        let state = State {
            entries: Vec::new(),
            by_digest: HashMap::new(),
            documents: VecDeque::new(),
            blobs: VecDeque::new(),
            running: 0,
            held_bytes: 0,
            total_bytes: 0,
            error: None,
            report,
        };
        Self {
            source,
            sink,
            options,
            state: Mutex::new(state),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
        }
    }

    /// Brings everything but the root itself into the sink. The root's bytes were read already.
    pub(super) fn run(self, root: Node) -> Result<CopyReport> {
        {
            let mut state = self.lock();
            let descriptor = state.report.root.clone();
            let at = state.add(&descriptor, 0, Role::Root, true, self.options)?;
            self.expand(&mut state, at, root)?;
        }
        self.refer(0)?;
        std::thread::scope(|scope| {
            // This thread works, too; the others are a help that may not be had.
            for _ in 1..self.options.jobs.max(1) {
                let spawned = std::thread::Builder::new()
                    .name("oci-copy".to_owned())
                    .spawn_scoped(scope, || self.work());
                if spawned.is_err() {
                    break;
                }
            }
            self.work();
        });
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        match state.error {
            Some(_) if self.options.cancel.is_cancelled() => Err(Error::Cancelled),
            Some(error) => Err(error),
            None => Ok(state.report),
        }
    }

    fn work(&self) {
        // A panic in a source, a sink or an observer must not leave the others waiting for ever.
        let _guard = StopOnPanic(self);
        while let Some(task) = self.next() {
            let result = transfer::check(self.options, &self.stop).and_then(|()| self.perform(task));
            let mut state = self.lock();
            state.running -= 1;
            if let Err(error) = result {
                // The first error is the reason; what others end with because of `stop` comes after it.
                state.error.get_or_insert(error);
                self.stop.store(true, Ordering::Release);
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if self.stop.load(Ordering::Acquire) {
                return None;
            }
            if let Some(task) = state.take() {
                state.running += 1;
                return Some(task);
            }
            if state.running == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn perform(&self, task: Task) -> Result<()> {
        match task {
            Task::Fetch(at) => self.fetch(at),
            Task::Put(at) => self.put(at),
            Task::Blob(at) => self.blob(at),
        }
    }

    fn fetch(&self, at: usize) -> Result<()> {
        let (descriptor, role) = {
            let state = self.lock();
            let entry = &state.entries[at];
            (entry.descriptor.clone(), entry.role)
        };
        let node = match graph::fetch(self.source, &descriptor, self.options) {
            // A subject need not exist (image-spec manifest.md), and comes only if it does.
            Err(error) if error.is_not_found() && role == Role::Published => {
                self.options.tell(&Event::Skipped { descriptor: &descriptor });
                let mut state = self.lock();
                state.report.skipped.push(descriptor);
                state.finish(at);
                return Ok(());
            }
            node => node?,
        };
        self.expand(&mut self.lock(), at, node)?;
        self.changed.notify_all();
        self.refer(at)
    }

    /// Adds what a manifest names.
    fn expand(&self, state: &mut State, at: usize, node: Node) -> Result<()> {
        state.held_bytes = state.held_bytes.saturating_add(node.bytes.len() as u64);
        if state.held_bytes > self.options.limits.held_bytes {
            return Err(Error::Limit {
                limit: "bytes of manifests",
                maximum: self.options.limits.held_bytes,
            });
        }
        let depth = state.entries[at].depth + 1;
        let in_index = Kind::of(state.entries[at].descriptor.media_type()) == Kind::Index;
        state.entries[at].bytes = node.bytes;
        for child in &node.children {
            let kind = Kind::of(child.media_type());
            // What an index names is a manifest, or something that is not understood and copied as a blob.
            let is_manifest = in_index && (kind.is_manifest_or_index() || kind == Kind::Schema1);
            let child = state.add(child, depth, Role::Child, is_manifest, self.options)?;
            let entry = &mut state.entries[child];
            if !entry.is_done && entry.parents.last() != Some(&at) {
                entry.parents.push(at);
                state.entries[at].waits_for += 1;
            }
        }
        if let Some(subject) = node.subject.filter(|_| self.options.subjects)
            && Kind::of(subject.media_type()).is_manifest_or_index()
        {
            state.add(&subject, depth, Role::Published, true, self.options)?;
        }
        if state.entries[at].waits_for == 0 {
            state.documents.push_back(Task::Put(at));
        }
        Ok(())
    }

    /// Adds what refers to a manifest.
    fn refer(&self, at: usize) -> Result<()> {
        if !self.options.referrers {
            return Ok(());
        }
        let (digest, depth) = {
            let state = self.lock();
            (state.entries[at].descriptor.digest().clone(), state.entries[at].depth + 1)
        };
        let referrers = self.source.referrers(&digest, None)?;
        let mut state = self.lock();
        for referrer in &referrers {
            if Kind::of(referrer.media_type()).is_manifest_or_index() {
                state.add(referrer, depth, Role::Published, true, self.options)?;
            }
        }
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Puts a manifest whose children are all in the sink.
    fn put(&self, at: usize) -> Result<()> {
        let (descriptor, role, bytes) = {
            let mut state = self.lock();
            let entry = &mut state.entries[at];
            (entry.descriptor.clone(), entry.role, std::mem::take(&mut entry.bytes))
        };
        let (mut sent, mut present) = (0, 0);
        match role {
            Role::Root => {}
            Role::Published => {
                self.sink.publish(&descriptor, &bytes, &[])?;
                self.options.tell(&Event::Published { descriptor: &descriptor, tags: &[] });
                sent = 1;
            }
            Role::Child if self.sink.has(&descriptor)? => {
                self.options.tell(&Event::Present { descriptor: &descriptor });
                present = 1;
            }
            Role::Child => {
                transfer::send(self.sink, &descriptor, &bytes.as_slice(), self.options, &self.stop)?;
                sent = 1;
            }
        }
        let mut state = self.lock();
        state.held_bytes -= bytes.len() as u64;
        state.report.sent += sent;
        state.report.sent_bytes += sent * descriptor.size();
        state.report.present += present;
        if role == Role::Published {
            state.report.referrers.push(descriptor);
        }
        state.finish(at);
        if role == Role::Child && state.entries[at].role == Role::Published {
            // It was found to be a referrer, too, while it was put as a child.
            state.entries[at].is_done = false;
            state.documents.push_back(Task::Fetch(at));
        }
        Ok(())
    }

    fn blob(&self, at: usize) -> Result<()> {
        let descriptor = self.lock().entries[at].descriptor.clone();
        let outcome = transfer::blob(self.source, self.sink, &descriptor, self.options, &self.stop)?;
        let mut state = self.lock();
        match outcome {
            Outcome::Present => state.report.present += 1,
            Outcome::Adopted => state.report.adopted += 1,
            Outcome::Sent => {
                state.report.sent += 1;
                state.report.sent_bytes += descriptor.size();
            }
            Outcome::Skipped => state.report.skipped.push(descriptor),
        }
        state.finish(at);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The entry of a digest: a new one with its task, or the one there is.
    fn add(
        &mut self,
        descriptor: &Descriptor,
        depth: u64,
        role: Role,
        is_manifest: bool,
        options: &CopyOptions,
    ) -> Result<usize> {
        let key = (descriptor.digest().clone(), is_manifest);
        if let Some(&at) = self.by_digest.get(&key) {
            let entry = &mut self.entries[at];
            if entry.descriptor.size() != descriptor.size() {
                // One of the two is wrong, and nothing says which.
                return Err(Error::SizeMismatch {
                    digest: descriptor.digest().clone(),
                    expected: descriptor.size(),
                    actual: entry.descriptor.size(),
                    more: false,
                });
            }
            if role == Role::Published && entry.role == Role::Child {
                entry.role = role;
                if entry.is_done {
                    entry.is_done = false;
                    self.documents.push_back(Task::Fetch(at));
                }
            }
            return Ok(at);
        }
        let limits = &options.limits;
        if depth > limits.depth {
            return Err(Error::Limit { limit: "depth", maximum: limits.depth });
        }
        if self.entries.len() as u64 >= limits.descriptors {
            return Err(Error::Limit { limit: "descriptors", maximum: limits.descriptors });
        }
        self.total_bytes = self.total_bytes.saturating_add(descriptor.size());
        if self.total_bytes > limits.total_bytes {
            return Err(Error::Limit { limit: "total bytes", maximum: limits.total_bytes });
        }
        let at = self.entries.len();
        self.by_digest.insert(key, at);
        self.entries.push(Entry {
            descriptor: descriptor.clone(),
            depth,
            role,
            is_done: false,
            bytes: Vec::new(),
            waits_for: 0,
            parents: Vec::new(),
        });
        match (role, is_manifest) {
            (Role::Root, _) => {}
            (_, true) => self.documents.push_back(Task::Fetch(at)),
            (_, false) => self.blobs.push_back(at),
        }
        Ok(at)
    }

    fn take(&mut self) -> Option<Task> {
        self.documents.pop_front().or_else(|| self.blobs.pop_front().map(Task::Blob))
    }

    /// It is in the sink, or need not be: those that waited for it alone can be put.
    fn finish(&mut self, at: usize) {
        self.entries[at].is_done = true;
        for parent in std::mem::take(&mut self.entries[at].parents) {
            self.entries[parent].waits_for -= 1;
            if self.entries[parent].waits_for == 0 {
                self.documents.push_back(Task::Put(parent));
            }
        }
    }
}

struct StopOnPanic<'a, 'b>(&'a Schedule<'b>);

impl Drop for StopOnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop.store(true, Ordering::Release);
            self.0.changed.notify_all();
        }
    }
}
