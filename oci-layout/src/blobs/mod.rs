//! Blobs: `blobs/<algorithm>/<encoded>`, written whole or not at all.

mod adopt;
mod barrier;
mod ingest;
mod list;
mod read;
mod staging;
mod writer;

use std::path::PathBuf;

use oci_digest::{Algorithm, Digest};

use crate::Result;
use crate::layout::BLOBS;
use crate::root::Root;

pub(crate) use list::{Listed, Listing, digest_named, for_each, is_plain, since, size};
pub(crate) use read::invalid_offset;
pub(crate) use staging::PARTIAL;
pub use writer::BlobWriter;

/// Where a blob lies: made from the algorithm's own name and checked hexadecimal digits only.
///
/// image-layout.md, Blobs: "The blobs directory MUST contain blobs named by `<alg>/<encoded>`".
#[derive(Debug)]
pub(crate) struct BlobName<'d> {
    pub(crate) algorithm: Algorithm,
    pub(crate) encoded: &'d str,
}

impl<'d> BlobName<'d> {
    pub(crate) fn of(digest: &'d Digest) -> Result<Self> {
        let algorithm = Algorithm::of(digest)?;
        let encoded = digest.digest();
        // `Digest` promises it for these algorithms; a path is too dear to trust another crate's promise.
        if encoded.is_empty() || !encoded.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(oci_digest::Error::Invalid {
                what: "digest",
                value: digest.to_string(),
                reason: "not lower-case hexadecimal".to_owned(),
            }
            .into());
        }
        Ok(Self { algorithm, encoded })
    }

    pub(crate) fn folder(&self) -> [&'static str; 2] {
        [BLOBS, self.algorithm.as_str()]
    }

    pub(crate) fn path(&self, root: &Root) -> PathBuf {
        root.blobs_path().join(self.algorithm.as_str()).join(self.encoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_algorithms_have_a_folder() {
        let known: Digest = format!("sha512:{}", "0".repeat(128)).parse().unwrap();
        assert_eq!(BlobName::of(&known).unwrap().folder(), ["blobs", "sha512"]);
        for text in ["multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8", "blake3:00"] {
            let unknown: Digest = text.parse().unwrap();
            assert!(BlobName::of(&unknown).is_err(), "{text}");
        }
        for text in ["sha256:../../../../etc/passwd", "..:00", "sha256:..", "sha256/x:00"] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
