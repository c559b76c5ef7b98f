use oci_client::registry::{MissingContent, Registry};
use oci_digest::{Algorithm, digest_of};
use serde_json::json;

use crate::http::{
    INDEX, MANIFEST, described, get, manifest, push_blob, push_image, push_manifest, send, sha256, start,
};

#[test]
fn by_tag_and_by_digest_the_bytes_are_the_same() {
    let server = start();
    // Not how a serialiser would write it: order, spaces, a member nobody knows.
    push_blob(&server, "a", b"{}");
    let bytes = format!(
        "{{ \"x\" : [1.0],\n\"layers\":[],\"config\":{},\"schemaVersion\":2}}",
        described("application/vnd.oci.empty.v1+json", b"{}")
    );
    let digest = sha256(bytes.as_bytes());
    let answer = push_manifest(&server, "a", "v1", MANIFEST, bytes.as_bytes());
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), Some(format!("/v2/a/manifests/{digest}").as_str()));
    assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
    assert_eq!(answer.header("oci-subject"), None);
    for reference in ["v1", &digest] {
        let answer = get(&server, &format!("/v2/a/manifests/{reference}"));
        assert_eq!((answer.status, &answer.body[..]), (200, bytes.as_bytes()));
        let head = send(&server, &format!("HEAD /v2/a/manifests/{reference}"), &[], b"");
        for answer in [answer, head] {
            assert_eq!(answer.header("content-type"), Some(MANIFEST));
            assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
            assert_eq!(answer.header("content-length"), Some(bytes.len().to_string().as_str()));
        }
    }
    let etag = format!("\"{digest}\"");
    assert_eq!(send(&server, "GET /v2/a/manifests/v1", &[("If-None-Match", &etag)], b"").status, 304);
}

#[test]
fn types_stay_as_they_were_pushed() {
    let server = start();
    let (image, _) = push_image(&server, "a", "oci", b"layer");
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let mut value = manifest(b"layer");
    value["mediaType"] = json!(docker);
    let list = "application/vnd.docker.distribution.manifest.list.v2+json";
    for (tag, media_type, value) in [
        ("docker", docker, value),
        ("index", INDEX, json!({"schemaVersion": 2, "manifests": [described(MANIFEST, &image)]})),
        ("list", list, json!({"schemaVersion": 2, "mediaType": list, "manifests": []})),
    ] {
        let told = format!("{media_type}; charset=utf-8");
        let answer = push_manifest(&server, "a", tag, &told, value.to_string().as_bytes());
        assert_eq!(answer.status, 201, "{tag}");
        let digest = answer.header("docker-content-digest").unwrap();
        for reference in [tag, digest] {
            let head = send(&server, &format!("HEAD /v2/a/manifests/{reference}"), &[], b"");
            assert_eq!(head.header("content-type"), Some(media_type), "{reference}");
        }
    }
}

#[test]
fn other_algorithms_and_several_tags() {
    let server = start();
    let (bytes, _) = push_image(&server, "a", "latest", b"layer");
    let digest = digest_of(Algorithm::Sha512, &bytes);
    let answer = push_manifest(&server, "a", &format!("{digest}?tag=one&tag=two"), MANIFEST, &bytes);
    assert_eq!(answer.status, 201);
    let tags: Vec<&str> =
        answer.headers.iter().filter(|(name, _)| name == "oci-tag").map(|(_, tag)| tag.as_str()).collect();
    assert_eq!(tags, ["one", "two"]);
    assert_eq!(get(&server, &format!("/v2/a/manifests/{digest}")).body, bytes);
    assert_eq!(get(&server, "/v2/a/manifests/two").header("docker-content-digest"), Some(digest.as_ref()));
    let many: String = (0..65).map(|i| format!("&tag=t{i}")).collect();
    assert_eq!(push_manifest(&server, "a", &format!("{digest}?x=y{many}"), MANIFEST, &bytes).status, 414);
    assert_eq!(push_manifest(&server, "a", &format!("{digest}?tag=..%2fx"), MANIFEST, &bytes).status, 400);
}

