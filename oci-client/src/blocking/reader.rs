use std::io::{self, Read};

use bytes::{Buf, Bytes};

use super::runtime::Runtime;

/// The bytes of one blob as an [`io::Read`]; see [`BlobReader`](crate::BlobReader).
#[derive(Debug)]
pub struct BlobReader {
    inner: crate::BlobReader,
    runtime: Runtime,
    current: Bytes,
}

impl BlobReader {
    pub(super) fn new(inner: crate::BlobReader, runtime: Runtime) -> Self {
        Self { inner, runtime, current: Bytes::new() }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        while self.current.is_empty() {
            match self.runtime.run(self.inner.chunk()) {
                Ok(Some(bytes)) => self.current = bytes,
                Ok(None) => return Ok(0),
                Err(error) => return Err(oci_digest::Error::from(error).into()),
            }
        }
        let n = buf.len().min(self.current.len());
        self.current.copy_to_slice(buf.get_mut(..n).unwrap_or_default());
        Ok(n)
    }
}
