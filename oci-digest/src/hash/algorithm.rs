use crate::spec::DigestAlgorithm;
use crate::{Digest, Error, Result};

/// The digest algorithms that can be computed.
///
/// image-spec descriptor.md, Registered Algorithms: sha256 MUST be implemented, sha512 SHOULD. Digests of other
/// algorithms parse (so that documents holding them can be read) and are refused here, on use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256, 64 hexadecimal digits.
    #[default]
    Sha256,
    /// SHA-384, 96 hexadecimal digits.
    Sha384,
    /// SHA-512, 128 hexadecimal digits.
    Sha512,
}

impl Algorithm {
    /// Every algorithm that can be computed.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The algorithm of a digest.
    ///
    /// # Errors
    /// [`Error::UnsupportedAlgorithm`] when it cannot be computed here.
    pub fn of(digest: &Digest) -> Result<Self> {
        match digest.algorithm() {
            DigestAlgorithm::Sha256 => Ok(Self::Sha256),
            DigestAlgorithm::Sha384 => Ok(Self::Sha384),
            DigestAlgorithm::Sha512 => Ok(Self::Sha512),
            other => Err(Error::UnsupportedAlgorithm { algorithm: other.to_string() }),
        }
    }

    /// The algorithm component of a digest, for example `sha256`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
