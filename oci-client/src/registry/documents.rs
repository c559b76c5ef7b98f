//! What a registry must understand of a manifest: its kind, what it names, and its subject.

use oci_digest::media_type::DOCKER_LIST;
use oci_digest::{Algorithm, Descriptor, Digest, MediaType};
use serde_json::Value;

use super::response::{Code, Failure};
use crate::protocol::media::{INDEX, is_manifest};

/// A manifest as it was pushed: the bytes stay what they are, this is only what was read of them.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) media_type: String,
    /// The config and the layers that must be in the repository, each once.
    pub(super) blobs: Vec<Descriptor>,
    /// The manifests of an index, each once.
    pub(super) manifests: Vec<Descriptor>,
    pub(super) subject: Option<Digest>,
}

impl Document {
    /// Reads a manifest, whose type is the `Content-Type` it came with or else its own `mediaType`.
    pub(super) fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, Failure> {
        // serde_json ends at 128 nested levels.
        let value: Value =
            serde_json::from_slice(bytes).map_err(|e| invalid(format!("the manifest is not JSON: {e}")))?;
        if !value.is_object() {
            return Err(invalid("the manifest is not an object"));
        }
        let own = value.get("mediaType").and_then(Value::as_str);
        let told = content_type.and_then(|text| text.split(';').next()).map(str::trim);
        let media_type = match (told, own) {
            // distribution-spec, Pushing Manifests: the Content-Type MUST be the mediaType of the manifest.
            (Some(told), Some(own)) if told != own => {
                return Err(invalid("the Content-Type is not the manifest's mediaType"));
            }
            (Some(told), _) => told,
            (None, Some(own)) => own,
            (None, None) => return Err(invalid("neither Content-Type nor mediaType says what this is")),
        };
        if !is_manifest(media_type) {
            return Err(invalid("this registry takes OCI and docker schema 2 manifests and indexes"));
        }
        let is_index = [INDEX, DOCKER_LIST].contains(&media_type);
        let foreign: &[&str] = if is_index { &["layers", "config"] } else { &["manifests"] };
        // A document that is both a manifest and an index means different things to different readers.
        if let Some(member) = foreign.iter().find(|member| value.get(**member).is_some()) {
            return Err(invalid(format!("/{member} does not belong into {media_type}")));
        }
        let mut document =
            Self { media_type: media_type.to_owned(), blobs: vec![], manifests: vec![], subject: None };
        if is_index {
            document.manifests = descriptors(&value, "manifests")?;
        } else {
            let config = value.get("config").ok_or_else(|| invalid("/config is missing"))?;
            document.blobs = descriptors(&value, "layers")?;
            document.blobs.retain(|layer| layer.urls().as_ref().is_none_or(Vec::is_empty));
            document.blobs.push(descriptor(config, "/config")?);
        }
        document.subject = match value.get("subject") {
            None | Some(Value::Null) => None,
            Some(subject) => Some(descriptor(subject, "/subject")?.digest().clone()),
        };
        for list in [&mut document.blobs, &mut document.manifests] {
            list.sort_by(|a, b| key(a).cmp(&key(b)));
            list.dedup_by(|a, b| key(a) == key(b));
        }
        Ok(document)
    }
}

fn key(descriptor: &Descriptor) -> (&str, u64) {
    (descriptor.digest().as_ref(), descriptor.size())
}

fn descriptors(value: &Value, member: &str) -> Result<Vec<Descriptor>, Failure> {
    match value.get(member) {
        Some(Value::Array(list)) => {
            list.iter().enumerate().map(|(i, item)| descriptor(item, &format!("/{member}/{i}"))).collect()
        }
        _ => Err(invalid(format!("/{member} is not a list"))),
    }
}

