use oci_digest::MediaType;
use serde_json::Value;

/// What a document is, as far as walking it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An index or a docker manifest list.
    Index,
    /// A manifest, OCI or docker.
    Manifest,
    /// Anything else.
    Other,
}

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
const DOCKER_V1: &str = "application/vnd.docker.distribution.manifest.v1+json";

impl Kind {
    pub(crate) fn of(media_type: &MediaType) -> Self {
        match media_type {
            MediaType::ImageIndex => Self::Index,
            MediaType::ImageManifest | MediaType::ArtifactManifest => Self::Manifest,
            MediaType::Other(other) if other == DOCKER_LIST => Self::Index,
            MediaType::Other(other)
                if [DOCKER_MANIFEST, DOCKER_SIGNED, DOCKER_V1].contains(&other.as_str()) =>
            {
                Self::Manifest
            }
            _ => Self::Other,
        }
    }

    /// The media type a document says it has, or shows by its fields when it says none.
    ///
    /// image-spec manifest.md: `mediaType` SHOULD be there, and without it a document that has the fields of both
    /// an index and a manifest is neither (the confusion of CVE-2021-41190).
    pub(crate) fn sniff(document: &Value) -> Option<MediaType> {
        let has = |field: &str| document.get(field).is_some();
        match document.get("mediaType") {
            Some(Value::String(text)) => {
                Some(MediaType::from(text.as_str())).filter(|media_type| Self::of(media_type) != Self::Other)
            }
            Some(_) => None,
            None if document.get("schemaVersion").and_then(Value::as_u64) != Some(2) => None,
            None => match (has("manifests"), has("config") || has("layers")) {
                (true, false) => Some(MediaType::ImageIndex),
                (false, true) => Some(MediaType::ImageManifest),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            assert_eq!(Kind::sniff(&document), expected, "{document}");
        }
    }
}
