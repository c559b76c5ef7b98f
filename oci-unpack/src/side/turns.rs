use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Which layers are worked on: the lowest that nobody has, as long as it is not too far above the one that is being
/// applied. So what waits is bounded, however many layers there are.
#[derive(Debug)]
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
    layers: usize,
    ahead: usize,
}

#[derive(Debug, Default)]
struct State {
    next: usize,
    applied: usize,
    closed: bool,
}

impl Turns {
    /// `ahead`: how many layers may be at work or waiting.
    pub(super) fn new(layers: usize, ahead: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), layers, ahead }
    }

    /// Takes the next layer. `None`: there is none, or nobody wants it.
    pub(super) fn next(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.closed || state.next >= self.layers {
                return None;
            }
            if state.next < state.applied + self.ahead {
                state.next += 1;
                return Some(state.next - 1);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// One more layer is applied.
    pub(super) fn applied(&self) {
        self.lock().applied += 1;
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_goes_too_far_ahead() {
        let turns = Turns::new(5, 2);
        assert_eq!((turns.next(), turns.next()), (Some(0), Some(1)));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| turns.next());
            turns.applied();
            assert_eq!(waiting.join().ok(), Some(Some(2)));
            let waiting = scope.spawn(|| turns.next());
            turns.close();
            assert_eq!(waiting.join().ok(), Some(None));
        });
    }
}
