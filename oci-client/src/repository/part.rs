use std::fmt;
use std::io;

use oci_digest::Digest;

/// How much of a blob came before it was given up.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) came: u64,
    pub(super) size: u64,
    pub(super) digest: Digest,
    pub(super) attempts: u32,
}

impl Part {
    /// The last break, told together with this. Its kind stays.
    pub(super) fn broken(self, last: io::Error) -> io::Error {
        io::Error::new(last.kind(), Broken { part: self, last })
    }
}

#[derive(Debug)]
struct Broken {
    part: Part,
    last: io::Error,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Part { came, size, digest, attempts } = &self.part;
        let attempts = match attempts {
            1 => "one attempt".to_owned(),
            more => format!("{more} attempts"),
        };
        write!(f, "{came} of {size} bytes of {digest} came in {attempts}")
    }
}

impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.last)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use oci_digest::{Algorithm, digest_of};

    use super::*;

    #[test]
    fn keeps_the_kind_and_the_last_break() {
        let digest = digest_of(Algorithm::Sha256, b"");
        let shown = format!("3 of 9 bytes of {digest} came in 2 attempts");
        let part = Part { came: 3, size: 9, digest, attempts: 2 };
        let error = part.broken(io::Error::new(io::ErrorKind::TimedOut, "silence"));
        assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::TimedOut, shown));
        assert_eq!(error.source().unwrap().to_string(), "silence");
    }
}
