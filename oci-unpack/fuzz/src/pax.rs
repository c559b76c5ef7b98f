//! Any bytes as the body of an extension header, read against the grammar in its plainest form.

use super::choices::Choices;
use super::framing::{Seen, decode};
use super::layer::{Item, archive, cut, extension, file, records};

/// The first byte chooses the header's type, the rest is its body.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let flag = choices.of(b"xxxgLK");
    let body = data.get(1..).unwrap_or_default();
    let seen = decode(&whole(flag, body), &[]);
    seen.check();
    let Some(grammar) = grammar(body) else {
        assert!(
            !matches!(flag, b'x' | b'g') || seen.error.is_some(),
            "broken records are accepted: {seen:?}"
        );
        return;
    };
    match (flag, &seen.error) {
        (b'x', None) => check(&grammar, &seen),
        // What may be wrong with well-formed records is what they say.
        (b'x' | b'g', Some(error)) => assert!(!error.contains("PAX record"), "{error}"),
        _ => {}
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let all = records(&[
        ("path", "p"),
        ("linkpath", "l"),
        ("size", "1"),
        ("uid", "5"),
        ("gid", "6"),
        ("mtime", "-1.5"),
        ("SCHILY.xattr.user.a", "x"),
        ("LIBARCHIVE.xattr.user.b", "aGk="),
        ("GNU.sparse.major", "1"),
    ]);
    let sparse = records(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,1"), ("GNU.sparse.name", "n")]);
    [
        (0, all),
        (0, sparse),
        (3, records(&[("uid", "5"), ("path", "x")])),
        (4, b"name\0".to_vec()),
        (0, b"9 path=".into()),
    ]
    .map(|(flag, body)| [&[flag][..], &body].concat())
    .into()
}

fn whole(flag: u8, body: &[u8]) -> Vec<u8> {
    let items: [Item; 4] = [extension(flag, body), file("f", "x"), file("next", "n"), cut([0; 1024])];
    archive(&items)
}

type Pairs<'a> = Vec<(&'a [u8], &'a [u8])>;

/// "%d %s=%s\n", where the number is the length of it all.
fn grammar(mut body: &[u8]) -> Option<Pairs<'_>> {
    let mut pairs = Vec::new();
    while !body.is_empty() {
        let digits = body.iter().take_while(|b| b.is_ascii_digit()).count();
        let len: usize = std::str::from_utf8(&body[..digits]).ok()?.parse().ok()?;
        let record = body.get(..len)?;
        let text = record.get(digits..)?.strip_prefix(b" ")?.strip_suffix(b"\n")?;
        let equals = text.iter().position(|b| *b == b'=')?;
        pairs.push((&text[..equals], &text[equals + 1..]));
        body = &body[len..];
    }
    // An empty key is no key.
    pairs.iter().all(|(key, _)| !key.is_empty()).then_some(pairs)
}

/// Of each key the last value counts; an empty one is as if the key were not there.
fn check(pairs: &Pairs<'_>, seen: &Seen) {
    let last = |key: &str| pairs.iter().rev().find(|(k, _)| *k == key.as_bytes()).map(|(_, v)| *v);
    let set = |key: &str| last(key).filter(|v| !v.is_empty());
    let entry = &seen.entries[0];
    let path = set("GNU.sparse.name").or(set("path")).unwrap_or(b"f");
    assert_eq!(entry.path, path);
    if let Some(uid) = set("uid") {
        let uid = std::str::from_utf8(uid).unwrap().trim();
        assert_eq!(uid.parse(), Ok(entry.uid));
    }
    for (key, _) in pairs {
        let Some(name) = key.strip_prefix(b"SCHILY.xattr.") else { continue };
        let text = String::from_utf8_lossy(key);
        if text.as_bytes() == *key {
            let value = last(&text).unwrap();
            assert!(entry.xattrs.iter().any(|(n, v)| n == name && v == value), "{text}");
        }
    }
}
