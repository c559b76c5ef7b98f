use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Algorithm, Descriptor, digest_of};

/// The bytes that a descriptor carries in `data`, if they are the right ones.
///
/// image-spec descriptor.md: implementations that use `data` MUST verify it, as if the content had been fetched.
pub fn embedded(descriptor: &Descriptor) -> Option<Vec<u8>> {
    let data = descriptor.data().as_deref()?;
    // Base64 of that many bytes, before anything is decoded.
    if data.len() as u64 != descriptor.size().div_ceil(3).checked_mul(4)? {
        return None;
    }
    let bytes = STANDARD.decode(data).ok()?;
    let algorithm = Algorithm::of(descriptor.digest()).ok()?;
    let fits =
        bytes.len() as u64 == descriptor.size() && digest_of(algorithm, &bytes) == *descriptor.digest();
    fits.then_some(bytes)
}

/// Content as the text that a descriptor's `data` holds.
///
/// image-spec descriptor.md: base64 as in RFC 4648, section 4.
pub fn embed(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MediaType;

    #[test]
    fn embedded_data_counts_only_when_it_is_the_content() {
        let descriptor = |data: &str, bytes: &[u8]| {
            let mut descriptor = Descriptor::new(
                MediaType::EmptyJSON,
                bytes.len() as u64,
                digest_of(Algorithm::Sha256, bytes),
            );
            descriptor.set_data(Some(data.to_owned()));
            descriptor
        };
        for bytes in [&b"{}"[..], b"", b"abc", &[0xff; 100]] {
            assert_eq!(embedded(&descriptor(&embed(bytes), bytes)).as_deref(), Some(bytes));
        }
        assert_eq!(embedded(&descriptor("e30=", b"{}")).as_deref(), Some(&b"{}"[..]));
        for (data, bytes) in [("e30=", &b"[]"[..]), ("e30=", b"{} "), ("e30", b"{}"), ("!!!!", b"{}")] {
            assert_eq!(embedded(&descriptor(data, bytes)), None);
        }
        let mut huge = descriptor("e30=", b"{}");
        huge.set_size(u64::MAX);
        assert_eq!(embedded(&huge), None);
    }
}
