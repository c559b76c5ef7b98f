//! Extended attributes: two spellings in PAX records, one list.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::FramingLimits;
use super::fault::Fault;

/// libarchive writes no padding, others do.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The attributes collected for one entry, in the order of their records.
#[derive(Debug, Clone, Default)]
pub(super) struct Xattrs {
    list: Vec<Xattr>,
    /// Of names and values.
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Xattr {
    name: Vec<u8>,
    value: Vec<u8>,
    /// From `SCHILY.xattr.`, which wins over `LIBARCHIVE.xattr.`.
    schily: bool,
}

impl Xattrs {
    /// `SCHILY.xattr.NAME`: both as they are.
    pub(super) fn schily(&mut self, name: &[u8], value: &[u8], limits: &FramingLimits) -> Result<(), Fault> {
        self.push(name.to_vec(), value.to_vec(), true, limits)
    }

    /// `LIBARCHIVE.xattr.NAME`: the name %-encoded, the value in base64.
    pub(super) fn libarchive(
        &mut self,
        name: &[u8],
        value: &[u8],
        limits: &FramingLimits,
    ) -> Result<(), Fault> {
        let value = BASE64.decode(value).map_err(|_| "LIBARCHIVE.xattr value is not base64")?;
        self.push(percent_decoded(name), value, false, limits)
    }

    fn push(
        &mut self,
        name: Vec<u8>,
        value: Vec<u8>,
        schily: bool,
        limits: &FramingLimits,
    ) -> Result<(), Fault> {
        if value.len() > limits.xattr_bytes {
            return Err(Fault::limit("xattr bytes", limits.xattr_bytes));
        }
        self.bytes = self.bytes.saturating_add(name.len()).saturating_add(value.len());
        if self.bytes > limits.entry_xattr_bytes {
            return Err(Fault::limit("xattr bytes of one entry", limits.entry_xattr_bytes));
        }
        if name.is_empty() || name.contains(&0) {
            return Err("an xattr name is empty or holds a NUL byte".into());
        }
        self.list.push(Xattr { name, value, schily });
        Ok(())
    }

    /// Sorted by name; of one name the last of the winning spelling.
    pub(super) fn into_list(mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        // Sorting, not searching for each: an extension header has room for ten thousands of names.
        self.list.sort_by(|a, b| (&a.name, a.schily).cmp(&(&b.name, b.schily)));
        let mut list: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(self.list.len());
        for Xattr { name, value, .. } in self.list {
            match list.last_mut() {
                Some(last) if last.0 == name => last.1 = value,
                _ => list.push((name, value)),
            }
        }
        list
    }
}

/// What is no valid escape stays as it is.
fn percent_decoded(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = match (first, tail) {
            (b'%', [high, low, after @ ..]) => hex(*high).zip(hex(*low)).map(|(h, l)| (h << 4 | l, after)),
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((first, tail));
        out.push(byte);
        rest = after;
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_and_decoded() {
        let limits = FramingLimits::default();
        let mut xattrs = Xattrs::default();
        xattrs.schily(b"user.b", b"schily", &limits).unwrap();
        xattrs.libarchive(b"user.b", b"bG9zZXM", &limits).unwrap();
        xattrs.libarchive(b"user.%c3%A9%", b"aGk=", &limits).unwrap();
        xattrs.schily(b"user.c", b"first", &limits).unwrap();
        xattrs.schily(b"user.c", b"", &limits).unwrap();
        assert_eq!(
            xattrs.into_list(),
            [
                (b"user.b".to_vec(), b"schily".to_vec()),
                (b"user.c".to_vec(), b"".to_vec()),
                (b"user.\xc3\xa9%".to_vec(), b"hi".to_vec()),
            ]
        );
    }

    #[test]
    fn refused() {
        let limits = FramingLimits::default().xattr_bytes(4).entry_xattr_bytes(20);
        let mut xattrs = Xattrs::default();
        assert!(matches!(xattrs.schily(b"user.x", b"12345", &limits), Err(Fault::Limit { maximum: 4, .. })));
        assert!(xattrs.schily(b"", b"", &limits).is_err());
        assert!(xattrs.libarchive(b"user.%00", b"", &limits).is_err());
        assert!(xattrs.libarchive(b"user.x", b"*", &limits).is_err());
        let mut xattrs = Xattrs::default();
        xattrs.schily(b"user.x", b"1234", &limits).unwrap();
        xattrs.schily(b"user.y", b"1234", &limits).unwrap();
        assert!(matches!(xattrs.schily(b"u", b"", &limits), Err(Fault::Limit { maximum: 20, .. })));
    }
}
