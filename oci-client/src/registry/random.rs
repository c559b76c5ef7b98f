//! Names that cannot be guessed.

use std::fs::File;
use std::io::{self, Read};

/// 128 bits from the kernel's generator, as 32 hexadecimal digits.
pub(super) fn hex() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether two secrets are equal, in a time that does not tell how much of them is.
pub(super) fn same_secret(one: &[u8], two: &[u8]) -> bool {
    use oci_digest::{Algorithm, digest_of};
    // Hashes have one length, so that the lengths of the secrets do not show either.
    let (one, two) = (digest_of(Algorithm::Sha256, one), digest_of(Algorithm::Sha256, two));
    let pairs = one.as_ref().bytes().zip(two.as_ref().bytes());
    let difference = pairs.fold(0u8, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        let (one, two) = (hex().unwrap(), hex().unwrap());
        assert_ne!(one, two);
        assert!(one.len() == 32 && one.bytes().all(|b| b.is_ascii_hexdigit()));
    }

    #[test]
    fn secrets_compare() {
        assert!(same_secret(b"abc", b"abc"));
        for other in [&b""[..], b"ab", b"abd", b"abcd"] {
            assert!(!same_secret(b"abc", other));
        }
    }
}
