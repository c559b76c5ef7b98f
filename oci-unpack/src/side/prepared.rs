use std::os::fd::OwnedFd;

use super::queue::{Queue, Step, Written};
use crate::compression::Notice;
use crate::framing::{Entry, Warning};
use crate::layer::Entries;
use crate::tree::{Place, Tree};
use crate::{Error, Result};

/// The entries of a layer whose files are written already.
pub(super) struct Prepared<'a> {
    queue: &'a Queue,
    aside: &'a OwnedFd,
    odd: Vec<Warning>,
    written: Option<Written>,
    end: Option<(u64, Vec<Notice>)>,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(queue: &'a Queue, aside: &'a OwnedFd) -> Self {
        Self { queue, aside, odd: Vec::new(), written: None, end: None }
    }

    /// The length of the archive, and what was odd about its blob.
    pub(super) fn end(self) -> Result<(u64, Vec<Notice>)> {
        self.end.ok_or_else(ended_early)
    }
}

impl Entries for Prepared<'_> {
    fn next_entry(&mut self) -> Result<Option<Entry>> {
        loop {
            match self.queue.take() {
                Some(Step::Entry { entry, written }) => {
                    self.written = written;
                    return Ok(Some(*entry));
                }
                Some(Step::Odd(odd)) => self.odd.extend(odd),
                Some(Step::End { archive_bytes, notices }) => {
                    self.end = Some((archive_bytes, notices));
                    return Ok(None);
                }
                Some(Step::Failed(error)) => return Err(error),
                None => return Err(ended_early()),
            }
        }
    }

    fn warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.odd)
    }

    fn file(&mut self, tree: &mut Tree, at: Place<'_>, _: &[u8], _: Entry) -> Result<()> {
        let Written { name, warnings } = self.written.take().ok_or_else(ended_early)?;
        tree.place(at, self.aside, &name)?;
        for warning in warnings {
            let path = tree.path_of(at);
            tree.reporter.warn(&path, warning)?;
        }
        Ok(())
    }
}

fn ended_early() -> Error {
    Error::io("taking what a layer holds", std::io::Error::other("the thread that writes it ended early"))
}
