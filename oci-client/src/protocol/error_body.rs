use serde_json::Value;

use super::clean::{clean, clean_bytes};

/// Bytes of an error body that are read.
pub(crate) const MAX_BYTES: usize = 8 * 1024;
const MAX_CHARACTERS: usize = 500;

/// The registry's own words for a refusal: the codes and messages of a distribution-spec error body, whether or
/// not the codes are registered, else the beginning of a text.
pub(crate) fn message(content_type: Option<&str>, body: &[u8]) -> String {
    if let Ok(json) = serde_json::from_slice::<Value>(body) {
        let from_json = from_json(&json);
        if !from_json.is_empty() {
            return from_json;
        }
    }
    // A page for people says nothing that fits into a line.
    let is_html = content_type.is_some_and(|t| t.to_ascii_lowercase().contains("html"));
    if is_html || body.starts_with(b"<") { String::new() } else { clean_bytes(body, 200) }
}

fn from_json(json: &Value) -> String {
    let mut out = String::new();
    if let Some(errors) = json.get("errors").and_then(Value::as_array) {
        for error in errors.iter().take(4) {
            add(&mut out, error);
        }
    } else {
        // Token servers and proxies: {"details": …}, {"error": …, "error_description": …}, {"message": …}.
        for key in ["error", "code", "error_description", "message", "details"] {
            if let Some(text) = json.get(key).and_then(Value::as_str) {
                join(&mut out, text, ": ");
            }
        }
    }
    clean(&out, MAX_CHARACTERS)
}

fn add(out: &mut String, error: &Value) {
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
    let (code, message) = (text("code"), text("message"));
    join(out, code, "; ");
    join(out, message, if code.is_empty() { "; " } else { ": " });
    match error.get("detail") {
        Some(Value::String(detail)) if detail != message => join(out, detail, ": "),
        _ => {}
    }
}

fn join(out: &mut String, text: &str, separator: &str) {
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    if !out.is_empty() {
        out.push_str(separator);
    }
    out.push_str(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_what_there_is() {
        for (body, expected) in [
            (r#"{"errors":[{"code":"DENIED","message":"no \u001b[31mway"}]}"#, "DENIED: no  [31mway"),
            (
                r#"{"errors":[{"code":"MY_OWN","message":"x","detail":"why"},{"message":"y"}]}"#,
                "MY_OWN: x: why; y",
            ),
            (r#"{"errors":[{"code":"X","detail":{"a":1}}]}"#, "X"),
            (r#"{"error":"invalid_grant"}"#, "invalid_grant"),
            (r#"{"message":"hello"}"#, "hello"),
            (r#"{"errors":null}"#, r#"{"errors":null}"#),
            ("404 page not found\n", "404 page not found"),
            ("<html>no</html>", ""),
            ("", ""),
        ] {
            assert_eq!(message(None, body.as_bytes()), expected);
        }
        assert_eq!(message(Some("text/html; charset=utf-8"), b"  <p>"), "");
    }

    proptest! {
        #[test]
        fn never_panics_and_stays_short(body in proptest::collection::vec(any::<u8>(), 0..200), json in "\\{\"errors\":\\[[\\PC]{0,60}") {
            prop_assert!(message(None, &body).chars().count() <= MAX_CHARACTERS + 1);
            let _ = message(None, json.as_bytes());
        }
    }
}
