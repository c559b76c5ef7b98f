//! What a JSON document names: every descriptor in it, however deep, whatever the document is.

use std::collections::HashSet;
use std::fmt;

use oci_digest::Digest;
use oci_digest::media_type::Kind;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A descriptor, or something that looks like one: an object with a `digest`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reference {
    pub(crate) digest: Digest,
    /// What its `mediaType` stands for; [`Kind::Other`] when it has none.
    pub(crate) kind: Kind,
}

/// What a document names.
#[derive(Debug, Default)]
pub(crate) struct References {
    /// Each digest once for each kind it is named as, in the order of the document.
    pub(crate) all: Vec<Reference>,
    /// The digest of its `subject`, which is among them.
    pub(crate) subject: Option<Digest>,
}

impl References {
    /// Reads a document. Whatever is an object with a `digest` counts, so that types of documents that nobody has
    /// thought of yet are understood, too; a text that is no digest names nothing.
    ///
    /// Strings are not kept and values are not built: what it costs is the list.
    pub(crate) fn of(json: &[u8]) -> serde_json::Result<Self> {
        let mut found = Found::default();
        let mut parser = serde_json::Deserializer::from_slice(json);
        Visit { found: &mut found, depth: 0 }.run(&mut parser)?;
        parser.end()?;
        Ok(Self { all: found.all, subject: found.subject })
    }
}

#[derive(Default)]
struct Found {
    seen: HashSet<Reference>,
    all: Vec<Reference>,
    subject: Option<Digest>,
}

/// One value of the document; its depth tells the document's own members from those further down.
struct Visit<'f> {
    found: &'f mut Found,
    depth: u32,
}

/// What a value turned out to be, for the object it is a member of.
enum Seen {
    Text(String),
    /// An object, with the digest it has.
    Object(Option<Digest>),
    Other,
}

impl Visit<'_> {
    fn run<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Visit<'_> {
    type Value = Seen;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        self.run(deserializer)
    }
}

impl<'de> Visitor<'de> for Visit<'_> {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Seen, A::Error> {
        let (mut digest, mut media_type) = (None, None);
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Digest => {
                    if let Seen::Text(text) = map.next_value_seed(self.below())? {
                        // Of two members of one name every reader believes another: both count.
                        if let Some(first) = digest.replace(text).and_then(|text| text.parse().ok()) {
                            self.found.add(first, Kind::Other);
                        }
                    }
                }
                Key::MediaType => {
                    if let Seen::Text(text) = map.next_value_seed(self.below())? {
                        media_type = Some(text);
                    }
                }
                Key::Subject if self.depth == 0 => {
                    if let Seen::Object(Some(subject)) = map.next_value_seed(self.below())? {
                        self.found.subject = Some(subject);
                    }
                }
                Key::Subject | Key::Other => {
                    map.next_value_seed(self.below())?;
                }
            }
        }
        let digest: Option<Digest> = digest.and_then(|text| text.parse().ok());
        if let Some(digest) = &digest {
            let kind = media_type.as_deref().map_or(Kind::Other, Kind::parse);
            self.found.add(digest.clone(), kind);
        }
        Ok(Seen::Object(digest))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Seen, A::Error> {
        while seq.next_element_seed(self.below())?.is_some() {}
        Ok(Seen::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Seen, E> {
        // A digest or a media type; anything longer is neither.
        Ok(if text.len() <= 1024 { Seen::Text(text.to_owned()) } else { Seen::Other })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(Seen::Other)
    }
}

impl Visit<'_> {
    fn below(&mut self) -> Visit<'_> {
        Visit { found: self.found, depth: self.depth + 1 }
    }
}

impl Found {
    fn add(&mut self, digest: Digest, kind: Kind) {
        let reference = Reference { digest, kind };
        if self.seen.insert(reference.clone()) {
            self.all.push(reference);
        }
    }
}

enum Key {
    Digest,
    MediaType,
    Subject,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Key, E> {
                Ok(match name {
                    // The second is what docker's schema 1 has.
                    "digest" | "blobSum" => Key::Digest,
                    "mediaType" => Key::MediaType,
                    "subject" => Key::Subject,
                    _ => Key::Other,
                })
            }
        }
        deserializer.deserialize_identifier(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_has_a_digest_is_named() {
        let of = |n: u8| format!("sha256:{}", format!("{n:02x}").repeat(32));
        let text = format!(
            r#"{{
                "mediaType": "application/x", "a": [[{{"b": {{"digest": "{}", "size": 1}}}}]], "data": "e30=",
                "layers": [{{"digest": "{}", "mediaType": "application/vnd.oci.image.layer.v1.tar"}},
                           {{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "{}"}}],
                "inner": {{"subject": {{"digest": "{}"}}}},
                "subject": {{"x": [1.5, -1, true, null, 99999999999999999999], "digest": "{}"}},
                "no": [{{"digest": "x"}}, {{"digest": {{"sha256": "00"}}}}, {{"digest": 7}}, "{}"],
                "fsLayers": [{{"blobSum": "{}"}}], "two": {{"digest": "{}", "digest": "{}"}}
            }}"#,
            of(1),
            of(2),
            of(2),
            of(3),
            of(4),
            of(5),
            of(6),
            of(7),
            of(8)
        );
        let names = References::of(text.as_bytes()).unwrap();
        let all: Vec<String> = names.all.iter().map(|one| one.digest.to_string()).collect();
        assert_eq!(all, [1, 2, 3, 4, 6, 7, 8].map(of));
        assert_eq!(names.all.iter().filter(|one| one.kind.is_layer()).count(), 1);
        assert_eq!(names.subject.unwrap().to_string(), of(4));
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_an_error() {
        for text in ["", "{", "[1,]", "{} {}", &"[".repeat(1_000_000)] {
            assert!(References::of(text.as_bytes()).is_err(), "{:.9}", text);
        }
        for text in ["7", "\"x\"", "null", "[]"] {
            assert!(References::of(text.as_bytes()).unwrap().all.is_empty(), "{text}");
        }
    }
}
