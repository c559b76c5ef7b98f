//! Members of JSON values, set and removed so that all others stay as and where they are.

use oci_digest::content::embed;
use oci_digest::{Descriptor, Platform};
use serde_json::{Map, Value, json};

/// The value of a member, null when it was missing. What is no object becomes one.
pub(super) fn member<'v>(value: &'v mut Value, name: &str) -> &'v mut Value {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    &mut value[name]
}

/// The list in a member, made when it is missing, null or something else.
#[expect(clippy::expect_used, reason = "the member was just made a list")]
pub(super) fn list<'v>(value: &'v mut Value, name: &str) -> &'v mut Vec<Value> {
    let place = member(value, name);
    if !place.is_array() {
        *place = Value::Array(Vec::new());
    }
    place.as_array_mut().expect("a list")
}

/// Sets a member in its place, or removes it.
pub(super) fn set(object: &mut Value, name: &str, value: Option<Value>) {
    match (value, object.as_object_mut()) {
        (Some(value), _) => *member(object, name) = value,
        // Not `remove`, which would move the last member to the place of this one.
        (None, Some(object)) => {
            object.shift_remove(name);
        }
        (None, None) => {}
    }
}

/// Sets or removes one entry of an object in a member; the member goes with its last entry.
pub(super) fn set_in(value: &mut Value, name: &str, key: &str, entry: Option<Value>) {
    match entry {
        Some(entry) => *member(member(value, name), key) = entry,
        None => {
            let Some(outer) = value.as_object_mut() else { return };
            let Some(Value::Object(inner)) = outer.get_mut(name) else { return };
            if inner.shift_remove(key).is_some() && inner.is_empty() {
                outer.shift_remove(name);
            }
        }
    }
}

/// Sets or removes an annotation of a manifest, index or descriptor.
pub(super) fn annotate(value: &mut Value, key: &str, text: Option<&str>) {
    set_in(value, "annotations", key, text.map(Value::from));
}

/// A descriptor as JSON, its annotations sorted, because the model's map has no order.
pub(crate) fn descriptor(descriptor: &Descriptor) -> Value {
    let mut value = json!({
        "mediaType": descriptor.media_type().as_ref(),
        "digest": descriptor.digest().as_ref(),
        "size": descriptor.size(),
    });
    let mut put = |name: &str, member: Option<Value>| set(&mut value, name, member);
    put("urls", descriptor.urls().as_ref().filter(|urls| !urls.is_empty()).map(|urls| json!(urls)));
    put(
        "annotations",
        descriptor.annotations().as_ref().filter(|all| !all.is_empty()).map(|all| {
            let mut all: Vec<_> = all.iter().collect();
            all.sort();
            all.into_iter().map(|(key, text)| (key.clone(), Value::from(text.as_str()))).collect()
        }),
    );
    put("platform", descriptor.platform().as_ref().map(platform));
    put("artifactType", descriptor.artifact_type().as_ref().map(|of| Value::from(of.as_ref())));
    put("data", descriptor.data().as_deref().map(Value::from));
    value
}

/// A platform as image-spec image-index.md names its members.
pub(super) fn platform(platform: &Platform) -> Value {
    let mut value = json!({});
    set_platform(&mut value, platform);
    value
}

/// Makes an object name a platform: an index's entry in its `platform`, an image's config at its top.
pub(super) fn set_platform(value: &mut Value, platform: &Platform) {
    let text = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(Value::from);
    set(value, "architecture", Some(platform.architecture().to_string().into()));
    set(value, "os", Some(platform.os().to_string().into()));
    set(value, "os.version", text(platform.os_version()));
    set(value, "os.features", platform.os_features().as_ref().map(|features| json!(features)));
    set(value, "variant", text(platform.variant()));
    if let Some(features) = platform.features() {
        set(value, "features", Some(json!(features)));
    }
}

/// Lets a descriptor in a document be that of other bytes. Its `data` follows the bytes: it stays when it was
/// there, comes when the bytes are at most `embed_up_to`, and is never left as it was.
pub(super) fn redescribe(entry: &mut Value, to: &Descriptor, bytes: &[u8], embed_up_to: u64) {
    let same = entry.get("digest").and_then(Value::as_str) == Some(to.digest().as_ref());
    let had_data = entry.get("data").is_some();
    if !same {
        set(entry, "digest", Some(to.digest().as_ref().into()));
        set(entry, "size", Some(to.size().into()));
    }
    if bytes.len() as u64 <= embed_up_to || (had_data && !same) {
        set(entry, "data", Some(embed(bytes).into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_else_stays_where_it_is() {
        let mut value = json!({"z": 1, "annotations": {"b": "1", "a": "2", "c": "3"}, "y": null});
        annotate(&mut value, "b", None);
        annotate(&mut value, "c", Some("4"));
        annotate(&mut value, "nope", None);
        assert_eq!(value.to_string(), r#"{"z":1,"annotations":{"a":"2","c":"4"},"y":null}"#);
        annotate(&mut value, "a", None);
        annotate(&mut value, "c", None);
        assert_eq!(value.to_string(), r#"{"z":1,"y":null}"#);
        list(&mut value, "y").push(json!(1));
        set_in(&mut value, "z", "k", Some(json!(2)));
        assert_eq!(value.to_string(), r#"{"z":{"k":2},"y":[1]}"#);
    }
}
