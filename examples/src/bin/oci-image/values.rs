//! What options take.

use oci_digest::Digest;

/// `NAME=VALUE`, or `-NAME` to remove it.
pub(crate) fn pair(text: &str) -> Result<(String, Option<String>), String> {
    match (text.split_once('='), text.strip_prefix('-')) {
        (Some((name, value)), _) if !name.is_empty() => Ok((name.to_owned(), Some(value.to_owned()))),
        (None, Some(name)) if !name.is_empty() => Ok((name.to_owned(), None)),
        _ => Err("expected NAME=VALUE, or -NAME to remove it".to_owned()),
    }
}

/// A digest.
pub(crate) fn parsed_digest(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|_| "expected a digest as sha256:…".to_owned())
}

#[cfg(test)]
mod tests {
    use super::pair;

    #[test]
    fn pairs() {
        for (text, expected) in [
            ("A=b", Some(("A", Some("b")))),
            ("A=b=c", Some(("A", Some("b=c")))),
            ("A=", Some(("A", Some("")))),
            ("-A", Some(("A", None))),
            ("-A=b", Some(("-A", Some("b")))),
            ("A", None),
            ("=b", None),
            ("-", None),
            ("", None),
        ] {
            let expected = expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
            assert_eq!(pair(text).ok(), expected, "{text}");
        }
    }
}
