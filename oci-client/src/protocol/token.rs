use std::time::Duration;

use serde_json::Value;

/// Bytes of a token server's answer that are read.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

/// A token server's answer.
#[derive(PartialEq, Eq)]
pub(crate) struct TokenAnswer {
    pub(crate) token: String,
    pub(crate) lifetime: Duration,
}

/// Reads the answer of a token server: `token` or `access_token`, and `expires_in`, 60 seconds when nothing usable
/// is said (distribution, Token Authentication Specification).
pub(crate) fn parse(body: &[u8]) -> Result<TokenAnswer, &'static str> {
    let json: Value = serde_json::from_slice(body).map_err(|_| "the token server's answer is no JSON")?;
    let text = |key: &str| json.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let token =
        text("token").or_else(|| text("access_token")).ok_or("the token server's answer has no token")?;
    // It goes into a header as it is.
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("the token server's token has characters that no token has");
    }
    let seconds = json.get("expires_in").and_then(Value::as_u64).filter(|s| *s > 0).unwrap_or(60);
    Ok(TokenAnswer { token: token.to_owned(), lifetime: Duration::from_secs(seconds.min(86_400)) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers() {
        for (body, expected) in [
            (r#"{"token":"t","expires_in":300}"#, Some(("t", 300))),
            (r#"{"access_token":"t"}"#, Some(("t", 60))),
            (r#"{"token":"","access_token":"a","expires_in":-5}"#, Some(("a", 60))),
            (r#"{"token":"t","expires_in":"300"}"#, Some(("t", 60))),
            (r#"{"token":"t","expires_in":99999999999999}"#, Some(("t", 86_400))),
            (r#"{"token":"a\r\nb"}"#, None),
            (r#"{"token":1}"#, None),
            ("[]", None),
            ("<html>", None),
        ] {
            let answer = parse(body.as_bytes()).ok();
            assert_eq!(
                answer.map(|a| (a.token, a.lifetime.as_secs())),
                expected.map(|(t, s)| (t.to_owned(), s))
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(body in "\\PC{0,60}") {
            let _ = parse(body.as_bytes());
        }
    }
}
