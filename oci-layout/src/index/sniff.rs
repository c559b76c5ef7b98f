use oci_digest::MediaType;
use oci_digest::media_type::Kind;
use serde_json::Value;

/// The media type a document says it has, or shows by its fields when it says none.
///
/// image-spec manifest.md: `mediaType` SHOULD be there, and without it a document that has the fields of both
/// an index and a manifest is neither (the confusion of CVE-2021-41190).
pub(crate) fn sniff(document: &Value) -> Option<MediaType> {
    let has = |field: &str| document.get(field).is_some();
    match document.get("mediaType") {
        Some(Value::String(text)) => Some(MediaType::from(text.as_str()))
            .filter(|media_type| Kind::of(media_type).is_manifest_or_index()),
        Some(_) => None,
        None if document.get("schemaVersion").and_then(Value::as_u64) != Some(2) => None,
        None => match (has("manifests"), has("config") || has("layers")) {
            (true, false) => Some(MediaType::ImageIndex),
            (false, true) => Some(MediaType::ImageManifest),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_digest::media_type::DOCKER_LIST;
    use serde_json::json;

    #[test]
    fn documents_are_what_they_say_or_show() {
        for (document, expected) in [
            (json!({"mediaType": DOCKER_LIST}), Some(MediaType::from(DOCKER_LIST))),
            (json!({"mediaType": "application/vnd.oci.image.config.v1+json"}), None),
            (json!({"schemaVersion": 2, "manifests": []}), Some(MediaType::ImageIndex)),
            (json!({"schemaVersion": 2, "config": {}, "layers": []}), Some(MediaType::ImageManifest)),
            (json!({"schemaVersion": 2, "manifests": [], "layers": []}), None),
            (json!({"schemaVersion": 1, "manifests": []}), None),
            (json!({"mediaType": 7, "schemaVersion": 2, "manifests": []}), None),
            (json!([1]), None),
        ] {
            assert_eq!(sniff(&document), expected, "{document}");
        }
    }
}
