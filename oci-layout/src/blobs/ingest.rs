use std::io::{self, Read, Seek, SeekFrom, Write};

use oci_digest::content::Content;
use oci_digest::{Descriptor, Hasher};

use super::BlobName;
use super::staging::Staging;
use crate::{Error, ImageLayout, Result};

/// Bytes per read and write.
pub(super) const BUFFER: usize = 256 << 10;

/// From which size on a blob that was interrupted is worth going on with.
const PARTIAL_FROM: u64 = 1 << 20;

impl ImageLayout {
    /// Stores the content of a descriptor under its digest.
    ///
    /// A blob that is there with the same size is success without a byte read. The content is hashed as it is
    /// written and gets its name only when size and digest fit; a byte more than the descriptor's size stops it.
    /// What a killed process or a lost connection left of a larger blob is read, hashed and gone on from.
    ///
    /// # Errors
    /// A digest or size mismatch, what the content's reader can meet, and what writing can meet; the blob is not
    /// there then.
    pub fn ingest(&self, descriptor: &Descriptor, content: &dyn Content) -> Result<()> {
        let name = BlobName::of(descriptor.digest())?;
        if self.present(&name, descriptor.size())? {
            return Ok(());
        }
        let partial = if descriptor.size() >= PARTIAL_FROM {
            Staging::partial(self, descriptor.digest())?
        } else {
            None
        };
        // Who waits for another writer may wait for ever, so a second writer of the same blob writes its own.
        let (staging, resumable) = match partial {
            Some(partial) => (partial, true),
            None => (Staging::new(self)?, false),
        };
        let mut fill = Fill { layout: self, descriptor, staging: &staging, content };
        match fill.run() {
            Ok(()) => staging.commit(self, &name, descriptor.size()),
            Err(error) => {
                if resumable && is_worth_keeping(&error) {
                    staging.keep();
                }
                Err(error)
            }
        }
    }
}

/// Whether another attempt may go on from the bytes written: the content was cut off, not wrong.
fn is_worth_keeping(error: &Error) -> bool {
    match error {
        Error::Content { source } => {
            source.is_retryable() || matches!(**source, oci_digest::Error::Cancelled)
        }
        _ => false,
    }
}

/// Fills a staging file with the descriptor's content.
struct Fill<'a> {
    layout: &'a ImageLayout,
    descriptor: &'a Descriptor,
    staging: &'a Staging,
    content: &'a dyn Content,
}

impl Fill<'_> {
    fn run(&mut self) -> Result<()> {
        let (hasher, have) = self.already_there()?;
        match self.fetch(hasher, have) {
            // The bytes of an earlier attempt may be what is wrong: once more without them.
            Err(Error::Content { source })
                if have > 0 && matches!(*source, oci_digest::Error::DigestMismatch { .. }) =>
            {
                let hasher = self.start_over()?;
                self.fetch(hasher, 0)
            }
            other => other,
        }
    }

    /// Hashes what an earlier attempt left, and leaves the file's position behind it.
    fn already_there(&mut self) -> Result<(Hasher, u64)> {
        let mut hasher = Hasher::new(BlobName::of(self.descriptor.digest())?.algorithm);
        let size = self.staging.file.metadata().map_err(self.failed("inspect"))?.len();
        if size == 0 {
            return Ok((hasher, 0));
        }
        if size > self.descriptor.size() {
            return Ok((self.start_over()?, 0));
        }
        let mut buffer = vec![0; BUFFER];
        let mut have = 0;
        let mut file = &self.staging.file;
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok((hasher, have)),
                Ok(n) => {
                    hasher.update(buffer.get(..n).unwrap_or_default());
                    have += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed("read")(e)),
            }
        }
    }

    fn start_over(&mut self) -> Result<Hasher> {
        let mut file = &self.staging.file;
        file.set_len(0).map_err(self.failed("truncate"))?;
        file.seek(SeekFrom::Start(0)).map_err(self.failed("seek in"))?;
        Ok(Hasher::new(BlobName::of(self.descriptor.digest())?.algorithm))
    }

    /// Writes the content from `have` on, and verifies the whole.
    fn fetch(&mut self, mut hasher: Hasher, mut have: u64) -> Result<()> {
        let (digest, size) = (self.descriptor.digest(), self.descriptor.size());
        let wrong_size = |actual, more| oci_digest::Error::SizeMismatch {
            digest: digest.clone(),
            expected: size,
            actual,
            more,
        };
        let mut reader = self.content.open(have)?;
        // One byte more than is left, to notice the end of small content in the same read.
        let room = usize::try_from(size.saturating_sub(have).saturating_add(1)).unwrap_or(BUFFER).min(BUFFER);
        let mut buffer = vec![0; room];
        let mut file = &self.staging.file;
        loop {
            let n = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(oci_digest::Error::io(format!("reading {digest}"), e).into()),
            };
            have = have.saturating_add(n as u64);
            if have > size {
                return Err(wrong_size(have, true).into());
            }
            let bytes = buffer.get(..n).unwrap_or_default();
            hasher.update(bytes);
            file.write_all(bytes).map_err(self.failed("write"))?;
        }
        if have < size {
            return Err(wrong_size(have, false).into());
        }
        let actual = hasher.finish();
        if actual != *digest {
            return Err(oci_digest::Error::DigestMismatch { expected: digest.clone(), actual }.into());
        }
        Ok(())
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> Error + use<> {
        let path = self.layout.blob_path(self.descriptor.digest()).unwrap_or_default();
        move |source| Error::Io { action, path, source }
    }
}
