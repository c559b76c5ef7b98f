use std::io::{self, BufRead};

use super::{Decoder, Entry, Event, FramingLimits, Warning};
use crate::{Error, Result};

/// Reads an uncompressed archive entry by entry, out of the buffer of the stream itself: give it a large one.
///
/// ```
/// use oci_unpack::framing::{ArchiveReader, FramingLimits};
///
/// let archive = std::io::empty();
/// let mut reader = ArchiveReader::new(archive, &FramingLimits::default());
/// while let Some(entry) = reader.next_entry()? {
///     while let Some(chunk) = reader.data()? {
///         assert!(chunk.offset + chunk.bytes.len() as u64 <= entry.size);
///     }
/// }
/// reader.finish()?; // reads what follows the end mark, too
/// # Ok::<(), oci_unpack::Error>(())
/// ```
#[derive(Debug)]
pub struct ArchiveReader<R> {
    inner: R,
    /// What is known to be in the stream's buffer and was not decoded.
    buffered: usize,
    /// What was decoded and is still lent out.
    lent: usize,
    /// Nothing can be decoded without more input.
    starved: bool,
    decoder: Decoder,
    in_data: bool,
}

/// A piece of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Its place in the file, in bytes. What lies between chunks, and from the last to the size, is a hole.
    pub offset: u64,
    /// The content, never empty.
    pub bytes: &'a [u8],
}

impl<R: BufRead> ArchiveReader<R> {
    /// Reads an archive from its start.
    pub fn new(inner: R, limits: &FramingLimits) -> Self {
        Self { inner, buffered: 0, lent: 0, starved: false, decoder: Decoder::new(limits), in_data: false }
    }

    /// The next entry; what was not read of the one before is skipped. `None` at the end of the archive.
    ///
    /// # Errors
    /// As [`Decoder::decode`] and [`Decoder::end_of_input`], and what reading can meet.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        self.in_data = false;
        loop {
            match self.event()? {
                Event::Entry(entry) => {
                    self.in_data = true;
                    return Ok(Some(entry));
                }
                Event::End => return Ok(None),
                Event::NeedInput | Event::Data { .. } | Event::DataEnd => {}
            }
        }
    }

    /// The next piece of the entry's data, in ascending order of offsets. `None` when there is no more.
    ///
    /// # Errors
    /// As [`next_entry`](Self::next_entry).
    pub fn data(&mut self) -> Result<Option<Chunk<'_>>> {
        while self.in_data {
            match self.event()? {
                Event::Data { offset } => {
                    let bytes = fill(&mut self.inner)?.get(..self.lent).unwrap_or_default();
                    return Ok(Some(Chunk { offset, bytes }));
                }
                Event::NeedInput => {}
                Event::DataEnd | Event::Entry(_) | Event::End => self.in_data = false,
            }
        }
        Ok(None)
    }

    /// Takes out the warnings since the last call. Who keeps count calls this once per entry.
    pub fn warnings(&mut self) -> impl Iterator<Item = Warning> + '_ {
        self.decoder.warnings()
    }

    /// The number of bytes parsed so far: after the last entry, the length of the archive without its end mark.
    pub fn position(&self) -> u64 {
        self.decoder.position()
    }

    /// Reads to the end of the stream without parsing, so that whoever hashes it has seen every byte.
    ///
    /// # Errors
    /// What reading can meet.
    pub fn finish(mut self) -> Result<R> {
        self.inner.consume(std::mem::take(&mut self.lent));
        loop {
            let n = fill(&mut self.inner)?.len();
            if n == 0 {
                return Ok(self.inner);
            }
            self.inner.consume(n);
        }
    }

    /// Decodes what is in the buffer, and reads only when that gives nothing. The data of [`Event::Data`] is lent: it
    /// stays in the buffer until the next call.
    fn event(&mut self) -> Result<Event> {
        self.inner.consume(std::mem::take(&mut self.lent));
        let mut input: &[u8] = &[];
        if self.starved || self.buffered > 0 {
            input = fill(&mut self.inner)?;
            self.buffered = input.len();
        }
        if self.starved && input.is_empty() {
            self.decoder.end_of_input()?;
        }
        let (used, event) = self.decoder.decode(input)?;
        self.buffered -= used;
        self.starved = matches!(event, Event::NeedInput);
        if matches!(event, Event::Data { .. }) {
            self.lent = used;
        } else {
            self.inner.consume(used);
        }
        Ok(event)
    }
}

fn fill(inner: &mut impl BufRead) -> Result<&[u8]> {
    loop {
        match inner.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io("reading the layer", e)),
            Ok(_) => break,
        }
    }
    // Again, of what is there now: a borrow that is returned out of a loop would last for the whole of it.
    inner.fill_buf().map_err(|e| Error::io("reading the layer", e))
}
