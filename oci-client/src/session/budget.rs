use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// What an operation may spend on attempts after the first.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    retries: u32,
    left: u32,
    spent: u32,
    wait_left: Duration,
}

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

impl Budget {
    pub(crate) fn new(retries: u32, max_wait: Duration) -> Self {
        Self { retries, left: retries, spent: 0, wait_left: max_wait }
    }

    /// How long to wait before another attempt, which is then spent. `None`: there is none left, or the server
    /// wants a longer wait than is allowed.
    pub(crate) fn next(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        let attempt = self.retries.saturating_sub(self.left);
        self.left = self.left.checked_sub(1)?;
        if let Some(wait) = retry_after {
            self.wait_left = self.wait_left.checked_sub(wait)?;
        }
        self.spent = self.spent.saturating_add(1);
        match retry_after {
            Some(wait) => {
                // A little more than asked for, so that not all who were told the same come back at once.
                Some(wait + jitter(Duration::from_millis(100)))
            }
            None => {
                let backoff = FIRST.saturating_mul(1 << attempt.min(10)).min(LONGEST);
                Some(backoff / 2 + jitter(backoff))
            }
        }
    }

    /// How many attempts there were, the first included and whatever ground was won between.
    pub(crate) fn attempts(&self) -> u32 {
        self.spent.saturating_add(1)
    }

    /// New ground was won: breaks are counted from here.
    pub(crate) fn refill(&mut self) {
        self.left = self.retries;
    }
}

fn jitter(most: Duration) -> Duration {
    // Every RandomState has keys of its own; no more randomness than that is needed.
    let random = RandomState::new().build_hasher().finish();
    most.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        let mut budget = Budget::new(3, Duration::from_secs(10));
        let waits: Vec<_> = std::iter::from_fn(|| budget.next(None)).collect();
        assert_eq!(waits.len(), 3);
        assert!(waits[0] < Duration::from_secs(1));
        assert_eq!(budget.attempts(), 4);
        assert_eq!(Budget::new(0, Duration::from_secs(10)).next(None), None);
        budget.refill();
        assert!(budget.next(Some(Duration::from_secs(6))).unwrap() >= Duration::from_secs(6));
        assert_eq!(budget.next(Some(Duration::from_secs(6))), None);
        assert_eq!(budget.attempts(), 5);
    }
}
