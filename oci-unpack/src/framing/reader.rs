use std::io::{self, Read};

use super::{Decoder, Entry, Event, FramingLimits, Warning};
use crate::{Error, Result};

/// The size of the one buffer: large enough that reading costs little per call.
const BUFFER: usize = 256 << 10;

/// Reads an uncompressed archive entry by entry, through one buffer.
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
    buffer: Box<[u8]>,
    /// The part of the buffer that was read and not taken.
    start: usize,
    end: usize,
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

impl<R: Read> ArchiveReader<R> {
    /// Reads an archive from its start.
    pub fn new(inner: R, limits: &FramingLimits) -> Self {
        Self {
            inner,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            decoder: Decoder::new(limits),
            in_data: false,
        }
    }

    /// The next entry; what was not read of the one before is skipped. `None` at the end of the archive.
    ///
    /// # Errors
    /// As [`Decoder::decode`] and [`Decoder::end_of_input`], and what reading can meet.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        self.in_data = false;
        loop {
            match self.event()?.1 {
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
            let start = self.start;
            let (used, event) = self.event()?;
            match event {
                Event::Data { offset } => {
                    // `event` reads only when nothing is left, so that the bytes taken are still there.
                    let bytes = self.buffer.get(start..start + used).unwrap_or_default();
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
        while read(&mut self.inner, &mut self.buffer)? > 0 {}
        Ok(self.inner)
    }

    /// Decodes what is in the buffer; when that gives nothing, fills it. The event is [`Event::NeedInput`] after
    /// a read.
    fn event(&mut self) -> Result<(usize, Event)> {
        let input = self.buffer.get(self.start..self.end).unwrap_or_default();
        let (used, event) = self.decoder.decode(input)?;
        self.start += used;
        if matches!(event, Event::NeedInput) {
            self.start = 0;
            self.end = read(&mut self.inner, &mut self.buffer)?;
            if self.end == 0 {
                self.decoder.end_of_input()?;
            }
        }
        Ok((used, event))
    }
}

fn read(inner: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match inner.read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map_err(|e| Error::io("reading the layer", e)),
        }
    }
}
