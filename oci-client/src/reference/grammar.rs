use oci_digest::Digest;

use super::Wrong;
use crate::protocol::clean::clean;

/// distribution-spec, Pulling manifests: path components of lower-case letters and digits, with `.`, `_`, `__` or
/// hyphens inside, and slashes between; at most 255 characters, as registries and clients have it.
pub(super) fn repository(name: &str) -> Result<(), Wrong> {
    if name.is_empty() {
        return wrong("repository", "it is empty");
    }
    if name.len() > 255 {
        return wrong("repository", format!("{} characters, at most 255 are allowed", name.len()));
    }
    for component in name.split('/') {
        check_component(component)?;
    }
    Ok(())
}

/// distribution-spec, Pulling manifests: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub(super) fn tag(tag: &str) -> Result<(), Wrong> {
    if tag.is_empty() {
        return wrong("tag", "it is empty");
    }
    if tag.len() > 128 {
        return wrong("tag", format!("{} characters, at most 128 are allowed", tag.len()));
    }
    if tag.starts_with(['.', '-']) {
        return wrong("tag", "it begins with a dot or hyphen");
    }
    match tag.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-".contains(*c))) {
        Some(c) => wrong("tag", format!("the character {c:?} is not allowed")),
        None => Ok(()),
    }
}

/// image-spec descriptor.md, Digests; the length is that of the algorithm where it is known.
pub(super) fn digest(text: &str) -> Result<Digest, Wrong> {
    if text.len() > 512 {
        return wrong("digest", "more than 512 characters");
    }
    let digest: Digest = match text.parse() {
        Ok(digest) => digest,
        Err(error) => {
            let error = clean(&format!("{error}"), 200);
            return wrong("digest", format!("{:?} is none: {error}", clean(text, 150)));
        }
    };
    if let Some(length) = digest.algorithm().digest_hexlen() {
        let encoded = digest.digest();
        let hex = encoded.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !hex || u32::try_from(encoded.len()) != Ok(length) {
            return wrong(
                "digest",
                format!("{} has {length} lower-case hexadecimal digits", digest.algorithm()),
            );
        }
    }
    Ok(digest)
}

fn check_component(component: &str) -> Result<(), Wrong> {
    if component.is_empty() {
        return wrong("repository", "a part between slashes is empty");
    }
    if let Some(c) =
        component.chars().find(|c| !(c.is_ascii_digit() || c.is_ascii_lowercase() || "._-".contains(*c)))
    {
        let why = if c.is_ascii_uppercase() { "must be lower case" } else { "is not allowed" };
        return wrong("repository", format!("the character {c:?} {why}"));
    }
    if component.starts_with(['.', '_', '-']) || component.ends_with(['.', '_', '-']) {
        return wrong("repository", format!("{:?} begins or ends with a separator", clean(component, 100)));
    }
    // Between letters and digits stands one dot, one or two underscores, or any number of hyphens.
    let is_separator = |b: &u8| matches!(b, b'.' | b'_' | b'-');
    let mut rest = component.as_bytes();
    while let Some(at) = rest.iter().position(is_separator) {
        rest = rest.get(at..).unwrap_or_default();
        let end = rest.iter().position(|b| !is_separator(b)).unwrap_or(rest.len());
        let (separator, after) = rest.split_at(end);
        let allowed = matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-');
        if !allowed {
            let separator = String::from_utf8_lossy(separator);
            return wrong(
                "repository",
                format!("{:?} is not allowed between letters and digits", clean(&separator, 50)),
            );
        }
        rest = after;
    }
    Ok(())
}

fn wrong<T>(part: &'static str, reason: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { part, reason: reason.into() })
}
