use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::Error;
use crate::Warning;
use crate::compression::Notice;
use crate::framing::{Entry, Warning as Odd};

/// How much of one layer's entries may wait, in bytes of memory.
const ROOM: usize = 2 << 20;

/// What comes of a layer, in the order of its archive.
#[derive(Debug)]
pub(super) enum Step {
    Entry {
        entry: Box<Entry>,
        /// For a file whose content is written: its name aside.
        written: Option<Written>,
    },
    /// What was odd about the archive.
    Odd(Vec<Odd>),
    /// Blob and archive were what they must be.
    End {
        archive_bytes: u64,
        notices: Vec<Notice>,
    },
    Failed(Error),
}

/// A file that waits for its place.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) name: String,
    pub(super) warnings: Vec<Warning>,
}

/// The entries of one layer that wait for their turn: so many and no more.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    steps: VecDeque<(Step, usize)>,
    weight: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for room. `false`: nobody takes anything any more.
    pub(super) fn put(&self, step: Step) -> bool {
        let weight = step.weight();
        let mut state = self.lock();
        // Whatever the weight of one step, it goes in when there is no other.
        while !state.closed && state.weight > 0 && state.weight + weight > ROOM {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return false;
        }
        state.weight += weight;
        state.steps.push_back((step, weight));
        self.changed.notify_all();
        true
    }

    /// Waits for the next step. `None`: closed.
    pub(super) fn take(&self) -> Option<Step> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some((step, weight)) = state.steps.pop_front() {
                state.weight -= weight;
                self.changed.notify_all();
                return Some(step);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nobody puts or takes anything any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Step {
    /// About how much memory it takes.
    fn weight(&self) -> usize {
        let fixed = size_of::<Entry>() + size_of::<Self>();
        let Self::Entry { entry, written } = self else { return fixed };
        let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
        let segments = entry.segments.as_ref().map_or(0, |segments| segments.len() * 16);
        let warnings = written.as_ref().map_or(0, |written| written.warnings.len() * 128);
        fixed + entry.path.len() + entry.link.len() + xattrs + segments + warnings
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;
    use crate::framing::EntryKind;

    fn entry(path_bytes: usize) -> Step {
        let entry = Box::new(Entry::new(vec![b'n'; path_bytes], EntryKind::Directory));
        Step::Entry { entry, written: None }
    }

    #[test]
    fn what_does_not_fit_waits_until_there_is_room() {
        let queue = Queue::new();
        // Larger than all room, but alone.
        assert!(queue.put(entry(2 * ROOM)));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| (0..10_000).all(|_| queue.put(entry(1000))));
            for expected in std::iter::once(2 * ROOM).chain(std::iter::repeat_n(1000, 10_000)) {
                let Some(Step::Entry { entry, .. }) = queue.take() else { panic!("no entry") };
                assert_eq!(entry.path.len(), expected);
                assert!(queue.lock().weight <= ROOM);
            }
            assert!(waiting.join().unwrap());
        });
        assert_eq!(queue.lock().weight, 0);
    }

    #[test]
    fn closing_wakes_both_sides() {
        let queue = Queue::new();
        assert!(queue.put(entry(2 * ROOM)));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.put(entry(1)));
            queue.close();
            assert!(!waiting.join().unwrap());
        });
        assert!(queue.take().is_none());
    }
}
