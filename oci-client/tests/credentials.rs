//! Where credentials go, and where they do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use oci_client::blocking::Client;
use oci_client::credentials::AuthFiles;
use oci_client::{ClientOptions, Credentials, Error};
use support::{MANIFEST, Server, answer, manifest_bytes, quick};

const BASIC: &str = "Basic YWxpY2U6czNjcmV0";

fn good(stream: &mut std::net::TcpStream) -> bool {
    answer(stream, "200 OK", &[("Content-Type", MANIFEST)], &manifest_bytes())
}

fn challenge(stream: &mut std::net::TcpStream, challenge: &str) -> bool {
    answer(stream, "401 Unauthorized", &[("WWW-Authenticate", challenge)], b"")
}

/// A registry whose challenges are made by `realm(port)`, and which wants the bearer token `tok`.
fn registry(realm: impl Fn(u16) -> String + Send + Sync + 'static) -> Server {
    let port = Arc::new(OnceLock::new());
    let own = port.clone();
    let server = Server::start(move |seen, stream| {
        if seen.target.starts_with("/token") {
            return answer(stream, "200 OK", &[], br#"{"token":"tok","expires_in":60}"#);
        }
        match seen.header("authorization") {
            Some("Bearer tok") => good(stream),
            _ => challenge(stream, &realm(*own.wait())),
        }
    });
    port.set(server.port).unwrap();
    server
}

#[test]
fn basic_is_sent_only_when_asked_for_and_kept() {
    let server = Server::start(|seen, stream| match seen.header("authorization") {
        Some(BASIC) => good(stream),
        None => challenge(stream, "Basic realm=\"r\""),
        Some(other) => panic!("{other}"),
    });
    let repository = server.repository(server.alice());
    repository.manifest("t").unwrap();
    repository.manifest("t").unwrap();
    let sent: Vec<_> = server.seen().iter().map(|s| s.header("authorization").is_some()).collect();
    assert_eq!(sent, [false, true, true]);
}

#[test]
fn a_token_is_fetched_once_for_a_scope() {
    let server =
        registry(|port| format!("Bearer realm=\"http://127.0.0.1:{port}/token?x=1\",service=\"my reg\""));
    let repository = server.repository(server.alice());
    for _ in 0..3 {
        repository.manifest("t").unwrap();
    }
    let tokens: Vec<_> = server.seen().into_iter().filter(|s| s.target.starts_with("/token")).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].target, "/token?x=1&service=my%20reg&scope=repository:a/b:pull");
    assert_eq!(tokens[0].header("authorization"), Some(BASIC));
    assert_eq!(server.seen().len(), 5);
}

#[test]
fn a_realm_on_another_host_gets_no_password() {
    // The same server under another name.
    let server = registry(|port| format!("Bearer realm=\"http://localhost:{port}/token\",service=\"s\""));
    let repository = server.repository(server.alice());
    repository.manifest("t").unwrap();
    let tokens: Vec<_> = server.seen().into_iter().filter(|s| s.target.starts_with("/token")).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].header("authorization"), None);

    // Unless the program says that it belongs to the registry.
    let options = server.alice().token_host(&format!("127.0.0.1:{}", server.port), "localhost").unwrap();
    server.repository(options).manifest("t").unwrap();
    assert_eq!(server.seen().iter().filter(|s| s.header("authorization") == Some(BASIC)).count(), 1);
}

