//! Reading index.json without building it: an index of a hundred thousand entries is looked through in the time it takes
//! to read it once.

use std::fmt;

use memchr::memchr;
use memchr::memmem::Finder;
use oci_digest::Descriptor;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

use super::document::descriptor;
use crate::layout::INDEX;
use crate::{ImageLayout, Result};

impl ImageLayout {
    /// Goes through the entries of index.json: the JSON text that begins with each, and its position.
    ///
    /// The whole file is read and its syntax checked before anything of it is given back: half a file that somebody is
    /// writing counts for nothing. `each` gathers what it finds in a value that `begin` makes, anew when the file has to
    /// be read again.
    pub(super) fn scan_index<T>(
        &self,
        begin: impl Fn() -> T,
        mut each: impl FnMut(&mut T, usize, &[u8]),
    ) -> Result<T> {
        if let Some(bytes) = self.root.read(INDEX, self.options.max_index_bytes)? {
            let mut found = begin();
            if entries(&bytes, &mut |position, entry| each(&mut found, position, entry)).is_ok() {
                return Ok(found);
            }
        }
        // Damaged, half written, or only odd: the whole parser knows, reads again, and says what is wrong.
        let path = self.path().join(INDEX);
        let (_, document) = self.read_index()?;
        let mut found = begin();
        for (position, entry) in document.entries(&path)?.iter().enumerate() {
            each(&mut found, position, entry.to_string().as_bytes());
        }
        Ok(found)
    }

    /// The entries of index.json that hold a text and are what is looked for, with their positions.
    pub(super) fn entries_with(
        &self,
        text: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Result<Vec<(usize, Value)>> {
        let needle = Value::String(text.to_owned()).to_string();
        let needle = Finder::new(&needle);
        self.scan_index(Vec::new, |found, position, entry| {
            // A text that is written with escapes has more than one form.
            if needle.find(entry).is_none() && memchr(b'\\', entry).is_none() {
                return;
            }
            if let Ok(entry) = first(entry)
                && is_it(&entry)
            {
                found.push((position, entry));
            }
        })
    }

    /// The descriptors in index.json, each with what is wrong with it.
    pub(super) fn descriptors(&self) -> Result<Vec<Result<Descriptor>>> {
        let path = self.path().join(INDEX);
        self.scan_index(Vec::new, |found, position, entry| {
            let entry: Value = first(entry).unwrap_or_default();
            found.push(descriptor(&entry, position, &path));
        })
    }
}

/// The value that a text begins with.
pub(super) fn first<'t, T: Deserialize<'t>>(text: &'t [u8]) -> serde_json::Result<T> {
    T::deserialize(&mut serde_json::Deserializer::from_slice(text))
}

/// Calls for each element of the member `manifests` with the text from it up to the next, or to the end of the document.
///
/// An error is also what is only odd: elements that are no objects or have no members, names with escapes, two lists.
fn entries(json: &[u8], each: &mut dyn FnMut(usize, &[u8])) -> serde_json::Result<()> {
    let odd = || serde_json::Error::custom("odd");
    let mut starts = Vec::new();
    let mut parser = serde_json::Deserializer::from_slice(json);
    parser.deserialize_map(Index { starts: &mut starts })?;
    parser.end()?;
    for (position, name) in starts.iter().enumerate() {
        let next = starts.get(position + 1).map_or(json.len(), |next| start_of(json, *next));
        let text = json.get(start_of(json, *name)..next).ok_or_else(odd)?;
        each(position, text);
    }
    Ok(())
}

/// Where the object begins whose first member's name is at an address.
fn start_of(json: &[u8], name: usize) -> usize {
    // Borrowed from the text, so it lies inside.
    let offset = name.saturating_sub(json.as_ptr().addr());
    let before = json.get(..offset).unwrap_or_default();
    before.iter().rposition(|byte| *byte == b'{').unwrap_or(offset)
}

/// Gathers, of each element of the list, the address of the name of its first member.
struct Index<'e> {
    starts: &'e mut Vec<usize>,
}

impl<'de> Visitor<'de> for Index<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an index")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut before = false;
        while let Some(name) = map.next_key::<&str>()? {
            if name != "manifests" {
                map.next_value::<IgnoredAny>()?;
            } else if std::mem::replace(&mut before, true) {
                return Err(A::Error::custom("two lists"));
            } else {
                map.next_value_seed(Entries { starts: self.starts })?;
            }
        }
        Ok(())
    }
}

