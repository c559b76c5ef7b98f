mod assemble;

use super::entry::{Entry, Segment};
use super::fault::{Fault, shown};
use super::header::{Block, Header, is_zero, until_nul};
use super::pax::{GlobalRecords, Records};
use super::sparse::{MapLines, SparseMap, gnu_extension};
use super::{BLOCK, FramingLimits, Warning};
use crate::{Error, Result};

/// The tar parser, without I/O: bytes in, [`Event`]s out.
///
/// The events are the same however the bytes are cut into pieces, except that data comes in the pieces it is given
/// in. Memory is bounded by the [`FramingLimits`], whatever the archive claims.
///
/// ```
/// use oci_unpack::framing::{Decoder, Event, FramingLimits};
///
/// let mut decoder = Decoder::new(&FramingLimits::default());
/// let archive = [0u8; 1024]; // nothing but the end mark
/// let (used, event) = decoder.decode(&archive)?;
/// assert!(matches!(event, Event::End));
/// assert_eq!(used, 1024);
/// # Ok::<(), oci_unpack::Error>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    limits: FramingLimits,
    state: State,
    /// Bytes taken so far.
    position: u64,
    /// Padding to drop before the state goes on.
    skip: u64,
    /// The part of a block that the last input ended with.
    partial: Box<Block>,
    partial_len: usize,
    pending: Pending,
    global: GlobalRecords,
    warnings: Vec<Warning>,
    /// Global records already warned about.
    warned: Vec<&'static str>,
    /// The name of the last entry, for messages.
    last: Vec<u8>,
    /// Whether its data is not yet over.
    in_entry: bool,
    /// The last entry has a size in its header, but its kind stores no data.
    last_claims_data: bool,
}

/// What [`Decoder::decode`] came to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// All input was taken: give more, or say [`Decoder::end_of_input`].
    NeedInput,
    /// The headers of an entry are complete. Its data follows, then [`Event::DataEnd`], for every kind of entry.
    Entry(Entry),
    /// Data of the entry: all bytes that were taken in this call are the file's content at `offset`.
    Data {
        /// The place in the file, in bytes; what lies between segments is a hole.
        offset: u64,
    },
    /// The entry has no more data.
    DataEnd,
    /// The end of the archive. What follows is not parsed; every further call gives this again.
    End,
}

#[derive(Debug)]
enum State {
    Header,
    /// Collecting an extension header.
    Extension {
        kind: ExtensionKind,
        left: u64,
        padding: u64,
    },
    /// Collecting the extension blocks of an old GNU sparse map.
    GnuMap {
        entry: Entry,
        map: SparseMap,
        stored: u64,
    },
    /// Collecting the sparse map in front of the data.
    PaxMap {
        entry: Entry,
        lines: MapLines,
        stored: u64,
    },
    /// Handing out data.
    Data(Data),
    /// One block of zeros.
    Zero,
    Done,
}

#[derive(Debug)]
struct Data {
    /// The segment being handed out, with what is left of it.
    current: Segment,
    /// The segments after it.
    rest: std::vec::IntoIter<Segment>,
    padding: u64,
}

#[derive(Debug, Clone, Copy)]
enum ExtensionKind {
    Pax,
    Global,
    LongName,
    LongLink,
}

/// What extension headers said since the last entry.
#[derive(Debug, Default)]
struct Pending {
    /// How many there were.
    count: u32,
    /// Whether one of them wants an entry after it; a global header does not.
    wants_entry: bool,
    records: Records,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    /// The body of the one being collected.
    body: Vec<u8>,
}

impl Decoder {
    /// A decoder at the start of an archive.
    pub fn new(limits: &FramingLimits) -> Self {
        Self {
            limits: limits.clone(),
            state: State::Header,
            position: 0,
            skip: 0,
            partial: Box::new([0; BLOCK]),
            partial_len: 0,
            pending: Pending::default(),
            global: GlobalRecords::default(),
            warnings: Vec::new(),
            warned: Vec::new(),
            last: Vec::new(),
            in_entry: false,
            last_claims_data: false,
        }
    }

