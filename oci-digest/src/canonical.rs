//! The one writer for JSON that is made here.
//!
//! The same value always gives the same bytes: members sorted by the bytes of their names at every level, no
//! space between tokens, strings escaped as little as JSON allows, and numbers as `serde_json` writes them.
//! This is for what is authored. What came from outside is never written again (see
//! [`Document`](crate::Document)).
//!
//! `oci_spec` spells two members of a platform `os_version` and `os_features`; inside a member `platform` they
//! are written as image-spec image-index.md names them, `os.version` and `os.features`.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Error, Result};

/// Writes a value as canonical JSON.
///
/// ```
/// let value = serde_json::json!({"b": [1, {"d": 0, "c": null}], "a": "é"});
/// assert_eq!(oci_digest::canonical::to_vec(&value)?, r#"{"a":"é","b":[1,{"c":null,"d":0}]}"#.as_bytes());
/// # Ok::<(), oci_digest::Error>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`] for what JSON cannot hold, such as a map whose keys are no strings.
pub fn to_vec(value: &impl Serialize) -> Result<Vec<u8>> {
    let invalid = |e: serde_json::Error| Error::invalid("JSON value", "", e.to_string());
    let value = serde_json::to_value(value).map_err(invalid)?;
    serde_json::to_vec(&sorted(value, false)).map_err(invalid)
}

fn sorted(value: Value, is_platform: bool) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(|item| sorted(item, false)).collect()),
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members
                .into_iter()
                .map(|(name, value)| {
                    let value = sorted(value, name == "platform");
                    match name.as_str() {
                        "os_version" if is_platform => ("os.version".to_owned(), value),
                        "os_features" if is_platform => ("os.features".to_owned(), value),
                        _ => (name, value),
                    }
                })
                .collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(members.into_iter().collect::<Map<_, _>>())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Platform;
    use serde_json::json;
    use std::collections::HashMap;

    #[test]
    fn one_value_has_one_form() {
        for (value, expected) in [
            (json!({"b":1,"a":2,"A":3,"é":4,"aa":5}), r#"{"A":3,"a":2,"aa":5,"b":1,"é":4}"#),
            (json!([{"z":[],"y":{}}, "a/\"\n\u{1}"]), r#"[{"y":{},"z":[]},"a/\"\n\u0001"]"#),
            (json!(null), "null"),
        ] {
            assert_eq!(String::from_utf8(to_vec(&value).unwrap()).unwrap(), expected);
        }
        let many: HashMap<String, u8> = (0..200).map(|i| (format!("key{i}"), i)).collect();
        let again: HashMap<String, u8> = many.clone().into_iter().collect();
        assert_eq!(to_vec(&many).unwrap(), to_vec(&again).unwrap());
    }

    #[test]
    fn a_platform_is_spelled_as_the_specification_does() {
        let mut platform = Platform::default();
        platform.set_os("windows".into());
        platform.set_architecture("amd64".into());
        platform.set_os_version(Some("10.0".into()));
        platform.set_variant(None);
        let text = to_vec(&json!({ "platform": platform, "os_version": "kept" })).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            r#"{"os_version":"kept","platform":{"architecture":"amd64","os":"windows","os.version":"10.0"}}"#
        );
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        assert!(matches!(to_vec(&HashMap::from([((1, 2), 3)])), Err(Error::Invalid { .. })));
    }
}
