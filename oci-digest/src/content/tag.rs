use crate::{Error, Result};

/// distribution-spec, Pulling manifests: a tag MUST be at most 128 characters and match
/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub(super) fn check(tag: &str) -> Result<()> {
    let mut bytes = tag.bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let reason = match bytes.next() {
        None => "it is empty",
        Some(first) if !is_word(first) => "it must begin with a letter, a digit or an underscore",
        Some(_) if tag.len() > 128 => "it is longer than 128 characters",
        Some(_) if !bytes.all(|byte| is_word(byte) || byte == b'.' || byte == b'-') => {
            "it may hold letters, digits, underscores, full stops and hyphens only"
        }
        Some(_) => return Ok(()),
    };
    Err(Error::invalid("tag", tag, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar() {
        for good in ["a", "latest", "_", "1.2.3-rc_1", &"x".repeat(128)] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a b", "a/b", "a:b", "ä", "a\n", &"x".repeat(129)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