/// Only what is needed is read, so that a manifest with members of tomorrow is taken.
fn descriptor(value: &Value, pointer: &str) -> Result<Descriptor, Failure> {
    let text = |member: &str| value.get(member).and_then(Value::as_str);
    let digest = text("digest").and_then(|digest| digest.parse::<Digest>().ok());
    let digest = digest.ok_or_else(|| invalid(format!("{pointer}/digest is not a digest")))?;
    if let Err(error) = Algorithm::of(&digest) {
        return Err(invalid(format!("{pointer}/digest: {error}")));
    }
    let size = value.get("size").and_then(Value::as_u64);
    let size = size.ok_or_else(|| invalid(format!("{pointer}/size is not a size")))?;
    let media_type = text("mediaType").ok_or_else(|| invalid(format!("{pointer}/mediaType is missing")))?;
    let mut descriptor = Descriptor::new(MediaType::from(media_type), size, digest);
    if let Some(Value::Array(urls)) = value.get("urls") {
        descriptor.set_urls(Some(urls.iter().filter_map(Value::as_str).map(str::to_owned).collect()));
    }
    Ok(descriptor)
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::bad(Code::ManifestInvalid, message)
}

#[cfg(test)]
mod tests {
    use oci_digest::media_type::DOCKER_MANIFEST;
    use serde_json::json;

    use super::*;
    use crate::protocol::media::MANIFEST;

    fn described(byte: char) -> Value {
        json!({"mediaType": "x/y", "digest": format!("sha256:{}", byte.to_string().repeat(64)), "size": 3})
    }

    fn parse(value: &Value, content_type: Option<&str>) -> Result<Document, String> {
        Document::parse(value.to_string().as_bytes(), content_type).map_err(|f| format!("{f:?}"))
    }

    #[test]
    fn what_is_read() {
        let value = json!({"config": described('1'), "layers": [described('2'), described('2')],
            "subject": described('3'), "unknown": [1]});
        let document =
            parse(&value, Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8")).unwrap();
        assert_eq!((document.media_type.as_str(), document.blobs.len()), (MANIFEST, 2));
        assert!(document.subject.unwrap().as_ref().ends_with("33"));
        let mut foreign = described('2');
        foreign["urls"] = json!(["http://example.com/"]);
        let value = json!({"mediaType": DOCKER_MANIFEST, "config": described('1'), "layers": [foreign]});
        assert_eq!(parse(&value, None).unwrap().blobs.len(), 1);
        let value = json!({"mediaType": INDEX, "manifests": [described('1')]});
        assert_eq!(parse(&value, Some(INDEX)).unwrap().manifests.len(), 1);
    }

    #[test]
    fn what_is_refused() {
        let mut digest = described('1');
        digest["digest"] = json!("sha256:../../x");
        let mut size = described('1');
        size["size"] = json!(-1);
        for (value, content_type) in [
            (json!([]), Some(MANIFEST)),
            (json!({"config": described('1'), "layers": []}), None),
            (json!({"config": described('1'), "layers": []}), Some("text/html")),
            (json!({"config": described('1'), "layers": []}), Some(INDEX)),
            (json!({"mediaType": INDEX, "manifests": []}), Some(MANIFEST)),
            (json!({"config": described('1'), "layers": [], "manifests": []}), Some(MANIFEST)),
            (json!({"manifests": [], "layers": []}), Some(INDEX)),
            (json!({"layers": []}), Some(MANIFEST)),
            (json!({"config": described('1')}), Some(MANIFEST)),
            (json!({"config": digest, "layers": []}), Some(MANIFEST)),
            (json!({"config": size, "layers": []}), Some(MANIFEST)),
            (json!({"manifests": [7]}), Some(INDEX)),
            (json!({"manifests": [], "subject": {}}), Some(INDEX)),
        ] {
            assert!(parse(&value, content_type).is_err(), "{value} as {content_type:?}");
        }
        assert!(Document::parse(&b"[".repeat(1_000_000), Some(MANIFEST)).is_err());
        assert!(Document::parse(b"\xff", Some(MANIFEST)).is_err());
    }
}