    /// The number of bytes taken so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Takes out the warnings since the last call.
    pub fn warnings(&mut self) -> std::vec::Drain<'_, Warning> {
        self.warnings.drain(..)
    }

    /// Goes on with `input` to the next event. Gives the number of bytes taken with it; the rest must come again.
    ///
    /// # Errors
    /// [`Error::Archive`] where the bytes are not a well-formed archive, [`Error::Limit`] where headers ask for more
    /// than the limits. The decoder is of no use after an error.
    pub fn decode(&mut self, input: &[u8]) -> Result<(usize, Event)> {
        let mut used = 0;
        match self.step(input, &mut used) {
            Ok(event) => {
                self.position += used as u64;
                Ok((used, event))
            }
            Err(fault) => Err(self.error(fault, used)),
        }
    }

    /// Says that there is no more input. Fine between entries, with or without an end mark.
    ///
    /// # Errors
    /// [`Error::Archive`] when the archive is cut: in a header, in the data of an entry, or before the entry that
    /// extension headers belong to.
    pub fn end_of_input(&mut self) -> Result<()> {
        let cut = match &self.state {
            State::Done | State::Zero => None,
            State::Header if self.pending.wants_entry => {
                Some("ends after an extension header without its entry")
            }
            // An end mark may be cut anywhere, as it may be missing; the padding of the last file, too.
            State::Header if self.partial().iter().all(|&b| b == 0) => None,
            State::Header => Some("ends inside a header"),
            State::Extension { .. } => Some("ends inside an extension header"),
            State::GnuMap { .. } | State::PaxMap { .. } => Some("ends inside a sparse map"),
            State::Data(data) if data.current.len == 0 && data.rest.as_slice().is_empty() => None,
            State::Data(_) => Some("ends inside the data of an entry"),
        };
        if let Some(cut) = cut {
            return Err(self.error(cut.into(), 0));
        }
        // Padding that will not come is not waited for.
        self.skip = 0;
        self.state = State::Done;
        Ok(())
    }

    fn step(&mut self, input: &[u8], used: &mut usize) -> Result<Event, Fault> {
        loop {
            let rest = input.get(*used..).unwrap_or_default();
            if self.skip > 0 {
                let n = at_most(self.skip, rest.len());
                self.skip -= n as u64;
                *used += n;
                if self.skip > 0 {
                    return Ok(Event::NeedInput);
                }
                continue;
            }
            match &mut self.state {
                State::Data(data) => {
                    let Some(segment) = data.current() else {
                        self.skip = data.padding;
                        self.state = State::Header;
                        self.in_entry = false;
                        return Ok(Event::DataEnd);
                    };
                    if rest.is_empty() {
                        return Ok(Event::NeedInput);
                    }
                    // Data is entered and left with a return, so nothing else of the input was taken in this call.
                    let n = at_most(segment.len, rest.len());
                    let offset = segment.offset;
                    segment.offset += n as u64;
                    segment.len -= n as u64;
                    *used += n;
                    return Ok(Event::Data { offset });
                }
                State::Extension { kind, left, padding } => {
                    let n = at_most(*left, rest.len());
                    self.pending.body.extend_from_slice(rest.get(..n).unwrap_or_default());
                    *left -= n as u64;
                    *used += n;
                    if *left > 0 {
                        return Ok(Event::NeedInput);
                    }
                    let kind = *kind;
                    self.skip = *padding;
                    self.state = State::Header;
                    self.extension(kind)?;
                }
                State::Done => return Ok(Event::End),
                State::Header | State::Zero | State::GnuMap { .. } | State::PaxMap { .. } => {
                    let Some(block) = self.block(rest, used) else { return Ok(Event::NeedInput) };
                    if let Some(event) = self.take_block(&block, *used)? {
                        return Ok(event);
                    }
                }
            }
        }
    }

    /// A whole block, out of the input or put together from several.
    fn block(&mut self, rest: &[u8], used: &mut usize) -> Option<Block> {
        if self.partial_len == 0
            && let Some(block) = rest.first_chunk::<BLOCK>()
        {
            *used += BLOCK;
            return Some(*block);
        }
        let room = self.partial.get_mut(self.partial_len..).unwrap_or_default();
        let n = room.len().min(rest.len());
        for (to, from) in room.iter_mut().zip(rest) {
            *to = *from;
        }
        *used += n;
        self.partial_len += n;
        if self.partial_len < BLOCK {
            return None;
        }
        self.partial_len = 0;
        Some(*self.partial)
    }

    fn partial(&self) -> &[u8] {
        self.partial.get(..self.partial_len).unwrap_or_default()
    }

    fn take_block(&mut self, block: &Block, used: usize) -> Result<Option<Event>, Fault> {
        match std::mem::replace(&mut self.state, State::Header) {
            State::Header => self.header(block),
            State::Zero => {
                if !is_zero(block) {
                    // Nothing is parsed after the end, so that no reader that stops there sees other files.
                    let offset = (self.position + used as u64).saturating_sub(BLOCK as u64);
                    self.warnings.push(Warning::DataAfterZeroBlock { offset });
                }
                self.state = State::Done;
                Ok(Some(Event::End))
            }
            State::GnuMap { entry, mut map, stored } => {
                let (pairs, more) = gnu_extension(block);
                map.push_gnu(pairs, self.limits.sparse_segments)?;
                if more {
                    self.state = State::GnuMap { entry, map, stored };
                    return Ok(None);
                }
                self.sparse_entry(entry, map, stored, stored).map(Some)
            }
            State::PaxMap { entry, mut lines, stored } => {
                if lines.push(block, self.limits.sparse_segments)? {
                    let data =
                        stored.checked_sub(lines.bytes).ok_or("the sparse map is longer than the entry")?;
                    return self.sparse_entry(entry, lines.into_map(), data, stored).map(Some);
                }
                if lines.bytes >= stored {
                    return Err("the sparse map is longer than the entry".into());
                }
                self.state = State::PaxMap { entry, lines, stored };
                Ok(None)
            }
            other => {
                self.state = other;
                Ok(None)
            }
        }
    }

    fn header(&mut self, block: &Block) -> Result<Option<Event>, Fault> {
        if is_zero(block) {
            if self.pending.wants_entry {
                return Err("ends after an extension header without its entry".into());
            }
            self.state = State::Zero;
            return Ok(None);
        }
        let header = Header::new(block).map_err(|fault| {
            // Types that store no data may claim a size; some writers then store data all the same, and where
            // that ends is anybody's guess.
            if self.last_claims_data {
                "an entry whose kind has no data has a size, and is not followed by a header".into()
            } else {
                fault
            }
        })?;
        let kind = match header.type_flag() {
            b'x' => ExtensionKind::Pax,
            b'g' => ExtensionKind::Global,
            b'L' => ExtensionKind::LongName,
            b'K' => ExtensionKind::LongLink,
            _ => return self.entry(&header),
        };
        // The size of an extension header is its own: a PAX size before it is for the file.
        let size = header.size()?;
        if size > self.limits.extension_bytes {
            return Err(Fault::Limit {
                limit: "extension header bytes",
                maximum: self.limits.extension_bytes,
            });
        }
        self.pending.count += 1;
        if self.pending.count > self.limits.pending_extensions {
            let maximum = u64::from(self.limits.pending_extensions);
            return Err(Fault::Limit { limit: "extension headers before one entry", maximum });
        }
        self.pending.wants_entry |= !matches!(kind, ExtensionKind::Global);
        self.pending.body.clear();
        self.state = State::Extension { kind, left: size, padding: padding(size) };
        Ok(None)
    }

    /// Takes in the body of an extension header, which is complete.
    fn extension(&mut self, kind: ExtensionKind) -> Result<(), Fault> {
        let limits = &self.limits;
        let pending = &mut self.pending;
        let long = |body: &[u8]| {
            let name = until_nul(body);
            if name.len() > limits.path_bytes {
                return Err(Fault::too_long(name, limits.path_bytes));
            }
            Ok(Some(name.to_vec()))
        };
        match kind {
            ExtensionKind::Pax => pending.records.parse(&pending.body, limits)?,
            ExtensionKind::LongName => pending.long_name = long(&pending.body)?,
            ExtensionKind::LongLink => pending.long_link = long(&pending.body)?,
            ExtensionKind::Global => {
                let mut records = Records::default();
                records.parse(&pending.body, limits)?;
                for key in self.global.merge(records) {
                    if !self.warned.contains(&key) {
                        self.warned.push(key);
                        self.warnings.push(Warning::IgnoredGlobalRecord { key });
                    }
                }
            }
        }
        Ok(())
    }

    fn begin_data(&mut self, entry: Entry, current: Segment, rest: Vec<Segment>, stored: u64) -> Event {
        self.state = State::Data(Data { current, rest: rest.into_iter(), padding: padding(stored) });
        Event::Entry(entry)
    }

    fn error(&self, fault: Fault, used: usize) -> Error {
        match fault {
            Fault::Bad(reason) => {
                let place = if self.in_entry { "in" } else { "after" };
                let reason = match self.last.as_slice() {
                    b"" => reason.into_owned(),
                    last => format!("{reason}, {place} entry {}", shown(last)),
                };
                Error::Archive { offset: self.position + used as u64, reason }
            }
            Fault::Limit { limit, maximum } => Error::Limit { limit, maximum },
        }
    }
}

impl Data {
    /// The segment with bytes to come.
    fn current(&mut self) -> Option<&mut Segment> {
        while self.current.len == 0 {
            self.current = self.rest.next()?;
        }
        Some(&mut self.current)
    }
}

/// What fills the last block.
fn padding(size: u64) -> u64 {
    let block = BLOCK as u64;
    (block - size % block) % block
}

fn at_most(want: u64, there: usize) -> usize {
    usize::try_from(want).map_or(there, |want| want.min(there))
}
