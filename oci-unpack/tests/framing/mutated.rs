//! Damaged archives: where we and another reader both find entries, they are the same ones.
//!
//! That we refuse more is meant; where one of the others refuses what we take, the reason stands in a table.

use crate::differential::{ACCEPTED, cases};
use crate::readers::{self, READERS};

/// Numbers without a pattern, the same in every run.
struct Noise(u64);

impl Noise {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// A cut, or a byte changed, in a header with its checksum made right.
fn damage(archive: &[u8], noise: &mut Noise) -> Vec<u8> {
    let mut archive = archive.to_vec();
    let at = noise.below(archive.len());
    if noise.below(8) == 0 {
        archive.truncate(at);
        return archive;
    }
    archive[at] = match noise.below(3) {
        0 => archive[at] ^ 1 << noise.below(8),
        1 => b"\0 0/7x\xff"[noise.below(7)],
        _ => noise.below(256) as u8,
    };
    let start = at / 512 * 512;
    if let Some(block) = archive.get_mut(start..start + 512)
        && block[257..262] == *b"ustar"
    {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    archive
}

/// What we take and one of the others refuses: reader, a part of its message, and why.
const STRICTER: &[(&str, &str, &str)] = &[
    ("tar-core (crate)", "checksum mismatch", ONE_BLOCK),
    ("tar-core (crate)", "invalid octal field", ONE_BLOCK),
    ("tar-core (crate)", "cut", "it wants the entry after a global header"),
    (
        "tar-core (crate)",
        "invalid UTF-8 in PAX key",
        "keys are bytes here, and one that is not known says nothing",
    ),
    ("tar (crate)", "unexpected EOF during skip", "it wants the padding of the last file"),
    ("tar (crate)", "failed to read entire block", "it wants the end mark whole, if it is there"),
    ("tar (crate)", "getting cksum", "it takes a size by PAX for fewer types of files"),
];

const ONE_BLOCK: &str = "it goes on after one block of zeros, where we stop and tell";

#[test]
fn damaged_archives() {
    let mut noise = Noise(1);
    let mut same = 0;
    let mut wrong = Vec::new();
    for (case, archive) in cases().iter().filter(|(_, archive)| !archive.is_empty()) {
        for number in 0..100 {
            let damaged = damage(archive, &mut noise);
            let Ok(ours) = readers::ours(&damaged) else { continue };
            for (reader, read) in READERS.into_iter().filter(|(name, _)| name.contains("crate")) {
                // Differences that are there without any damage.
                if ACCEPTED.iter().any(|(c, r, _)| c == case && *r == reader) {
                    continue;
                }
                match read(&damaged) {
                    Some(Ok(theirs)) if theirs == ours => same += 1,
                    Some(Err(e)) if STRICTER.iter().any(|(r, part, _)| *r == reader && e.contains(part)) => {}
                    theirs => wrong.push(format!("{case}, {number}, {reader}: {ours:?} {theirs:?}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(same > 3000, "{same} were read alike");
}
