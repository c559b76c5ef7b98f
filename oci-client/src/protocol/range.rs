/// The value of a `Range` header for the bytes from `first` up to the end of `size`: always closed, since some
/// registries refuse open ones.
pub(crate) fn closed(first: u64, size: u64) -> String {
    format!("bytes={first}-{}", size.saturating_sub(1))
}

/// The first and last byte and the whole size (`None` for `*`) of a `Content-Range` (RFC 9110 section 14.4).
pub(crate) fn content_range(value: &str) -> Option<(u64, u64, Option<u64>)> {
    let (unit, rest) = value.trim().split_once(' ')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (range, size) = rest.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let size = if size == "*" { None } else { Some(number(size)?) };
    let well_formed = first <= last && size.is_none_or(|size| last < size);
    well_formed.then_some((first, last, size))
}

/// A number as ranges have it: digits and nothing else.
pub(crate) fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(closed(5, 10), "bytes=5-9");
        for (value, expected) in [
            ("bytes 5-9/10", Some((5, 9, Some(10)))),
            ("Bytes 5-9/*", Some((5, 9, None))),
            ("bytes 5-10/10", None),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("bytes 5-/10", None),
            ("bytes +5-9/10", None),
            ("items 5-9/10", None),
            ("bytes=5-9/10", None),
            ("bytes 0-99999999999999999999/*", None),
            ("", None),
        ] {
            assert_eq!(content_range(value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,40}", almost in "bytes [0-9]{0,22}-[0-9]{0,22}/[0-9*]{0,22}") {
            let _ = content_range(&text);
            let _ = content_range(&almost);
        }
    }
}
