use std::io::{self, Read};

use super::{Algorithm, Hasher};
use crate::{Descriptor, Digest, Error, Result};

/// A reader that ends well only if its bytes have the expected size and digest.
///
/// The size is a cap while reading, and the digest is checked in the read that meets the end, so that
/// [`io::copy`] cannot return success for an unverified blob. A read that fails keeps failing. The error is an
/// [`io::Error`] around [`Error::DigestMismatch`] or [`Error::SizeMismatch`]; [`Error::io`] takes it out.
#[derive(Debug)]
pub struct VerifyReader<R> {
    inner: R,
    hasher: Option<Hasher>,
    expected: Digest,
    size: u64,
    bytes: u64,
}

impl<R: Read> VerifyReader<R> {
    /// Expects `size` bytes with the digest `expected` from `inner`.
    ///
    /// # Errors
    /// [`Error::UnsupportedAlgorithm`] when the digest cannot be computed here.
    pub fn new(inner: R, expected: &Digest, size: u64) -> Result<Self> {
        let hasher = Hasher::new(Algorithm::of(expected)?);
        Ok(Self { inner, hasher: Some(hasher), expected: expected.clone(), size, bytes: 0 })
    }

    /// Expects what `descriptor` describes.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of(inner: R, descriptor: &Descriptor) -> Result<Self> {
        Self::new(inner, descriptor.digest(), descriptor.size())
    }

    /// The number of bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the end was met and everything fits.
    pub fn is_verified(&self) -> bool {
        self.hasher.is_none() && self.bytes == self.size
    }

    fn wrong_size(&self, actual: u64, more: bool) -> io::Error {
        Error::SizeMismatch { digest: self.expected.clone(), expected: self.size, actual, more }.into()
    }
}

impl<R: Read> Read for VerifyReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.bytes > self.size {
            return Err(self.wrong_size(self.bytes, true));
        }
        let n = self.inner.read(buf)?;
        if n > 0 {
            self.bytes += n as u64;
            if self.bytes > self.size {
                // None of this read is handed out: the caller cannot tell which part was too much.
                return Err(self.wrong_size(self.bytes, true));
            }
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&buf[..n]);
            }
            return Ok(n);
        }
        if self.bytes < self.size {
            return Err(self.wrong_size(self.bytes, false));
        }
        if let Some(hasher) = self.hasher.take() {
            let actual = hasher.finish();
            if actual != self.expected {
                let expected = self.expected.clone();
                // Not verified, now or at a later read.
                self.bytes = self.size.saturating_add(1);
                return Err(Error::DigestMismatch { expected, actual }.into());
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest_of;

    fn verify(bytes: &[u8], digest: &Digest, size: u64) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut reader = VerifyReader::new(bytes, digest, size)?;
        let result = reader.read_to_end(&mut out).map_err(|e| Error::io("reading", e));
        assert_eq!(reader.is_verified(), result.is_ok());
        if result.is_err() {
            assert!(reader.read(&mut [0]).is_err(), "a failed reader must stay failed");
        }
        result.map(|_| out)
    }

    #[test]
    fn right_bytes_pass() {
        for algorithm in Algorithm::ALL {
            for bytes in [&b""[..], b"x", &[7; 100_000]] {
                let digest = digest_of(algorithm, bytes);
                assert_eq!(verify(bytes, &digest, bytes.len() as u64).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn wrong_bytes_fail() {
        let digest = digest_of(Algorithm::Sha256, b"hello");
        assert!(matches!(verify(b"hellp", &digest, 5), Err(Error::DigestMismatch { .. })));
        assert!(matches!(
            verify(b"hell", &digest, 5),
            Err(Error::SizeMismatch { more: false, actual: 4, .. })
        ));
        assert!(matches!(verify(b"hello!", &digest, 5), Err(Error::SizeMismatch { more: true, .. })));
        assert!(matches!(verify(b"hello", &digest, 4), Err(Error::SizeMismatch { more: true, .. })));
        assert!(matches!(verify(b"", &digest, u64::MAX), Err(Error::SizeMismatch { more: false, .. })));
    }

    #[test]
    fn an_unknown_algorithm_is_refused_on_use() {
        let digest: Digest =
            "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8".parse().unwrap();
        assert!(matches!(
            VerifyReader::new(io::empty(), &digest, 0),
            Err(Error::UnsupportedAlgorithm { .. })
        ));
    }
}
