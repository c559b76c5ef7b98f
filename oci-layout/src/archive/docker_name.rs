//! The names of images in docker archives: references with a tag.

use crate::{Error, Result};

/// A reference under the name that docker knows it by in full: with registry and tag.
pub(super) fn full(name: &str) -> String {
    let mut full = match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    };
    if !full.rsplit('/').next().unwrap_or_default().contains(':') {
        full.push_str(":latest");
    }
    full
}

/// A reference as it is written into an archive: in full, since podman takes short ones for another registry's. It has
/// to be one that docker loads.
pub(super) fn tagged(name: &str) -> Result<String> {
    let invalid = |reason| Err(Error::InvalidTag { value: name.chars().take(64).collect(), reason });
    if name.is_empty() || name.len() > 512 {
        return invalid("a reference has 1 to 512 characters");
    }
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, tag),
        _ => (name, "latest"),
    };
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_tag = |tag: &str| {
        tag.len() <= 128
            && tag.bytes().next().is_some_and(is_word)
            && tag.bytes().all(|byte| is_word(byte) || b".-".contains(&byte))
    };
    let is_part = |part: &str| {
        part.bytes().next().is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-:[]".contains(&byte))
    };
    let is_host = |part: &str| {
        part.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'[')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    };
    let parts_fit = match path.split_once('/') {
        Some((host, rest)) => (is_host(host) || is_part(host)) && rest.split('/').all(is_part),
        None => is_part(path),
    };
    if !parts_fit || !is_tag(tag) {
        return invalid("docker knows images by [host/]path:tag, the path in lower case");
    }
    Ok(full(&format!("{path}:{tag}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for (name, expected) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("me/app:1", "docker.io/me/app:1"),
            ("localhost/app", "localhost/app:latest"),
            ("127.0.0.1:5000/app", "127.0.0.1:5000/app:latest"),
        ] {
            assert_eq!(full(name), expected);
        }
        for (name, expected) in [
            ("app", "docker.io/library/app:latest"),
            ("h:5000/app", "h:5000/app:latest"),
            ("a/b:V_1", "docker.io/a/b:V_1"),
        ] {
            assert_eq!(tagged(name).unwrap(), expected);
        }
        for bad in ["", "-x", "a b", "../x", "a\nb", "UPPER", "a:", "a:.b", "a//b", "a@b", &"a".repeat(600)] {
            assert!(tagged(bad).is_err(), "{bad}");
        }
    }
}
