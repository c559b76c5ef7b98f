use super::url::Url;

/// Where the next page of a list is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// There is no next page.
    None,
    /// It is here, on the same origin.
    Page(Url),
    /// It is said to be on another host, which is not asked.
    Elsewhere(Url),
}

/// The `rel=next` of the `Link` headers (RFC 8288). What cannot be understood counts as absent.
pub(crate) fn next<'a>(headers: impl Iterator<Item = &'a str>, base: &Url) -> Next {
    for header in headers.filter(|h| h.len() <= 16 * 1024) {
        if let Some(target) = next_target(header)
            && let Ok(url) = base.join(target)
        {
            let same = url.origin() == base.origin();
            return if same { Next::Page(url) } else { Next::Elsewhere(url) };
        }
    }
    Next::None
}

fn next_target(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (target, after) = rest.strip_prefix('<')?.split_once('>')?;
        let end = end_of_parameters(after);
        let (parameters, after) = after.split_at(end);
        if parameters.split(';').any(is_next) {
            return Some(target);
        }
        rest = after;
    }
}

/// Up to the comma that ends the link, which is not the one inside quotes.
fn end_of_parameters(text: &str) -> usize {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

fn is_next(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("rel")
        && value.trim().trim_matches('"').split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links() {
        let base = Url::parse("http://h:1/v2/a/tags/list?n=2").unwrap();
        for (header, expected) in [
            ("</v2/a/tags/list?last=x&n=2>; rel=\"next\"", Some("/v2/a/tags/list?last=x&n=2")),
            ("<list?last=y>; title=\"a, b; rel=next\"; rel=next", Some("/v2/a/tags/list?last=y")),
            ("</p>; rel=prev, </n>; foo=1; REL=\"prev Next\"", Some("/n")),
            ("<http://h:1/x>;rel=next", Some("/x")),
            ("</x>; rel=prev", None),
            ("</x>", None),
            ("/x; rel=next", None),
            ("<file:///etc>; rel=next", None),
            ("</x; rel=next", None),
            ("", None),
        ] {
            let found = next(std::iter::once(header), &base);
            match expected {
                Some(target) => {
                    assert!(matches!(&found, Next::Page(url) if url.target() == target), "{found:?}")
                }
                None => assert_eq!(found, Next::None, "{header}"),
            }
        }
        assert!(matches!(next(std::iter::once("<http://h:2/x>; rel=next"), &base), Next::Elsewhere(_)));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,60}", almost in "[<>;,=\" a-zé/]{0,60}") {
            let base = Url::parse("http://h/a").unwrap();
            let _ = next([text.as_str(), almost.as_str()].into_iter(), &base);
        }
    }
}
