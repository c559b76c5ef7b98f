use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::signal::{SigSet, Signal, raise};
use oci_digest::CancelToken;

use crate::Failure;

/// What ends a program from outside, and may be cleaned up after.
const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

static RECEIVED: AtomicI32 = AtomicI32::new(0);
static WATCHING: Mutex<Option<CancelToken>> = Mutex::new(None);

/// A token that is raised when the program is interrupted, so that work ends at its next step and cleans up.
///
/// Call it before threads are started: they inherit that these signals wait for the thread that watches. A signal that
/// comes a second time ends the program at once. Such a program returns what [`end`] gives.
///
/// # Errors
/// When the system gives no thread.
pub fn interruption() -> std::io::Result<CancelToken> {
    let mut watching = WATCHING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(token) = &*watching {
        return Ok(token.clone());
    }
    let signals: SigSet = SIGNALS.into_iter().filter(|signal| !is_ignored(*signal)).collect();
    signals.thread_block()?;
    let token = CancelToken::new();
    let raised = token.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Ok(signal) = signals.wait() {
            RECEIVED.store(signal as i32, Ordering::Release);
            raised.cancel();
        }
        // The next one acts as if nobody watched: in this thread.
        let _ = signals.thread_unblock();
        loop {
            std::thread::park();
        }
    })?;
    Ok(watching.insert(token).clone())
}

/// The exit code of a program that is done. What failed is told; one that was interrupted meanwhile ends by the signal,
/// so that a shell sees it, and does not go on with the next command of a script.
pub fn end(outcome: Result<ExitCode, Failure>) -> ExitCode {
    match (outcome, received()) {
        (Ok(code), _) => code,
        (Err(_), Some(signal)) => {
            let code = Failure::new(format!("interrupted by {}", signal.as_str())).report();
            let _ = raise(signal);
            let _ = SigSet::from(signal).thread_unblock();
            code
        }
        (Err(failure), None) => failure.report(),
    }
}

fn received() -> Option<Signal> {
    Signal::try_from(RECEIVED.load(Ordering::Acquire)).ok()
}

/// `nohup` and shells ignore signals for what they start; that is theirs to decide. A signal that is waited for would
/// come all the same.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal as i32 - 1) & 1 == 1)
}
