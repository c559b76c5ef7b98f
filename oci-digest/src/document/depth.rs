use crate::{Error, Result};

/// serde_json's own limit, which does not hold for members that a view skips.
const MAX_DEPTH: u64 = 128;

/// Refuses deep nesting before any parser sees it, in one pass without recursion.
pub(super) fn check(json: &[u8]) -> Result<()> {
    let (mut depth, mut in_string, mut escaped) = (0u64, false, false);
    for byte in json {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Error::Limit { limit: "JSON depth", maximum: MAX_DEPTH });
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_brackets_outside_of_strings() {
        let nested = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
        assert!(check(&nested(128)).is_ok());
        assert!(check(&nested(129)).is_err());
        assert!(check(&nested(1_000_000)).is_err());
        assert!(check(format!("\"\\\"{}\"", "[".repeat(500)).as_bytes()).is_ok());
        assert!(check("[],".repeat(1000).as_bytes()).is_ok());
    }
}
