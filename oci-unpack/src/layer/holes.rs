//! Zeros that need not be written.

/// What file systems keep apart; smaller holes save nothing.
const BLOCK: usize = 4096;

/// The runs of a file's content, from `offset` on, that are not whole blocks of zeros.
pub(super) fn between(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    // Blocks are counted from the start of the file.
    let lead = (BLOCK - (offset % BLOCK as u64) as usize) % BLOCK;
    let (lead, blocks) = bytes.split_at(lead.min(bytes.len()));
    let first = std::iter::once(lead).filter(|lead| !lead.is_empty());
    let mut at = offset;
    let pieces = first.chain(blocks.chunks(BLOCK)).map(move |piece| {
        let from = at;
        at += piece.len() as u64;
        (from, piece)
    });
    let mut pieces =
        pieces.filter(|(_, piece)| piece.len() < BLOCK || piece.iter().any(|&b| b != 0)).peekable();
    std::iter::from_fn(move || {
        let (from, piece) = pieces.next()?;
        let mut end = from + piece.len() as u64;
        while let Some((_, next)) = pieces.next_if(|(next, _)| *next == end) {
            end += next.len() as u64;
        }
        let range = usize::try_from(from - offset).ok()?..usize::try_from(end - offset).ok()?;
        Some((from, bytes.get(range)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_blocks_of_zeros_are_left_out() {
        let bytes = |parts: &[(u8, usize)]| -> Vec<u8> {
            parts.iter().flat_map(|(byte, len)| std::iter::repeat_n(*byte, *len)).collect()
        };
        for (offset, parts, expected) in [
            (0, &[(1, 10)][..], &[(0, 10)][..]),
            (0, &[(0, 4096)], &[]),
            (0, &[(0, 4095)], &[(0, 4095)]),
            (0, &[(1, 4096), (0, 4096), (1, 1)], &[(0, 4096), (8192, 1)]),
            (0, &[(1, 1), (0, 8191), (1, 8192)], &[(0, 4096), (8192, 8192)]),
            // The blocks are those of the file, whatever the pieces are.
            (4000, &[(0, 96), (0, 4096), (2, 4)], &[(4000, 96), (8192, 4)]),
            (4000, &[(0, 10)], &[(4000, 10)]),
            (4096, &[(0, 8192), (0, 5)], &[(12288, 5)]),
            (8192, &[], &[]),
        ] {
            let bytes = bytes(parts);
            let runs: Vec<(u64, usize)> = between(offset, &bytes).map(|(at, run)| (at, run.len())).collect();
            assert_eq!(runs, expected, "{offset} {parts:?}");
            let mut rebuilt = vec![0; bytes.len()];
            for (at, run) in between(offset, &bytes) {
                let at = (at - offset) as usize;
                rebuilt[at..at + run.len()].copy_from_slice(run);
            }
            assert_eq!(rebuilt, bytes);
        }
    }
}
