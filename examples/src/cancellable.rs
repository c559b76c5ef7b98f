use std::io::{self, Write};

use oci_digest::CancelToken;

/// A writer that fails once its token is raised: work that knows no token, but writes, is ended so.
#[derive(Debug)]
pub struct Cancellable<'c, W> {
    out: W,
    cancel: &'c CancelToken,
}

impl<'c, W: Write> Cancellable<'c, W> {
    /// A writer in front of another.
    pub fn new(out: W, cancel: &'c CancelToken) -> Self {
        Self { out, cancel }
    }
}

impl<W: Write> Write for Cancellable<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.cancel.check()?;
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
