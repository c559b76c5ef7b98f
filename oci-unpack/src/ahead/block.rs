use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

/// The size of a block: large enough that handing one over costs little, small enough that those on the way stay in
/// the processors' caches.
const BLOCK: usize = 256 << 10;

/// Buffers that are used again and again. There are never more than their users hold at once.
#[derive(Debug, Clone)]
pub(super) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

/// A filled buffer, which goes back to its pool with its last user.
#[derive(Debug)]
pub(super) struct Block {
    buffer: Vec<u8>,
    len: usize,
    pool: Pool,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Vec::new())))
    }

    /// Reads until a block is full or the input has ended. `None`: there was nothing any more.
    pub(super) fn fill(&self, input: &mut impl Read) -> io::Result<Option<Block>> {
        let buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = buffer.unwrap_or_else(|| vec![0; BLOCK]);
        let mut block = Block { buffer, len: 0, pool: self.clone() };
        while let Some(room) = block.buffer.get_mut(block.len..)
            && !room.is_empty()
        {
            match input.read(room) {
                Ok(0) => break,
                Ok(n) => block.len += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok((block.len > 0).then_some(block))
    }
}

impl Block {
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        self.pool.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn blocks_are_full_and_their_buffers_used_again() {
        let pool = Pool::new();
        let bytes: Vec<u8> = (0..BLOCK + 10).map(|i| i as u8).collect();
        // A reader that gives a little at a time.
        let mut input = bytes[..1].chain(&bytes[1..BLOCK / 2]).chain(&bytes[BLOCK / 2..]);
        let first = pool.fill(&mut input).unwrap().unwrap();
        assert_eq!(first.bytes(), &bytes[..BLOCK]);
        let address = first.buffer.as_ptr();
        drop(first);
        let second = pool.fill(&mut input).unwrap().unwrap();
        assert_eq!(second.bytes(), &bytes[BLOCK..]);
        assert_eq!(second.buffer.as_ptr(), address);
        assert!(pool.fill(&mut input).unwrap().is_none());
    }
}
