use std::io::{self, IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use oci_digest::content::{Location, Source};
use oci_digest::{Descriptor, Digest};
use serde_json::{Value, json};

use crate::{print_line, printable};

/// How a program tells what it does: a bar on a terminal, one JSON object per line on standard output for machines, and
/// nothing else. Warnings are a line each on standard error in every case. Clones are the same teller.
#[derive(Debug, Clone)]
pub struct Progress {
    bar: ProgressBar,
    json: bool,
    warnings: Arc<AtomicU64>,
}

impl Progress {
    /// Tells machines when `json` is set, else people if standard error is a terminal.
    pub fn new(json: bool) -> Self {
        let bar = if json || !io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        };
        Self { bar, json, warnings: Arc::default() }
    }

    /// Whether machines are told.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// The work begins; it is done when this many bytes were read.
    pub fn start(&self, bytes: u64, message: impl Into<String>) {
        if let Ok(style) = ProgressStyle::with_template("{msg} [{wide_bar}] {bytes}/{total_bytes} {elapsed}")
        {
            self.bar.set_style(style.progress_chars("=> "));
        }
        self.bar.set_length(bytes);
        self.bar.set_message(message.into());
    }

    /// So many more bytes were read.
    pub fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// What is being done now.
    pub fn message(&self, message: impl Into<String>) {
        self.bar.set_message(message.into());
    }

    /// The work is over: the bar goes.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// An event for machines: an object whose member `event` says what happened.
    pub fn event(&self, event: &Value) {
        if self.json {
            print_line(event);
        }
    }

    /// Something that was lost or is not as it should be: a line `warning: WHERE: WHAT` on standard error, and an event.
    pub fn warn(&self, place: &str, what: &str) {
        self.warnings.fetch_add(1, Ordering::Relaxed);
        self.event(&json!({"event": "warning", "path": place, "message": what}));
        let line = match place {
            "" => format!("warning: {what}\n"),
            place => format!("warning: {place}: {what}\n"),
        };
        let line = printable(line.trim_end()) + "\n";
        // Where standard error is closed there is nobody to tell.
        self.bar.suspend(|| drop(io::stderr().write_all(line.as_bytes())));
    }

    /// How many warnings there were.
    pub fn warnings(&self) -> u64 {
        self.warnings.load(Ordering::Relaxed)
    }

    /// A source whose bytes move the bar.
    pub fn counted<'s>(&self, source: &'s dyn Source) -> Counted<'s> {
        Counted { source, bar: self.bar.clone() }
    }
}

/// A source that moves the bar of a [`Progress`] with every byte that is read of it.
pub struct Counted<'s> {
    source: &'s dyn Source,
    bar: ProgressBar,
}

impl std::fmt::Debug for Counted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counted").finish_non_exhaustive()
    }
}

impl Source for Counted<'_> {
    fn resolve(&self, name: &str) -> oci_digest::Result<Descriptor> {
        self.source.resolve(name)
    }

    fn open(&self, descriptor: &Descriptor, offset: u64) -> oci_digest::Result<Box<dyn Read + Send + '_>> {
        let reader = self.source.open(descriptor, offset)?;
        Ok(if self.bar.is_hidden() { reader } else { Box::new(self.bar.wrap_read(reader)) })
    }

    fn referrers(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> oci_digest::Result<Vec<Descriptor>> {
        self.source.referrers(subject, artifact_type)
    }

    fn location(&self, descriptor: &Descriptor) -> Option<Location> {
        self.source.location(descriptor)
    }
}
