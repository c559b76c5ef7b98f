use std::io::{self, Read, Write};

use oci_digest::{Algorithm, Descriptor, Digest, Hasher, MediaType};

use super::BlobName;
use super::ingest::BUFFER;
use super::staging::Staging;
use crate::{Error, ImageLayout, Result};

impl ImageLayout {
    /// Stores what a reader gives as a blob, whatever its digest is, and describes it.
    ///
    /// The algorithm is that of the options. Memory use does not depend on the size.
    ///
    /// # Errors
    /// What reading and writing can meet; then there is no blob.
    pub fn put(&self, media_type: MediaType, mut reader: impl Read) -> Result<Descriptor> {
        let mut writer = self.writer(self.options.algorithm)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let n = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(oci_digest::Error::io("reading a new blob", e).into()),
            };
            writer
                .write_all(buffer.get(..n).unwrap_or_default())
                .map_err(Error::io("write a blob to", self.path()))?;
        }
        let (digest, size) = writer.commit()?;
        Ok(Descriptor::new(media_type, size, digest))
    }

    /// A writer for a new blob, for code that produces bytes instead of having a reader of them.
    ///
    /// # Errors
    /// What creating a file can meet.
    pub fn writer(&self, algorithm: Algorithm) -> Result<BlobWriter<'_>> {
        Ok(BlobWriter { layout: self, staging: Staging::new(self)?, hasher: Hasher::new(algorithm), size: 0 })
    }
}

/// Writes a blob whose digest is not known before. Dropped without [`commit`](Self::commit) it leaves nothing.
#[derive(Debug)]
#[must_use]
pub struct BlobWriter<'l> {
    layout: &'l ImageLayout,
    staging: Staging,
    hasher: Hasher,
    size: u64,
}

impl BlobWriter<'_> {
    /// The number of bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.size
    }

    /// Makes what was written a blob; its digest and size.
    ///
    /// # Errors
    /// What writing can meet; then there is no blob.
    pub fn commit(self) -> Result<(Digest, u64)> {
        let digest = self.hasher.finish();
        self.staging.commit(self.layout, &BlobName::of(&digest)?, self.size)?;
        Ok((digest, self.size))
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.staging.file.write(buf)?;
        self.hasher.update(buf.get(..n).unwrap_or_default());
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
