/// A server's text made fit for printing: no control characters or direction marks, at most `max` characters.
pub(crate) fn clean(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut chars = text.trim().chars();
    for c in chars.by_ref().take(max) {
        out.push(if is_hidden(c) { ' ' } else { c });
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// As [`clean`], of bytes that need not be UTF-8.
pub(crate) fn clean_bytes(bytes: &[u8], max: usize) -> String {
    // Four bytes are the most a character takes.
    let end = bytes.len().min(max.saturating_mul(4).saturating_add(4));
    clean(&String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()), max)
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_what_a_terminal_would_obey() {
        assert_eq!(clean("a\x1b[31mb\r\nc\u{202e}d", 100), "a [31mb  c d");
        assert_eq!(clean("abcdef", 3), "abc…");
        assert_eq!(clean("abc", 3), "abc");
        assert_eq!(clean_bytes(b"\xff\xfeok\0", 10), "\u{fffd}\u{fffd}ok ");
    }
}
