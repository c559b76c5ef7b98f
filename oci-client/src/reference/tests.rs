use proptest::prelude::*;

use super::*;

const HASH: &str = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c";

#[test]
fn reads_names_as_docker_does() {
    let digest = format!("sha256:{HASH}");
    for (input, registry, repository, target) in [
        ("alpine", "docker.io", "library/alpine", "latest"),
        ("alpine:3.20", "docker.io", "library/alpine", "3.20"),
        ("user/app", "docker.io", "user/app", "latest"),
        ("docker.io/alpine", "docker.io", "library/alpine", "latest"),
        ("index.docker.io/a/b:c", "docker.io", "a/b", "c"),
        ("registry-1.docker.io/alpine", "docker.io", "library/alpine", "latest"),
        ("localhost/a", "localhost", "a", "latest"),
        ("localhost:5000", "docker.io", "library/localhost", "5000"),
        ("localhost:5000/a", "localhost:5000", "a", "latest"),
        ("127.0.0.1:5000/a/b:t", "127.0.0.1:5000", "a/b", "t"),
        ("[::1]:5000/a:T_.-9", "[::1]:5000", "a", "T_.-9"),
        ("[2001:db8::1]/a", "[2001:db8::1]", "a", "latest"),
        ("GHCR.io/a", "ghcr.io", "a", "latest"),
        ("ghcr.io/a/b.c_d__e---f/g", "ghcr.io", "a/b.c_d__e---f/g", "latest"),
        (&format!("a@{digest}"), "docker.io", "library/a", &digest),
        (&format!("r.io/a:t@{digest}"), "r.io", "a", &digest),
    ] {
        let reference: Reference = input.parse().unwrap_or_else(|e| panic!("{input}: {e}"));
        assert_eq!((reference.registry(), reference.repository()), (registry, repository), "{input}");
        assert_eq!(reference.target(), target);
        assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
    }
    let both: Reference = format!("r.io/a:t@{digest}").parse().unwrap();
    assert_eq!(both.tag(), Some("t"));
    assert_eq!(both.to_string(), format!("r.io/a:t@{digest}"));
    let only: Reference = format!("r.io/a@{digest}").parse().unwrap();
    assert_eq!(only.tag(), None);
}

#[test]
fn says_which_part_is_wrong() {
    let long = "a".repeat(256);
    let tag = format!("a:{}", "t".repeat(129));
    let hash512 = format!("a@sha512:{HASH}");
    for (input, part, reason) in [
        ("", "repository", "empty"),
        ("r.io/", "repository", "empty"),
        ("/a", "repository", "between slashes"),
        ("r.io//a", "repository", "between slashes"),
        ("r.io/a/", "repository", "between slashes"),
        ("Alpine", "repository", "lower case"),
        ("r.io/A", "repository", "lower case"),
        ("r.io/a b", "repository", "' '"),
        ("r.io/a/../b", "repository", "separator"),
        ("r.io/a._b", "repository", "._"),
        ("r.io/a___b", "repository", "___"),
        ("r.io/_a", "repository", "separator"),
        ("r.io/a-", "repository", "separator"),
        (&long, "repository", "at most 255"),
        ("r.io/ä", "repository", "'ä'"),
        ("a:", "tag", "empty"),
        ("a:.t", "tag", "begins"),
        ("a:b:c", "tag", "':'"),
        ("a:b/c", "port", ""),
        ("r.io/a:b/c", "tag", "'/'"),
        ("Host/a", "repository", "lower case"),
        (&tag, "tag", "at most 128"),
        ("r.io:99999/a", "port", "65535"),
        ("r.io:x/a", "port", "65535"),
        ("r_.io/a", "registry", "letters"),
        ("[::1/a", "registry", "bracket"),
        ("999.1.1.1/a", "registry", "IPv4"),
        ("a@sha256:abc", "digest", ""),
        ("a@", "digest", ""),
        ("a@sha256", "digest", ""),
        (&hash512, "digest", ""),
        (HASH, "repository", "identifier"),
        ("https://r.io/a", "port", ""),
    ] {
        match input.parse::<Reference>() {
            Err(Error::Reference { part: p, reason: r, .. }) => {
                assert_eq!(p, part, "{input}: {r}");
                assert!(r.contains(reason), "{input}: {r}");
            }
            other => panic!("{input}: {other:?}"),
        }
    }
}

#[test]
fn constructors_check_too() {
    assert!(Reference::new("r.io", "a/b").is_ok());
    assert!(Reference::new("r.io", "a/B").is_err());
    assert!(Reference::new("r.io/x", "a").is_err());
    let reference = Reference::new("r.io", "a").unwrap();
    assert!(reference.clone().with_tag("a/b").is_err());
    let digest: Digest = format!("sha256:{HASH}").parse().unwrap();
    assert_eq!(reference.with_digest(digest).to_string(), format!("r.io/a@sha256:{HASH}"));
}

#[test]
fn docker_io_is_served_elsewhere() {
    let hub: Reference = "alpine".parse().unwrap();
    assert_eq!(api_authority(hub.authority()).to_string(), "registry-1.docker.io");
    let other: Reference = "quay.io/a".parse().unwrap();
    assert_eq!(api_authority(other.authority()).to_string(), "quay.io");
}

proptest! {
    #[test]
    fn never_panics(input in "\\PC{0,80}") {
        let _ = input.parse::<Reference>();
    }

    #[test]
    fn what_parses_is_shown_as_what_parses(input in "[a-zA-Z0-9._:/@\\[\\]-]{0,40}") {
        if let Ok(reference) = input.parse::<Reference>() {
            let shown = reference.to_string();
            let again = shown.parse::<Reference>();
            prop_assert_eq!(again.ok(), Some(reference), "{}", shown);
        }
    }

    #[test]
    fn well_formed_names_parse(
        host in "[a-z]{1,8}\\.[a-z]{2,5}(:[1-9][0-9]{0,3})?",
        path in "[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,8}){0,3}",
        tag in "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}",
    ) {
        let shown = format!("{host}/{path}:{tag}");
        prop_assume!(!host.starts_with("docker.io"));
        prop_assert_eq!(shown.parse::<Reference>().unwrap().to_string(), shown);
    }
}
