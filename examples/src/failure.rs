use std::error::Error;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use crate::printable;

/// Why a program ends, and with which exit code.
#[derive(Debug)]
pub struct Failure {
    cause: Box<dyn Error + Send + Sync>,
    code: u8,
}

impl Failure {
    /// A failure in words of the program's own.
    pub fn new(message: impl Into<String>) -> Self {
        message.into().into()
    }

    /// What was being done when `cause` came.
    pub fn during(doing: impl Into<String>, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Step { doing: doing.into(), cause: cause.into() }.into()
    }

    /// Ends the program with this exit code instead of 1.
    #[must_use]
    pub fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// One `error:` line on standard error, a `caused by:` line for each cause under it, and the exit code.
    pub fn report(&self) -> ExitCode {
        let mut text = format!("error: {}\n", printable(&self.cause.to_string()));
        let mut cause = self.cause.source();
        while let Some(error) = cause {
            text += &format!("caused by: {}\n", printable(&error.to_string()));
            cause = error.source();
        }
        // Where standard error is closed there is nobody to tell.
        let _ = std::io::stderr().write_all(text.as_bytes());
        ExitCode::from(self.code)
    }
}

/// What happened, and why, in one line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        let mut cause = self.cause.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(cause: E) -> Self {
        Self { cause: cause.into(), code: 1 }
    }
}

#[derive(Debug)]
struct Step {
    doing: String,
    cause: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

impl Error for Step {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}