struct Entries<'e> {
    starts: &'e mut Vec<usize>,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of descriptors")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(Start(address)) = list.next_element()? {
            self.starts.push(address);
        }
        Ok(())
    }
}

/// The address of the name of an object's first member.
struct Start(usize);

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Start;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with members")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Start, A::Error> {
                let name: &'de str = map.next_key()?.ok_or_else(|| A::Error::custom("no members"))?;
                map.next_value::<IgnoredAny>()?;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Start(name.as_ptr().addr()))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::index::Document;

    #[test]
    fn what_is_scanned_is_what_is_parsed() {
        let path = std::path::Path::new("index.json");
        for text in [
            "{}",
            r#"{"manifests":[]}"#,
            r#" { "x": [{"manifests": [1]}], "manifests" : [ {"a": [ {} ]} ,{"{":"\"}]"},{ "b{":1} ] , "y": 1e5 } "#,
            r#"{"manifests":[{"a":"é\u00e9\\"}]}"#,
            "{\"manifests\":[{\n\t\"\":{\"a\":{}}}]}",
        ] {
            let mut scanned: Vec<Value> = Vec::new();
            entries(text.as_bytes(), &mut |position, entry| {
                assert_eq!(position, scanned.len());
                scanned.push(first(entry).unwrap());
            })
            .unwrap();
            let parsed = Document::parse(text.as_bytes(), path).unwrap();
            assert_eq!(scanned, parsed.entries(path).unwrap(), "{text}");
        }
        for text in [
            "",
            "[]",
            "[[]]",
            "{",
            r#"{"manifests":null}"#,
            r#"{"manifests":[7]}"#,
            r#"{"manifests":[{}]}"#,
            r#"{"manifests":[{"\u0061":1}]}"#,
            r#"{"manifests":[{"a":1},]}"#,
            "{} {}",
            r#"{"manifests":[{"a":1}],"x":}"#,
            r#"{"manifests":[],"manifests":[]}"#,
            "{\"manifests\":[{\"",
        ] {
            assert!(entries(text.as_bytes(), &mut |_, _| {}).is_err(), "{text}");
        }
    }

    /// Of any index that has entries with members, in any form, the scan gives what the parser gives; of half of one,
    /// nothing.
    #[test]
    fn any_index_is_scanned_as_it_is_parsed() {
        let mut state = 1_u64;
        let mut below = |n: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 16) % n
        };
        let path = std::path::Path::new("index.json");
        for _ in 0..500 {
            let mut index = serde_json::Map::new();
            for _ in 0..below(3) {
                index.insert(text(&mut below), value(&mut below, 0));
            }
            let entries_of: Vec<Value> = (0..below(5))
                .map(|_| {
                    let mut entry = serde_json::Map::new();
                    entry.insert("{[".to_owned(), value(&mut below, 0));
                    (0..below(4)).for_each(|_| drop(entry.insert(text(&mut below), value(&mut below, 0))));
                    Value::Object(entry)
                })
                .collect();
            index.insert("manifests".to_owned(), Value::Array(entries_of));
            let index = Value::Object(index);
            let json = if below(2) == 0 { index.to_string() } else { format!("{index:#}") };
            let parsed = Document::parse(json.as_bytes(), path).unwrap();
            let mut scanned: Vec<Value> = Vec::new();
            // Names with escapes at the top are for the whole parser.
            if entries(json.as_bytes(), &mut |_, entry| scanned.push(first(entry).unwrap())).is_ok() {
                assert_eq!(scanned, parsed.entries(path).unwrap(), "{json}");
            } else {
                assert!(json.contains('\\'), "{json}");
            }
            let half = json.as_bytes().get(..usize::try_from(below(json.len() as u64)).unwrap()).unwrap();
            assert!(entries(half, &mut |_, _| panic!("half of {json}")).is_err());
        }
    }

    fn text(below: &mut impl FnMut(u64) -> u64) -> String {
        const PIECES: [&str; 9] = ["a", "{", "}", "[", "],", "\"", "\\", "é", "manifests"];
        (0..below(4)).map(|_| PIECES[usize::try_from(below(9)).unwrap()]).collect()
    }

    fn value(below: &mut impl FnMut(u64) -> u64, depth: u32) -> Value {
        match below(if depth < 3 { 6 } else { 4 }) {
            0 => Value::Null,
            1 => Value::from(below(1000)),
            2 | 3 => Value::String(text(below)),
            4 => (0..below(3)).map(|_| value(below, depth + 1)).collect(),
            _ => Value::Object((0..below(3)).map(|_| (text(below), value(below, depth + 1))).collect()),
        }
    }
}
