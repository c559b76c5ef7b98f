use std::io::{self, Write};

use super::{Algorithm, Hasher};
use crate::Digest;

/// A writer that hashes and counts what passes through it.
#[derive(Debug)]
pub struct HashWriter<W> {
    inner: W,
    hasher: Hasher,
    bytes: u64,
}

impl<W: Write> HashWriter<W> {
    /// Hashes what `inner` takes.
    pub fn new(inner: W, algorithm: Algorithm) -> Self {
        Self { inner, hasher: Hasher::new(algorithm), bytes: 0 }
    }

    /// The number of bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The inner writer, and the digest and number of the bytes it took.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hasher.finish(), self.bytes)
    }
}

impl<W: Write> Write for HashWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        // What the writer did not take comes again, so only the taken part counts.
        self.hasher.update(&buf[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest_of;

    #[test]
    fn hashes_only_what_was_taken() {
        let mut room = [0u8; 3];
        let mut writer = HashWriter::new(&mut room[..], Algorithm::Sha256);
        assert_eq!(writer.write(b"hello").unwrap(), 3);
        let (_, digest, bytes) = writer.finish();
        assert_eq!((digest, bytes), (digest_of(Algorithm::Sha256, b"hel"), 3));
    }
}
