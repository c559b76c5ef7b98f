use std::fmt::Write;

use oci_unpack::compression::Compression;
use oci_unpack::pack::{LayerWriter, PackOptions, PackedLayer};

/// The bytes of a layer's blob, and what the manifest and the config say of it.
pub type MadeLayer = (Vec<u8>, PackedLayer);

/// Files in each folder of [`small_files`].
const PER_FOLDER: u32 = 100;

/// A layer of many small text files, 100 to a folder: 1 KiB to 5 KiB each, which compress as text does.
///
/// # Errors
/// What writing a layer can meet.
pub fn small_files(count: u32, compression: Compression) -> oci_unpack::Result<MadeLayer> {
    let mut layer = LayerWriter::new(Vec::new(), &PackOptions::default().compression(compression))?;
    for index in 0..count {
        let folder = format!("srv/{:03}", index / PER_FOLDER);
        if index == 0 {
            layer.add_dir("srv", 0o755)?;
        }
        if index % PER_FOLDER == 0 {
            layer.add_dir(&folder, 0o755)?;
        }
        let text = text(u64::from(index), 1024 + (index as usize * 37) % 4096);
        layer.add_file(format!("{folder}/{index:05}.txt"), 0o644, text.len() as u64, text.as_bytes())?;
    }
    layer.finish()
}

/// A layer of one file that does not compress, of about as many bytes; another `seed`, another layer.
///
/// # Errors
/// What writing a layer can meet.
pub fn noise_layer(seed: u64, bytes: usize) -> oci_unpack::Result<MadeLayer> {
    let mut layer = LayerWriter::new(Vec::new(), &PackOptions::default().level(1))?;
    layer.add_file(format!("noise-{seed}"), 0o644, bytes as u64, &noise(seed, bytes)[..])?;
    layer.finish()
}

/// Bytes that do not compress, always the same for a `seed`.
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = Scramble::new(seed);
    let mut all = Vec::with_capacity(bytes.next_multiple_of(8));
    while all.len() < bytes {
        all.extend_from_slice(&state.next().to_le_bytes());
    }
    all.truncate(bytes);
    all
}

fn text(seed: u64, bytes: usize) -> String {
    let mut state = Scramble::new(seed);
    let mut all = String::with_capacity(bytes + 32);
    while all.len() < bytes {
        let _ = writeln!(all, "line {:04} of {seed}: {:08x}", all.len(), state.next() as u32);
    }
    all
}

/// Marsaglia's xorshift64*: cheap, and without visible pattern.
struct Scramble(u64);

impl Scramble {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn noise_is_always_the_same_and_does_not_compress() {
        assert_eq!(noise(1, 100), noise(1, 100));
        assert_ne!(noise(1, 100), noise(2, 100));
        let (blob, _) = noise_layer(7, 100_000).unwrap();
        assert!(blob.len() > 99_000, "{}", blob.len());
    }

    #[test]
    fn small_files_have_their_folders() {
        let (blob, layer) = small_files(250, Compression::Gzip).unwrap();
        assert_eq!(layer.entries, 250 + 1 + 3);
        assert_eq!(layer.size, blob.len() as u64);
        assert!(layer.uncompressed_size > 2 * layer.size);
    }
}
