//! Documents: what is understood, what is refused, and that the bytes stay.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use oci_digest::{
    Algorithm, Descriptor, Document, Error, ImageConfiguration, ImageIndex, ImageManifest, MediaType,
    digest_of, media_type, platform,
};
use serde_json::{Value, json};

const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn describe(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type.into(), bytes.len() as u64, digest_of(Algorithm::Sha256, bytes))
}

fn manifest(members: Value) -> Vec<u8> {
    let mut value = json!({"schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": DIGEST, "size": 2}, "layers": []});
    value.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    serde_json::to_vec_pretty(&value).unwrap()
}

#[test]
fn bytes_stay_and_twins_are_understood() {
    for own in [media_type::DOCKER_MANIFEST, "application/vnd.oci.image.manifest.v1+json"] {
        let bytes = manifest(json!({"mediaType": own, "x-unknown": {"b": 1, "a": 2}}));
        let descriptor = describe(&format!("{own}; charset=utf-8"), &bytes);
        let document = Document::<ImageManifest>::parse(bytes.clone(), Some(&descriptor)).unwrap();
        assert_eq!(document.bytes(), bytes);
        assert_eq!(document.descriptor(), &descriptor);
        assert_eq!(document.digest(), descriptor.digest());
        assert_eq!(document.view().config().size(), 2);
    }
    let list = br#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json",
        "manifests":[{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","size":1,"digest":
        "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","platform":{"architecture":"amd64",
        "os":"windows","os.version":"10.0.1","os.features":["win32k"],"variant":null}}]}"#;
    let list = Document::<ImageIndex>::parse(&list[..], None).unwrap();
    assert_eq!(list.media_type().as_ref(), media_type::DOCKER_LIST);
    let of = list.view().manifests()[0].platform().as_ref().unwrap();
    assert_eq!(platform::to_text(of), "windows(10.0.1)/amd64");
    assert_eq!(of.os_features().as_deref(), Some(&["win32k".to_owned()][..]));
}

#[test]
fn null_is_absent() {
    let bytes = manifest(json!({"layers": null, "subject": null, "annotations": null, "manifests": null}));
    let document = Document::<ImageManifest>::parse(bytes, None).unwrap();
    assert!(document.view().layers().is_empty() && document.view().subject().is_none());
}

#[test]
fn what_is_wrong_is_named() {
    type Parse = fn(&[u8]) -> Error;
    let as_manifest: Parse = |bytes| Document::<ImageManifest>::parse(bytes, None).unwrap_err();
    let as_index: Parse = |bytes| Document::<ImageIndex>::parse(bytes, None).unwrap_err();
    let as_value: Parse = |bytes| Document::<Value>::parse(bytes, None).unwrap_err();
    let as_config: Parse = |bytes| Document::<ImageConfiguration>::parse(bytes, None).unwrap_err();
    let both = manifest(json!({"manifests": []}));
    let negative = manifest(json!({"config": {"mediaType": "x", "digest": DIGEST, "size": -1}}));
    let traversal = manifest(json!({"config": {"mediaType": "x", "digest": "../x:y", "size": 1}}));
    let cases: [(Parse, &[u8], &str); 13] = [
        (as_manifest, &both, "/manifests"),
        (as_index, &both, "/layers"),
        (as_value, &both, "/layers"),
        (as_manifest, b"{\"schemaVersion\":3}", "/schemaVersion"),
        (as_manifest, b"{\"schemaVersion\":2}", "/config"),
        (as_index, b"{\"schemaVersion\":2}", "/manifests"),
        (as_index, b"{\"schemaVersion\":2,\"manifests\":[],\"manifests\":[]}", ""),
        (as_manifest, b"<html>", ""),
        (as_manifest, b"", ""),
        (as_manifest, b"\xff", ""),
        (as_manifest, &negative, ""),
        (as_manifest, &traversal, ""),
        (as_config, b"{}", ""),
    ];
    for (parse, bytes, expected) in cases {
        match parse(bytes) {
            Error::Document { pointer, .. } => {
                assert_eq!(pointer, expected, "{}", String::from_utf8_lossy(bytes))
            }
            other => panic!("{other}"),
        }
    }
    for old in [&b"{\"schemaVersion\":1}"[..], b"{\"schemaVersion\":2,\"fsLayers\":[]}"] {
        assert!(matches!(as_manifest(old), Error::UnsupportedMediaType { .. }));
    }
}

#[test]
fn media_types_must_agree() {
    let bytes = manifest(json!({"mediaType": media_type::DOCKER_MANIFEST}));
    let other = describe(MediaType::ImageManifest.as_ref(), &bytes);
    assert!(matches!(
        Document::<ImageManifest>::parse(bytes.clone(), Some(&other)),
        Err(Error::Document { pointer, .. }) if pointer == "/mediaType"
    ));
    for wrong in ["text/html", MediaType::ImageIndex.as_ref(), media_type::DOCKER_SCHEMA_1] {
        let wrong = describe(wrong, &bytes);
        assert!(matches!(
            Document::<ImageManifest>::parse(bytes.clone(), Some(&wrong)),
            Err(Error::UnsupportedMediaType { .. })
        ));
    }
    assert!(matches!(
        Document::<ImageIndex>::parse(bytes, None),
        Err(Error::UnsupportedMediaType { .. }) | Err(Error::Document { .. })
    ));
}

#[test]
fn size_and_digest_must_fit() {
    let bytes = manifest(json!({}));
    let right = describe(MediaType::ImageManifest.as_ref(), &bytes);
    let mut other = bytes.clone();
    *other.last_mut().unwrap() = b' ';
    assert!(matches!(
        Document::<ImageManifest>::parse(other, Some(&right)),
        Err(Error::DigestMismatch { .. })
    ));
    for size in [0, right.size() - 1, right.size() + 1, u64::MAX] {
        let mut wrong = right.clone();
        wrong.set_size(size);
        assert!(matches!(
            Document::<ImageManifest>::parse(bytes.clone(), Some(&wrong)),
            Err(Error::SizeMismatch { .. })
        ));
    }
}

#[test]
fn size_and_depth_are_bounded() {
    for brackets in ["[", "{\"a\":"] {
        let nested = brackets.repeat(500_000);
        let close = if brackets == "[" { "]" } else { "}" };
        let hidden =
            format!("{{\"schemaVersion\":2,\"manifests\":[],\"x\":{nested}1{}}}", close.repeat(500_000));
        for bytes in [nested.into_bytes(), hidden.into_bytes()] {
            assert!(matches!(
                Document::<ImageIndex>::parse(bytes.clone(), None),
                Err(Error::Limit { limit: "JSON depth", .. })
            ));
            assert!(matches!(Document::<Value>::parse(bytes, None), Err(Error::Limit { .. })));
        }
    }
    let large = vec![b' '; (4 << 20) + 1];
    assert!(matches!(
        Document::<Value>::parse(large, None),
        Err(Error::Limit { limit: "document bytes", .. })
    ));
}

#[test]
fn what_is_authored_is_one_document() {
    let mut configuration = ImageConfiguration::default();
    configuration.set_author(Some("someone".to_owned()));
    let one = Document::author(&configuration).unwrap();
    assert_eq!(one, Document::author(one.view()).unwrap());
    assert_eq!(one.media_type(), &MediaType::ImageConfig);
    assert!(one.bytes().starts_with(b"{\"architecture\":"));
}