#[test]
fn what_is_refused() {
    let server = start();
    let (bytes, digest) = push_image(&server, "a", "latest", b"layer");
    let wrong = sha256(b"wrong");
    let absent = manifest(b"absent").to_string();
    let mut resized = manifest(b"layer");
    resized["layers"][0]["size"] = json!(6);
    let resized = resized.to_string();
    let nested = format!("{{\"config\":{}", "[".repeat(1_000_000));
    let large = vec![b' '; 4 * 1024 * 1024 + 1];
    let text = std::str::from_utf8(&bytes).unwrap();
    for (reference, media_type, body, status, code) in [
        (wrong.as_str(), MANIFEST, text, 400, "DIGEST_INVALID"),
        ("sha256:short", MANIFEST, text, 400, "DIGEST_INVALID"),
        (".tag", MANIFEST, text, 400, "MANIFEST_INVALID"),
        ("a%2Fb", MANIFEST, text, 404, "UNSUPPORTED"),
        ("t", INDEX, text, 400, "MANIFEST_INVALID"),
        ("t", "text/html", text, 400, "MANIFEST_INVALID"),
        ("t", MANIFEST, "", 400, "MANIFEST_INVALID"),
        ("t", MANIFEST, "{}", 400, "MANIFEST_INVALID"),
        ("t", MANIFEST, "<html>", 400, "MANIFEST_INVALID"),
        ("t", MANIFEST, &nested, 400, "MANIFEST_INVALID"),
        ("t", MANIFEST, std::str::from_utf8(&large).unwrap(), 413, "SIZE_INVALID"),
        ("t", MANIFEST, &absent, 404, "MANIFEST_BLOB_UNKNOWN"),
        ("t", MANIFEST, &resized, 400, "SIZE_INVALID"),
    ] {
        let answer = push_manifest(&server, "a", reference, media_type, body.as_bytes());
        assert_eq!(answer.error(), (status, code.to_owned()), "{reference} {media_type} {body:.40}");
    }
    assert_eq!(get(&server, "/v2/a/tags/list").json()["tags"], json!(["latest"]));
    for (path, code) in [
        ("/v2/a/manifests/absent".to_owned(), "MANIFEST_UNKNOWN"),
        ("/v2/a/manifests/.bad".to_owned(), "MANIFEST_UNKNOWN"),
        (format!("/v2/a/manifests/{wrong}"), "MANIFEST_UNKNOWN"),
        // A blob is no manifest.
        (format!("/v2/a/manifests/{}", sha256(b"layer")), "MANIFEST_UNKNOWN"),
        (format!("/v2/b/manifests/{digest}"), "NAME_UNKNOWN"),
    ] {
        assert_eq!(get(&server, &path).error(), (404, code.to_owned()), "{path}");
    }
    assert_eq!(get(&server, "/v2/a/manifests/md5:00").error().1, "DIGEST_INVALID");
}

#[test]
fn missing_content() {
    let child = manifest(b"layer").to_string();
    let index = json!({"schemaVersion": 2, "manifests": [described(MANIFEST, child.as_bytes())]}).to_string();
    for (missing, image_status, index_status) in [
        (MissingContent::Reject, 404, 404),
        (MissingContent::SparseIndex, 404, 201),
        (MissingContent::Allow, 201, 201),
    ] {
        let server = Registry::builder().missing_content(missing).start().unwrap();
        assert_eq!(push_manifest(&server, "a", "index", INDEX, index.as_bytes()).status, index_status);
        assert_eq!(push_manifest(&server, "a", "image", MANIFEST, child.as_bytes()).status, image_status);
    }
}

#[test]
fn a_tag_moves() {
    let server = start();
    let (_, first) = push_image(&server, "a", "latest", b"1");
    let (_, second) = push_image(&server, "a", "latest", b"2");
    assert_eq!(get(&server, "/v2/a/manifests/latest").header("docker-content-digest"), Some(second.as_str()));
    assert_eq!(get(&server, &format!("/v2/a/manifests/{first}")).status, 200);
}

#[test]
fn deletes() {
    let server = start();
    let (bytes, digest) = push_image(&server, "a", "one", b"layer");
    for tag in ["two", "three"] {
        push_manifest(&server, "a", tag, MANIFEST, &bytes);
    }
    let delete = |reference: &str| send(&server, &format!("DELETE /v2/a/manifests/{reference}"), &[], b"");
    assert_eq!(delete("one").status, 202);
    assert_eq!(delete("one").error(), (404, "MANIFEST_UNKNOWN".to_owned()));
    assert_eq!(get(&server, "/v2/a/manifests/one").status, 404);
    // The tag is gone, the manifest is not; with the manifest its other tags go.
    assert_eq!(get(&server, &format!("/v2/a/manifests/{digest}")).status, 200);
    assert_eq!(delete(&digest).status, 202);
    assert_eq!(get(&server, "/v2/a/tags/list").json(), json!({"name": "a", "tags": []}));
    assert_eq!(delete(&digest).status, 404);
    assert_eq!(delete(&sha256(b"layer")).error(), (404, "MANIFEST_UNKNOWN".to_owned()));

    let server = Registry::builder().deletes(false).start().unwrap();
    let (_, digest) = push_image(&server, "a", "one", b"layer");
    for path in
        ["manifests/one".to_owned(), format!("manifests/{digest}"), format!("blobs/{}", sha256(b"layer"))]
    {
        let answer = send(&server, &format!("DELETE /v2/a/{path}"), &[], b"");
        assert_eq!(answer.error(), (405, "UNSUPPORTED".to_owned()), "{path}");
    }
}
