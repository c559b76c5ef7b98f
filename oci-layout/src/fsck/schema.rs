//! What the specification asks of each document, by JSON pointer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_digest::media_type::Kind;
use oci_digest::{Algorithm, Digest, digest_of};
use serde_json::Value;

/// A place in a document and what is wrong there.
pub(super) type Flaw = (String, String);

/// Looks for what a document lacks of its kind. Members that are not known may be there (image-spec considerations.md,
/// Extensibility); `null` counts as absent, because Go writes it.
pub(super) fn flaws(document: &Value, kind: Kind) -> Vec<Flaw> {
    let mut check = Check { flaws: Vec::new() };
    if !document.is_object() {
        check.flaw("", "it must be an object");
        return check.flaws;
    }
    match kind {
        Kind::Manifest => check.manifest(document),
        Kind::Index => check.index(document),
        Kind::ArtifactManifest => check.artifact(document),
        Kind::Config => check.config(document),
        _ => {}
    }
    check.flaws
}

/// The descriptors of a document, with their places. Subjects come last.
pub(super) fn descriptors(document: &Value, kind: Kind) -> Vec<(String, &Value)> {
    let list = |name: &'static str| {
        let entries = document.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        entries.iter().enumerate().map(move |(i, entry)| (format!("/{name}/{i}"), entry))
    };
    let one = |name: &str| {
        document.get(name).filter(|value| value.is_object()).map(|value| (format!("/{name}"), value))
    };
    let named: Vec<_> = match kind {
        Kind::Manifest => one("config").into_iter().chain(list("layers")).collect(),
        Kind::Index => list("manifests").collect(),
        Kind::ArtifactManifest => list("blobs").collect(),
        _ => return Vec::new(),
    };
    named.into_iter().chain(one("subject")).collect()
}

struct Check {
    flaws: Vec<Flaw>,
}

impl Check {
    fn flaw(&mut self, pointer: &str, reason: impl Into<String>) {
        self.flaws.push((pointer.to_owned(), reason.into()));
    }

    /// image-spec manifest.md.
    fn manifest(&mut self, document: &Value) {
        self.version(document);
        match member(document, "config") {
            Some(config) => self.descriptor(config, "/config"),
            None => self.flaw("/config", "it is required"),
        }
        self.list(document, "layers");
        self.rest(document);
        if member(document, "manifests").is_some() {
            self.flaw("/manifests", "a document is either a manifest or an index");
        }
    }

    /// image-spec image-index.md.
    fn index(&mut self, document: &Value) {
        self.version(document);
        self.list(document, "manifests");
        self.rest(document);
        for name in ["config", "layers"] {
            if member(document, name).is_some() {
                self.flaw(&format!("/{name}"), "a document is either a manifest or an index");
            }
        }
    }

    fn artifact(&mut self, document: &Value) {
        if member(document, "blobs").is_some() {
            self.list(document, "blobs");
        }
        self.rest(document);
    }

    fn version(&mut self, document: &Value) {
        // "This REQUIRED property … MUST be 2".
        if document.get("schemaVersion").and_then(Value::as_u64) != Some(2) {
            self.flaw("/schemaVersion", "it must be 2");
        }
    }

    fn list(&mut self, document: &Value, name: &str) {
        let pointer = format!("/{name}");
        match member(document, name) {
            Some(Value::Array(entries)) => {
                for (i, entry) in entries.iter().enumerate() {
                    self.descriptor(entry, &format!("{pointer}/{i}"));
                }
            }
            Some(_) => self.flaw(&pointer, "it must be an array"),
            None => self.flaw(&pointer, "it is required"),
        }
    }

    fn rest(&mut self, document: &Value) {
        self.text(document, "", "mediaType", false);
        self.text(document, "", "artifactType", false);
        self.annotations(document, "");
        if let Some(subject) = member(document, "subject") {
            self.descriptor(subject, "/subject");
        }
    }

