use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use super::input::Input;

/// gzip of any number of members (RFC 1952, 2.2), each with its trailer checked.
///
/// Zeros after the last member are padding; anything else there is skipped and counted.
#[derive(Debug)]
pub(super) struct GzipMembers<R> {
    state: State<R>,
    garbage: u64,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one per layer, and it is boxed as a whole")]
enum State<R> {
    Member(GzDecoder<Input<R>>),
    Tail(Input<R>),
    /// Only while one becomes the other.
    Between,
}

impl<R: Read> GzipMembers<R> {
    pub(super) fn new(input: Input<R>) -> Self {
        Self { state: State::Member(GzDecoder::new(input)), garbage: 0 }
    }

    /// Bytes after the last member that are not zeros.
    pub(super) fn garbage(&self) -> u64 {
        self.garbage
    }

    pub(super) fn input(&self) -> Option<&Input<R>> {
        match &self.state {
            State::Member(decoder) => Some(decoder.get_ref()),
            State::Tail(input) => Some(input),
            State::Between => None,
        }
    }

    pub(super) fn into_input(self) -> Option<Input<R>> {
        match self.state {
            State::Member(decoder) => Some(decoder.into_inner()),
            State::Tail(input) => Some(input),
            State::Between => None,
        }
    }

    /// After a member: the next one, or the end.
    fn next_member(&mut self) -> io::Result<()> {
        self.state = match std::mem::replace(&mut self.state, State::Between) {
            State::Member(decoder) => {
                let mut input = decoder.into_inner();
                match is_member(&mut input) {
                    Ok(true) => State::Member(GzDecoder::new(input)),
                    Ok(false) => State::Tail(input),
                    Err(e) => {
                        self.state = State::Tail(input);
                        return Err(e);
                    }
                }
            }
            other => other,
        };
        Ok(())
    }

    /// Reads to the end of the blob.
    fn drain_tail(input: &mut Input<R>, garbage: &mut u64) -> io::Result<()> {
        loop {
            let bytes = input.fill_buf()?;
            if bytes.is_empty() {
                return Ok(());
            }
            if *garbage > 0 || bytes.iter().any(|&b| b != 0) {
                *garbage += bytes.len() as u64;
            }
            let n = bytes.len();
            input.consume(n);
        }
    }
}

impl<R: Read> Read for GzipMembers<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            match &mut self.state {
                State::Member(decoder) => {
                    let n = decoder.read(buf)?;
                    if n > 0 {
                        return Ok(n);
                    }
                    self.next_member()?;
                }
                State::Tail(input) => {
                    Self::drain_tail(input, &mut self.garbage)?;
                    return Ok(0);
                }
                State::Between => return Ok(0),
            }
        }
    }
}

/// Whether a member follows: what begins like one has to be one to its end.
fn is_member<R: Read>(input: &mut Input<R>) -> io::Result<bool> {
    Ok(input.peek(2)?.starts_with(&[0x1f, 0x8b]))
}
