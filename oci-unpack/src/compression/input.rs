use std::io::{self, BufRead, Read};

/// The size of the buffer for compressed bytes.
const BUFFER: usize = 128 << 10;

/// A buffered reader that can look ahead, and remembers whether it was the source that failed.
#[derive(Debug)]
pub(super) struct Input<R> {
    inner: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    failed: bool,
}

impl<R: Read> Input<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, buffer: vec![0; BUFFER].into_boxed_slice(), start: 0, end: 0, failed: false }
    }

    /// At least `want` bytes (of less than the buffer) without taking them, fewer only at the end.
    pub(super) fn peek(&mut self, want: usize) -> io::Result<&[u8]> {
        if self.buffer.len() - self.start < want {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        while self.end - self.start < want {
            let n = self.read_inner(self.end)?;
            if n == 0 {
                break;
            }
            self.end += n;
        }
        Ok(self.rest())
    }

    /// Whether the last error came from the source, not from what its bytes are.
    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    pub(super) fn into_inner(self) -> R {
        self.inner
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn read_inner(&mut self, at: usize) -> io::Result<usize> {
        let room = self.buffer.get_mut(at..).unwrap_or_default();
        loop {
            match self.inner.read(room) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.failed = true;
                    return Err(e);
                }
                Ok(n) => return Ok(n),
            }
        }
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.end = self.read_inner(0)?;
        }
        Ok(self.rest())
    }

    fn consume(&mut self, amount: usize) {
        self.start = self.end.min(self.start + amount);
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.fill_buf()?;
        let n = rest.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}
