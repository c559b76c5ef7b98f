use std::time::Duration;

use oci_client::registry::{Registry, RequestLog, Server};

use crate::http::{get, push_blob, send, sha256, start};

/// `alice:s3cret` in base64.
const ALICE: &str = "Basic YWxpY2U6czNjcmV0";
const MALLORY: &str = "Basic bWFsbG9yeTpzM2NyZXQ=";
const WRONG: &str = "Basic YWxpY2U6d3Jvbmc=";

fn with(server: &Server, line: &str, authorization: &str, body: &[u8]) -> crate::http::Answer {
    send(server, line, &[("Authorization", authorization)], body)
}

fn push_line(name: &str) -> String {
    format!("POST /v2/{name}/blobs/uploads/?digest={}", sha256(b"x"))
}

#[test]
fn open_to_everybody_by_default() {
    let server = start();
    assert_eq!(get(&server, "/v2/").status, 200);
    assert_eq!(with(&server, "GET /v2/", WRONG, b"").status, 200);
    assert_eq!(get(&server, "/token").status, 404);
}

#[test]
fn basic() {
    let log = RequestLog::new();
    let server = Registry::builder().user("alice", "s3cret").observer(log.observer()).start().unwrap();
    for authorization in [None, Some(MALLORY), Some(WRONG), Some("Basic !"), Some("Bearer x"), Some("x")] {
        let headers: Vec<_> = authorization.iter().map(|value| ("Authorization", *value)).collect();
        for line in ["GET /v2/", "GET /v2/a/tags/list", "GET /v2/_catalog", &push_line("a")] {
            let answer = send(&server, line, &headers, b"");
            assert_eq!(answer.error(), (401, "UNAUTHORIZED".to_owned()), "{line} {authorization:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"oci-client-registry\""));
        }
    }
    assert_eq!(with(&server, "GET /v2/", ALICE, b"").status, 200);
    assert_eq!(with(&server, &push_line("a"), ALICE, b"x").status, 201);
    let records = format!("{:?}", log.records());
    assert!(records.contains("Basic (hidden)") && !records.contains("YWxpY2U"), "{records}");
}

#[test]
fn basic_with_anonymous_pull() {
    let server = Registry::builder().user("alice", "s3cret").anonymous_pull(true).start().unwrap();
    assert_eq!(with(&server, &push_line("a"), ALICE, b"x").status, 201);
    assert_eq!(get(&server, &format!("/v2/a/blobs/{}", sha256(b"x"))).status, 200);
    assert_eq!(get(&server, "/v2/").status, 401);
    assert_eq!(send(&server, &push_line("a"), &[], b"x").status, 401);
    assert_eq!(send(&server, "DELETE /v2/a/manifests/x", &[], b"").status, 401);
    assert_eq!(with(&server, "GET /v2/a/tags/list", WRONG, b"").status, 401);
}

fn token(server: &Server, scope: &str, authorization: Option<&str>) -> String {
    let headers: Vec<_> = authorization.iter().map(|value| ("Authorization", *value)).collect();
    let answer = send(server, &format!("GET /token?service=x&scope={scope}"), &headers, b"");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["token"], answer.json()["access_token"]);
    format!("Bearer {}", answer.json()["token"].as_str().unwrap())
}

#[test]
fn tokens() {
    let server = Registry::builder()
        .user("alice", "s3cret")
        .anonymous_pull(true)
        .tokens(Duration::from_secs(60))
        .start()
        .unwrap();
    let challenge = |answer: crate::http::Answer| {
        assert_eq!(answer.error(), (401, "UNAUTHORIZED".to_owned()));
        answer.header("www-authenticate").unwrap().to_owned()
    };
    let realm = format!("Bearer realm=\"http://{}/token\",service=\"oci-client-registry\"", server.host());
    assert_eq!(challenge(get(&server, "/v2/")), realm);
    assert_eq!(
        challenge(send(&server, &push_line("a"), &[], b"")),
        format!("{realm},scope=\"repository:a:pull,push\"")
    );
    // A password is for the token endpoint alone.
    assert!(challenge(with(&server, "GET /v2/", ALICE, b"")).ends_with("error=\"invalid_token\""));
    assert_eq!(with(&server, "GET /token", WRONG, b"").status, 401);

    let push = token(&server, "repository:a:pull,push&scope=repository:b:pull", Some(ALICE));
    assert_eq!(with(&server, "GET /v2/", &push, b"").status, 200);
    assert_eq!(with(&server, &push_line("a"), &push, b"x").status, 201);
    assert_eq!(with(&server, "DELETE /v2/a/manifests/x", &push, b"").status, 401);
    assert!(
        challenge(with(&server, &push_line("b"), &push, b"x"))
            .ends_with("scope=\"repository:b:pull,push\",error=\"insufficient_scope\"")
    );
    assert_eq!(with(&server, "GET /v2/_catalog", &push, b"").status, 401);
    let catalog = token(&server, "registry:catalog:*", Some(ALICE));
    assert_eq!(with(&server, "GET /v2/_catalog", &catalog, b"").status, 200);
    assert_eq!(with(&server, "GET /v2/_catalog", "Bearer 0", b"").status, 401);

    // Nobody gets more than pulling.
    let anonymous = token(&server, "repository:a:pull,push,delete", None);
    assert_eq!(with(&server, &format!("GET /v2/a/blobs/{}", sha256(b"x")), &anonymous, b"").status, 200);
    assert_eq!(with(&server, &push_line("a"), &anonymous, b"x").status, 401);

    // A mount needs to read where it takes from; without that the client may upload.
    let mount = format!("POST /v2/b/blobs/uploads/?mount={}&from=a", sha256(b"x"));
    let only_b = token(&server, "repository:b:pull,push", Some(ALICE));
    assert_eq!(with(&server, &mount, &only_b, b"").status, 202);
    let both = token(&server, "repository:b:pull,push&scope=repository:a:pull", Some(ALICE));
    assert_eq!(with(&server, &mount, &both, b"").status, 201);
}

#[test]
fn tokens_end() {
    let server = Registry::builder().user("alice", "s3cret").tokens(Duration::ZERO).start().unwrap();
    let ended = token(&server, "repository:a:pull", Some(ALICE));
    assert_eq!(with(&server, "GET /v2/", &ended, b"").status, 401);
    assert_eq!(get(&server, "/token?scope=repository:a:pull").status, 401, "no anonymous pull here");
}

#[test]
fn records() {
    let log = RequestLog::new();
    let server = Registry::builder().observer(log.observer()).start().unwrap();
    let digest = push_blob(&server, "a", b"hello");
    send(&server, &format!("GET /v2/a/blobs/{digest}"), &[("Range", "bytes=1-2")], b"");
    get(&server, "/v2/a/manifests/x?y=z");
    let records = log.take();
    let seen: Vec<_> =
        records.iter().map(|r| (r.line(), r.status.as_u16(), r.request_bytes, r.response_bytes)).collect();
    assert_eq!(seen[0], (format!("POST /v2/a/blobs/uploads/?digest={digest}"), 201, 5, 0));
    assert_eq!(seen[1], (format!("GET /v2/a/blobs/{digest}"), 206, 0, 2));
    assert_eq!((&seen[2].0[..], seen[2].1), ("GET /v2/a/manifests/x?y=z", 404));
    assert_eq!(records[1].headers["range"], "bytes=1-2");
    assert!(records[1].remote.is_some() && records[1].failure.is_none());
    assert!(log.records().is_empty());
}