    /// image-spec descriptor.md, Properties.
    fn descriptor(&mut self, value: &Value, at: &str) {
        if !value.is_object() {
            return self.flaw(at, "it must be an object");
        }
        if let Some(media_type) = self.text(value, at, "mediaType", true)
            && !is_media_type(media_type)
        {
            self.flaw(&format!("{at}/mediaType"), "it must be a media type as in RFC 6838");
        }
        let digest = self.text(value, at, "digest", true).map(str::parse::<Digest>);
        if let Some(Err(_)) = digest {
            self.flaw(&format!("{at}/digest"), "it must be a digest");
        }
        match member(value, "size") {
            Some(size) if size.as_u64().is_some_and(|size| i64::try_from(size).is_ok()) => {}
            Some(_) => self.flaw(&format!("{at}/size"), "it must be a number of bytes"),
            None => self.flaw(&format!("{at}/size"), "it is required"),
        }
        self.texts(value, at, "urls");
        self.text(value, at, "artifactType", false);
        self.annotations(value, at);
        if let Some(platform) = member(value, "platform") {
            let at = format!("{at}/platform");
            if platform.is_object() {
                self.platform(platform, &at);
            } else {
                self.flaw(&at, "it must be an object");
            }
        }
        if let (Some(data), Some(Ok(digest))) = (self.text(value, at, "data", false), digest) {
            self.data(data, &digest, &format!("{at}/data"));
        }
    }

    /// image-spec descriptor.md, Embedded Content: the data MUST be identical to the content.
    fn data(&mut self, text: &str, digest: &Digest, at: &str) {
        let Ok(bytes) = STANDARD.decode(text) else { return self.flaw(at, "it must be base64") };
        if Algorithm::of(digest).is_ok_and(|algorithm| digest_of(algorithm, &bytes) != *digest) {
            self.flaw(at, "it is not the content that the digest names");
        }
    }

    /// image-spec image-index.md, platform, and config.md, which have the same members.
    fn platform(&mut self, value: &Value, at: &str) {
        self.text(value, at, "architecture", true);
        self.text(value, at, "os", true);
        self.text(value, at, "os.version", false);
        self.text(value, at, "variant", false);
        self.texts(value, at, "os.features");
    }

    /// image-spec config.md, Properties.
    fn config(&mut self, document: &Value) {
        self.platform(document, "");
        for name in ["created", "author"] {
            self.text(document, "", name, false);
        }
        match member(document, "rootfs") {
            Some(rootfs) if rootfs.is_object() => {
                if member(rootfs, "type").and_then(Value::as_str) != Some("layers") {
                    self.flaw("/rootfs/type", "it must be \"layers\"");
                }
                self.diff_ids(rootfs);
            }
            Some(_) => self.flaw("/rootfs", "it must be an object"),
            None => self.flaw("/rootfs", "it is required"),
        }
        match member(document, "history") {
            Some(Value::Array(entries)) => {
                for (i, entry) in entries.iter().enumerate() {
                    let empty = member(entry, "empty_layer");
                    if !entry.is_object() {
                        self.flaw(&format!("/history/{i}"), "it must be an object");
                    } else if empty.is_some_and(|value| !value.is_boolean()) {
                        self.flaw(&format!("/history/{i}/empty_layer"), "it must be true or false");
                    }
                }
            }
            Some(_) => self.flaw("/history", "it must be an array"),
            None => {}
        }
        if member(document, "config").is_some_and(|config| !config.is_object()) {
            self.flaw("/config", "it must be an object");
        }
    }

    fn diff_ids(&mut self, rootfs: &Value) {
        match member(rootfs, "diff_ids") {
            Some(Value::Array(ids)) => {
                for (i, id) in ids.iter().enumerate() {
                    if id.as_str().is_none_or(|id| id.parse::<Digest>().is_err()) {
                        self.flaw(&format!("/rootfs/diff_ids/{i}"), "it must be a digest");
                    }
                }
            }
            Some(_) => self.flaw("/rootfs/diff_ids", "it must be an array"),
            // What docker writes for an image without layers.
            None => {}
        }
    }