#[test]
fn another_port_of_the_same_host_gets_it() {
    let tokens = Server::start(|_, stream| answer(stream, "200 OK", &[], br#"{"access_token":"tok"}"#));
    let port = tokens.port;
    let server = registry(move |_| format!("Bearer realm=\"http://127.0.0.1:{port}/t\""));
    server.repository(server.alice()).manifest("t").unwrap();
    assert_eq!(tokens.seen()[0].header("authorization"), Some(BASIC));
}

#[test]
fn challenges_that_cannot_be_understood_get_nothing() {
    for text in
        ["Bearer", "Bearer realm=", "Bearer realm=\"http://127.0.0.1", "Bearer realm=\"ftp://x/\"", "\"", ""]
    {
        let server = registry(move |_| text.to_owned());
        let error = server.repository(server.alice()).manifest("t").unwrap_err();
        assert!(error.is_unauthorized(), "{text}: {error}");
        assert!(server.seen().iter().all(|s| s.header("authorization").is_none()));
        assert_eq!(server.seen().len(), 1, "{text}");
    }
}

#[test]
fn a_server_may_not_lead_to_link_local_addresses() {
    for host in ["169.254.169.254", "0.0.0.0", "[::]"] {
        let server = registry(move |port| format!("Bearer realm=\"http://{host}:{port}/token\""));
        let error = server.repository(server.alice()).manifest("t").unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{host}: {error:?}");
        let server = Server::start(move |seen, stream| {
            let port = seen.header("host").unwrap().split_once(':').unwrap().1.to_owned();
            answer(stream, "307 Temporary", &[("Location", &format!("http://{host}:{port}/x"))], b"")
        });
        let error = server.repository(quick()).manifest("t").unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{host}: {error:?}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn tokens_that_are_never_accepted_end_it() {
    let server = Server::start(|seen, stream| {
        if seen.target.starts_with("/token") {
            return answer(stream, "200 OK", &[], br#"{"token":"other"}"#);
        }
        let host = seen.header("host").unwrap().to_owned();
        challenge(stream, &format!("Bearer realm=\"http://{host}/token\""))
    });
    let error = server.repository(server.alice()).manifest("t").unwrap_err();
    assert!(error.is_unauthorized(), "{error}");
    assert_eq!(server.count("GET", "/token"), 1);
    assert_eq!(server.count("GET", "/manifests/"), 2);
    assert!(!format!("{error:?}").contains("s3cret"));
    let text = error.to_string();
    assert!(text.contains(": status 401: the registry does not accept these credentials"), "{text}");
}

#[test]
fn an_expired_token_is_renewed() {
    let issued = AtomicUsize::new(0);
    let used = AtomicUsize::new(0);
    let server = Server::start(move |seen, stream| {
        if seen.target.starts_with("/token") {
            let n = issued.fetch_add(1, Ordering::Relaxed);
            return answer(
                stream,
                "200 OK",
                &[],
                format!("{{\"token\":\"t{n}\",\"expires_in\":3600}}").as_bytes(),
            );
        }
        // Each token is good for two requests, whatever was said.
        let newest = format!("Bearer t{}", issued.load(Ordering::Relaxed).wrapping_sub(1));
        if seen.header("authorization") == Some(&newest) && used.fetch_add(1, Ordering::Relaxed) % 3 != 2 {
            return good(stream);
        }
        let host = seen.header("host").unwrap().to_owned();
        challenge(stream, &format!("Bearer realm=\"http://{host}/token\""))
    });
    let repository = server.repository(server.alice());
    for _ in 0..6 {
        repository.manifest("t").unwrap();
    }
    assert!(server.count("GET", "/token") > 1);
}

#[test]
fn redirects_carry_no_credentials_to_other_places() {
    let other = Server::start(|_, stream| good(stream));
    let port = other.port;
    for host in ["127.0.0.1", "localhost"] {
        for status in ["301 M", "302 F", "303 S", "307 T", "308 P"] {
            let server = Server::start(move |seen, stream| match seen.header("authorization") {
                Some(_) => {
                    let to = format!("http://{host}:{port}/x%2Fy?sig=a%2Bb&&c=%7e");
                    answer(stream, status, &[("Location", &to)], b"")
                }
                None => challenge(stream, "Basic realm=\"r\""),
            });
            server.repository(server.alice()).manifest("t").unwrap();
        }
    }
    assert_eq!(other.seen().len(), 10);
    for seen in other.seen() {
        assert_eq!(seen.header("authorization"), None);
        assert_eq!(seen.target, "/x%2Fy?sig=a%2Bb&&c=%7e");
    }
    // And a challenge from there is not answered.
    let thief = Server::start(|_, stream| challenge(stream, "Basic realm=\"give\""));
    let port = thief.port;
    let server = Server::start(move |_, stream| {
        answer(stream, "307 T", &[("Location", &format!("http://127.0.0.1:{port}/x"))], b"")
    });
    let error = server.repository(server.alice()).manifest("t").unwrap_err();
    assert!(error.is_unauthorized(), "{error}");
    assert_eq!(thief.seen().len(), 1);
}

#[test]
fn redirects_end() {
    let n = AtomicUsize::new(0);
    let server = Server::start(move |_, stream| {
        let next = format!("/v2/loop/{}", n.fetch_add(1, Ordering::Relaxed));
        answer(stream, "302 Found", &[("Location", &next)], b"")
    });
    assert!(matches!(server.repository(quick()).manifest("t"), Err(Error::Protocol { .. })));
    assert_eq!(server.seen().len(), 11);
    for location in ["", "file:///etc/passwd", "ftp://127.0.0.1/", "http://", "http://a b/"] {
        let server =
            Server::start(move |_, stream| answer(stream, "302 Found", &[("Location", location)], b""));
        assert!(
            matches!(server.repository(quick()).manifest("t"), Err(Error::Protocol { .. })),
            "{location}"
        );
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn plain_http_is_for_loopback_and_for_who_asks_for_it() {
    let server = Server::start(|_, stream| good(stream));
    let ca = include_bytes!("support/ca.pem").to_vec();
    let error = server.repository(quick().retries(0).root_certificates(ca)).manifest("t").unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    // What came was no HTTP request.
    assert!(server.seen().is_empty());
    let never = ClientOptions::default().plain_http(oci_client::PlainHttp::Never).retries(0);
    assert!(matches!(server.repository(never).manifest("t"), Err(Error::Connect { .. })));
    assert!(server.seen().is_empty());
}

#[test]
fn registry_tokens_are_sent_as_they_are() {
    let server = registry(|port| format!("Bearer realm=\"http://127.0.0.1:{port}/token\""));
    let host = format!("127.0.0.1:{}", server.port);
    let options = quick().credentials(&host, Credentials::bearer("tok")).unwrap();
    server.repository(options).manifest("t").unwrap();
    assert_eq!(server.count("GET", "/token"), 0);
}

#[test]
fn a_file_of_podman_or_docker_lets_in() {
    let server = Server::start(|seen, stream| match seen.header("authorization") {
        Some(BASIC) => good(stream),
        _ => challenge(stream, "Basic realm=\"r\""),
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.json");
    let with = || quick().credential_source(Arc::new(AuthFiles::only(&path)));
    let host = format!("127.0.0.1:{}", server.port);
    let auth = BASIC.strip_prefix("Basic ").unwrap();
    std::fs::write(&path, format!(r#"{{"auths":{{"{host}/a":{{"auth":"{auth}"}}}}}}"#)).unwrap();
    server.repository(with()).manifest("t").unwrap();
    assert_eq!(server.seen().len(), 2);

    // What is broken is told before anything is sent.
    std::fs::write(&path, r#"{"s3cret"#).unwrap();
    let error = Client::with(with()).unwrap().repository(&server.reference()).unwrap_err().to_string();
    assert!(error.contains("auth.json") && !error.contains("s3cret"), "{error}");
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn who_has_no_credentials_hears_the_registrys_words() {
    let server = Server::start(|seen, stream| {
        let body: &[u8] =
            if seen.method == "HEAD" { b"" } else { br#"{"errors":[{"code":"UNAUTHORIZED"}]}"# };
        answer(stream, "401 Unauthorized", &[("WWW-Authenticate", "Basic realm=r")], body)
    });
    let error = server.repository(quick()).resolve("t").unwrap_err().to_string();
    let reason = ": status 401: the registry asks for user and password: UNAUTHORIZED";
    assert!(error.ends_with(reason), "{error}");
    // A wrong password goes out once.
    assert!(server.repository(server.alice()).resolve("t").unwrap_err().is_unauthorized());
    assert_eq!(server.seen().iter().filter(|seen| seen.header("authorization").is_some()).count(), 1);
}
