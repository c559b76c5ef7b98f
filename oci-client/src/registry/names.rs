//! The grammar of names, tags and queries: everything in a request's address is checked here before any use.

use oci_digest::{Algorithm, Digest};

use super::response::{Code, Failure};
use crate::reference::{check_repository, check_tag};

/// No such name has an empty part, a dot part, or a character that a file system treats specially.
pub(super) fn is_name(name: &str) -> bool {
    check_repository(name).is_ok()
}

pub(super) fn is_tag(tag: &str) -> bool {
    check_tag(tag).is_ok()
}

/// A digest that can be computed here.
pub(super) fn digest(text: &str) -> Result<Digest, Failure> {
    let digest: Digest =
        text.parse().map_err(|_| Failure::bad(Code::DigestInvalid, "the digest is not well-formed"))?;
    match Algorithm::of(&digest) {
        Ok(_) => Ok(digest),
        Err(error) => Err(Failure::bad(Code::DigestInvalid, error.to_string())),
    }
}

/// The bytes behind `%XX`, as text. `None` when there is an open escape or no UTF-8.
pub(super) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The parameters of a query, in order, decoded.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Result<Self, Failure> {
        let mut pairs = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| percent_decode(&text.replace('+', " "));
            let (Some(key), Some(value)) = (decode(key), decode(value)) else {
                return Err(Failure::bad(Code::Unsupported, "the query is not well-formed"));
            };
            pairs.push((key, value));
        }
        Ok(Self(pairs))
    }

    pub(super) fn first(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names() {
        for good in ["a", "library/alpine", "a.b/c_d/e__f/g-h/i---j", "0/1", &"a".repeat(255)] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "a/../b",
            "a/./b",
            "A",
            "a..b",
            "a___b",
            "a._b",
            "-a",
            "a-",
            "a_",
            "a b",
            "a\\b",
            "a\0b",
            "é",
            "a:b",
            &"a".repeat(256),
        ] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn tags() {
        for good in ["latest", "_x", "1.0-rc.1", "A", &"t".repeat(128)] {
            assert!(is_tag(good), "{good}");
        }
        for bad in ["", ".x", "-x", "a b", "a/b", "a:b", "é", "../x", &"t".repeat(129)] {
            assert!(!is_tag(bad), "{bad:?}");
        }
    }

    #[test]
    fn queries() {
        let query = Query::parse(Some("a=1&b=x%2By+z&a=2&c&&d=%3A")).unwrap();
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.first("b"), Some("x+y z"));
        assert_eq!(query.first("c"), Some(""));
        assert_eq!(query.first("d"), Some(":"));
        assert_eq!(query.first("e"), None);
        for bad in ["a=%", "a=%2", "a=%zz", "a=%ff"] {
            assert!(Query::parse(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn escapes_come_back() {
        for text in ["a/b", "sha256:00", "x y&z=é%"] {
            assert_eq!(percent_decode(&crate::protocol::url::encode(text)).as_deref(), Some(text));
        }
    }
}
