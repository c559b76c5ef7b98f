use oci_client::registry::{Registry, Server};
use serde_json::{Value, json};

use crate::http::{
    INDEX, MANIFEST, described, get, manifest, push_blob, push_image, push_manifest, sha256, start,
};

/// Follows the links from a path: the items of each page.
fn pages(server: &Server, path: &str, member: &str) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let answer = get(server, &path);
        assert_eq!(answer.status, 200, "{path}");
        pages.push(answer.json()[member].clone());
        next = answer.header("link").map(|link| {
            let url = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
            url.unwrap_or_else(|| panic!("{link}")).to_owned()
        });
    }
    pages
}

#[test]
fn tags_in_pages() {
    let server = start();
    let (bytes, _) = push_image(&server, "a", "b", b"layer");
    for tag in ["a", "B", "_x", "1.0"] {
        push_manifest(&server, "a", tag, MANIFEST, &bytes);
    }
    assert_eq!(
        get(&server, "/v2/a/tags/list").json(),
        json!({"name": "a", "tags": ["1.0", "B", "_x", "a", "b"]})
    );
    for (query, expected) in [
        ("n=2", vec![json!(["1.0", "B"]), json!(["_x", "a"]), json!(["b"])]),
        ("n=5", vec![json!(["1.0", "B", "_x", "a", "b"])]),
        ("n=0", vec![json!([])]),
        ("last=_x", vec![json!(["a", "b"])]),
        ("n=1&last=a", vec![json!(["b"])]),
        ("last=zzz", vec![json!([])]),
    ] {
        assert_eq!(pages(&server, &format!("/v2/a/tags/list?{query}"), "tags"), expected, "{query}");
    }
    assert_eq!(get(&server, "/v2/a/tags/list?n=x").status, 400);
    assert_eq!(get(&server, "/v2/b/tags/list").error(), (404, "NAME_UNKNOWN".to_owned()));
}

#[test]
fn the_catalog_in_pages() {
    let server = Registry::builder().page_limit(2).start().unwrap();
    assert_eq!(get(&server, "/v2/_catalog").json(), json!({"repositories": []}));
    for name in ["b/c", "a", "b"] {
        push_blob(&server, name, b"x");
    }
    assert_eq!(pages(&server, "/v2/_catalog", "repositories"), [json!(["a", "b"]), json!(["b/c"])]);
    assert_eq!(pages(&server, "/v2/_catalog?n=1", "repositories").len(), 3);
}

#[test]
fn referrers() {
    let server = start();
    let (subject, digest) = push_image(&server, "a", "latest", b"layer");
    let path = format!("/v2/a/referrers/{digest}");
    let empty = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []});
    assert_eq!(get(&server, &path).json(), empty);
    // Never 404, as that says that there is no such API.
    for path in [format!("/v2/a/referrers/{}", sha256(b"?")), format!("/v2/none/referrers/{digest}")] {
        let answer = get(&server, &path);
        assert_eq!((answer.status, answer.json()), (200, empty.clone()), "{path}");
    }
    assert_eq!(get(&server, "/v2/a/referrers/latest").error(), (400, "DIGEST_INVALID".to_owned()));

    let mut expected = Vec::new();
    for (i, artifact_type) in
        ["application/x.sbom", "application/x.signature+json", "application/x.sbom"].into_iter().enumerate()
    {
        let mut value = manifest(b"layer");
        value["artifactType"] = json!(artifact_type);
        value["subject"] = described(MANIFEST, &subject);
        value["annotations"] = json!({"i": i.to_string(), "a": "b"});
        let bytes = value.to_string();
        let answer = push_manifest(&server, "a", &sha256(bytes.as_bytes()), MANIFEST, bytes.as_bytes());
        assert_eq!((answer.status, answer.header("oci-subject")), (201, Some(digest.as_str())));
        let mut entry = described(MANIFEST, bytes.as_bytes());
        entry["artifactType"] = json!(artifact_type);
        entry["annotations"] = value["annotations"].clone();
        expected.push(entry);
    }
    expected.sort_by_key(|entry| entry["digest"].as_str().unwrap().to_owned());
    let answer = get(&server, &path);
    assert_eq!(answer.header("content-type"), Some(INDEX));
    assert_eq!(answer.header("oci-filters-applied"), None);
    assert_eq!(answer.json()["manifests"], json!(expected));

    let filtered = get(&server, &format!("{path}?artifactType=application/x.signature%2Bjson"));
    assert_eq!(filtered.header("oci-filters-applied"), Some("artifactType"));
    assert_eq!(filtered.json()["manifests"].as_array().unwrap().len(), 1);

    assert_eq!(pages(&server, &format!("{path}?n=1"), "manifests").len(), 3);
    let sboms = pages(&server, &format!("{path}?n=1&artifactType=application%2Fx.sbom"), "manifests");
    assert_eq!(sboms.len(), 2, "the filter goes with the link");

    // A subject that does not exist (yet) is fine.
    let mut value = manifest(b"layer");
    value["subject"] = described(MANIFEST, b"future");
    assert_eq!(push_manifest(&server, "a", "early", MANIFEST, value.to_string().as_bytes()).status, 201);
    let early = get(&server, &format!("/v2/a/referrers/{}", sha256(b"future"))).json();
    assert_eq!(early["manifests"][0]["artifactType"], "application/vnd.oci.empty.v1+json");
}