    fn text<'v>(&mut self, value: &'v Value, at: &str, name: &str, required: bool) -> Option<&'v str> {
        match member(value, name) {
            Some(Value::String(text)) if !required || !text.is_empty() => return Some(text),
            Some(Value::String(_)) => self.flaw(&format!("{at}/{name}"), "it must not be empty"),
            Some(_) => self.flaw(&format!("{at}/{name}"), "it must be a string"),
            None if required => self.flaw(&format!("{at}/{name}"), "it is required"),
            None => {}
        }
        None
    }

    fn texts(&mut self, value: &Value, at: &str, name: &str) {
        match member(value, name) {
            None => {}
            Some(Value::Array(texts)) if texts.iter().all(Value::is_string) => {}
            Some(_) => self.flaw(&format!("{at}/{name}"), "it must be an array of strings"),
        }
    }

    /// image-spec annotations.md, Rules: a map of strings to strings.
    fn annotations(&mut self, value: &Value, at: &str) {
        match member(value, "annotations") {
            None => {}
            Some(Value::Object(map)) => {
                for (key, _) in map.iter().filter(|(_, value)| !value.is_string()) {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    self.flaw(&format!("{at}/annotations/{key}"), "it must be a string");
                }
            }
            Some(_) => self.flaw(&format!("{at}/annotations"), "it must be an object"),
        }
    }
}

fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value.get(name).filter(|value| !value.is_null())
}

/// RFC 6838 4.2, and parameters.
fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is_name = |name: &str| {
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.len() <= 127
            && name.bytes().all(is_word)
    };
    essence.split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pointers(document: &Value, kind: Kind) -> Vec<String> {
        flaws(document, kind).into_iter().map(|(pointer, _)| pointer).collect()
    }

    #[test]
    fn flaws_are_named_by_their_place() {
        let digest = digest_of(Algorithm::Sha256, b"{}");
        let good = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest, "size": 2,
            "data": "e30=", "annotations": {"a": "b"}, "platform": {"architecture": "amd64", "os": "linux"}});
        let with = |name: &str, value: Value| {
            let mut entry = good.clone();
            entry[name] = value;
            entry
        };
        let image = |entry: Value| json!({"schemaVersion": 2, "config": good, "layers": [good, entry]});
        for (entry, expected) in [
            (good.clone(), vec![]),
            (with("annotations", Value::Null), vec![]),
            (with("unknown", json!([])), vec![]),
            (json!(7), vec![""]),
            (json!({}), vec!["/mediaType", "/digest", "/size"]),
            (with("mediaType", json!("text")), vec!["/mediaType"]),
            (with("digest", json!("sha256:x")), vec!["/digest"]),
            (with("size", json!(-1)), vec!["/size"]),
            (with("size", json!(1.5)), vec!["/size"]),
            (with("size", json!(u64::MAX)), vec!["/size"]),
            (with("annotations", json!({"a/b~c": 1})), vec!["/annotations/a~1b~0c"]),
            (with("platform", json!({"os": 1})), vec!["/platform/architecture", "/platform/os"]),
            (with("data", json!("e30")), vec!["/data"]),
            (with("data", json!("W10=")), vec!["/data"]),
            (with("urls", json!("x")), vec!["/urls"]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|at| format!("/layers/1{at}")).collect();
            assert_eq!(pointers(&image(entry.clone()), Kind::Manifest), expected, "{entry}");
            let index = json!({"schemaVersion": 2, "manifests": [entry]});
            assert_eq!(pointers(&index, Kind::Index).len(), expected.len(), "{entry}");
        }
        assert_eq!(pointers(&json!([]), Kind::Index), [""]);
        assert_eq!(pointers(&json!({}), Kind::Manifest), ["/schemaVersion", "/config", "/layers"]);
        let both = json!({"schemaVersion": 2, "manifests": [], "layers": []});
        assert_eq!(pointers(&both, Kind::Index), ["/layers"]);
        assert_eq!(pointers(&json!({"subject": {}}), Kind::ArtifactManifest).len(), 3);
    }

    #[test]
    fn flaws_of_a_config() {
        let good =
            json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
        let with = |name: &str, value: Value| {
            let mut config = good.clone();
            config[name] = value;
            config
        };
        for (config, expected) in [
            (good.clone(), &[][..]),
            (with("rootfs", json!({"type": "layers"})), &[]),
            (
                with("rootfs", json!({"type": "x", "diff_ids": ["y"]})),
                &["/rootfs/type", "/rootfs/diff_ids/0"],
            ),
            (with("os", json!("")), &["/os"]),
            (with("history", json!([{"empty_layer": 1}, 7, {}])), &["/history/0/empty_layer", "/history/1"]),
            (with("config", json!([])), &["/config"]),
        ] {
            assert_eq!(pointers(&config, Kind::Config), expected, "{config}");
        }
    }
}
