use crate::{Error, Result};

/// A check that did not hold.
#[derive(Debug, thiserror::Error)]
#[error("{check}: {reason}")]
#[non_exhaustive]
pub struct Failure {
    /// The check's name, for example `wrong_digest_is_refused`.
    pub check: &'static str,
    /// What was expected, and what was.
    pub reason: String,
    /// The error of the implementation, where one was not expected.
    pub source: Option<Box<Error>>,
}

/// The result of one check, which does not know its own name.
pub(super) type Check<T = ()> = std::result::Result<T, Broken>;

pub(super) struct Broken {
    reason: String,
    source: Option<Box<Error>>,
}

impl From<Error> for Broken {
    fn from(source: Error) -> Self {
        Self { reason: "an unexpected error".to_owned(), source: Some(Box::new(source)) }
    }
}

impl Broken {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), source: None }
    }
}

/// Runs one check on a store of its own.
pub(super) fn checked<S>(
    check: &'static str,
    make: &impl Fn() -> Result<S>,
    body: impl FnOnce(&S) -> Check,
) -> Result<(), Failure> {
    let store = make().map_err(|source| Failure {
        check,
        reason: "the factory failed".to_owned(),
        source: Some(Box::new(source)),
    })?;
    body(&store).map_err(|broken| Failure { check, reason: broken.reason, source: broken.source })
}

/// Holds, or says what does not.
pub(super) fn ensure(holds: bool, reason: impl Into<String>) -> Check {
    if holds { Ok(()) } else { Err(Broken::new(reason)) }
}

/// Adds what was being done to an unexpected error.
pub(super) fn during<T>(doing: &str, result: Result<T>) -> Check<T> {
    result.map_err(|source| Broken { reason: format!("{doing} failed"), source: Some(Box::new(source)) })
}

/// The error that has to be there.
pub(super) fn refused<T>(doing: &str, result: Result<T>) -> Check<Error> {
    match result {
        Ok(_) => Err(Broken::new(format!("{doing} succeeded"))),
        Err(error) => Ok(error),
    }
}
