use std::fmt;

use super::authority::Authority;

/// An http or https URL, whose path and query are kept byte for byte.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    https: bool,
    authority: Authority,
    /// Path and query, starting with a slash.
    target: String,
}

/// The place that a connection is made to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) https: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

const MAX: usize = 16 * 1024;

impl Url {
    pub(crate) fn new(https: bool, authority: Authority, target: String) -> Self {
        Self { https, authority, target }
    }

    /// Parses an absolute URL. User information is refused, a fragment is dropped.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (https, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            _ => return Err("not an http or https URL"),
        };
        let rest = check_characters(rest)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err("a URL with user information");
        }
        let authority = Authority::parse(authority).map_err(|_| "a URL without a proper host")?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { https, authority, target })
    }

    /// Resolves a reference found in an answer to this URL (RFC 3986 section 5.2).
    pub(crate) fn join(&self, reference: &str) -> Result<Self, &'static str> {
        let reference = reference.trim_matches([' ', '\t']);
        if reference.is_empty() {
            return Err("an empty URL");
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme()));
        }
        if has_scheme(reference) {
            return Self::parse(reference);
        }
        let reference = check_characters(reference)?;
        let (path, query) = match reference.find('?') {
            Some(at) => reference.split_at(at),
            None => (reference, ""),
        };
        let target = if path.is_empty() {
            format!("{}{query}", self.path())
        } else if path.starts_with('/') {
            format!("{}{query}", remove_dots(path))
        } else {
            let folder = self.path().rfind('/').map_or("/", |at| &self.path()[..=at]);
            format!("{}{query}", remove_dots(&format!("{folder}{path}")))
        };
        if target.len() > MAX {
            return Err("a URL of more than 16 KiB");
        }
        Ok(Self { https: self.https, authority: self.authority.clone(), target })
    }

    /// The same URL with one more query parameter, behind what the query is already. `value` must be encoded.
    pub(crate) fn with_parameter(mut self, name: &str, value: &str) -> Self {
        let separator = match self.target.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        self.target.push_str(separator);
        self.target.push_str(name);
        self.target.push('=');
        self.target.push_str(value);
        self
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    pub(crate) fn origin(&self) -> Origin {
        let port = self.authority.port().unwrap_or(if self.https { 443 } else { 80 });
        Origin { https: self.https, host: self.authority.host().to_owned(), port }
    }
}

/// Without the query, which may hold a signature or a token.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: &str = self.path();
        let end = path.char_indices().nth(512).map_or(path.len(), |(at, _)| at);
        write!(f, "{}://{}{}", self.scheme(), self.authority, &path[..end])?;
        if end < path.len() || self.target.len() > path.len() { f.write_str("…") } else { Ok(()) }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Encodes a query value: all but RFC 3986's unreserved characters, and the few that registries show plainly.
pub(crate) fn encode(value: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

/// Visible ASCII, as a request line can carry it; without the fragment.
fn check_characters(text: &str) -> Result<&str, &'static str> {
    if text.len() > MAX {
        return Err("a URL of more than 16 KiB");
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a URL with spaces, control or non-ASCII characters");
    }
    Ok(text.split_once('#').map_or(text, |(before, _)| before))
}

fn has_scheme(text: &str) -> bool {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
    end.is_some_and(|at| {
        at > 0 && text[at..].starts_with(':') && text.starts_with(|c: char| c.is_ascii_alphabetic())
    })
}

/// RFC 3986 section 5.2.4. The text begins with a slash.
fn remove_dots(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    out.pop();
                }
                if last {
                    out.push("");
                }
            }
            other => out.push(other),
        }
    }
    format!("/{}", out.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn joins() {
        let base = Url::parse("http://h:1/v2/a/blobs/uploads/?x=1").unwrap();
        for (reference, expected) in [
            ("/v2/u/1?a%2Bb=%7e&&c=", "http://h:1/v2/u/1?a%2Bb=%7e&&c="),
            ("../x", "http://h:1/v2/a/blobs/x"),
            ("u1?_state=a+b", "http://h:1/v2/a/blobs/uploads/u1?_state=a+b"),
            ("?y=2", "http://h:1/v2/a/blobs/uploads/?y=2"),
            ("//other/p", "http://other/p"),
            ("https://other:2/p#f", "https://other:2/p"),
            ("https://other?q", "https://other/?q"),
            ("/../../x/./y/..", "http://h:1/x/"),
            ("/a?b=/../c", "http://h:1/a?b=/../c"),
        ] {
            let url = base.join(reference).unwrap();
            assert_eq!(format!("{}://{}{}", url.scheme(), url.authority(), url.target()), expected);
        }
        for reference in
            ["", "file:///etc/passwd", "ftp://h/x", "http://u:p@h/", "a b", "http://", "/\u{e9}", "http:x"]
        {
            assert!(base.join(reference).is_err(), "{reference}");
        }
    }

    #[test]
    fn a_parameter_goes_behind_the_query() {
        for (url, expected) in [
            ("http://h/u", "/u?digest=d"),
            ("http://h/u?", "/u?digest=d"),
            ("http://h/u?a=%7e&&b=", "/u?a=%7e&&b=&digest=d"),
        ] {
            assert_eq!(Url::parse(url).unwrap().with_parameter("digest", "d").target(), expected);
        }
        assert_eq!(encode("a b+ü:1"), "a%20b%2B%C3%BC:1");
    }

    #[test]
    fn shows_no_query() {
        let url = Url::parse("https://h/p?token=secret").unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://h/p… https://h/p…");
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,60}", reference in "[a-z:/?#.%@\\[\\]\\\\ é]{0,40}") {
            let _ = Url::parse(&text);
            let base = Url::parse("http://h/a/b").unwrap();
            let _ = base.join(&text);
            if let Ok(url) = base.join(&reference) {
                prop_assert!(url.target().starts_with('/'));
                prop_assert!(url.target().bytes().all(|b| b.is_ascii_graphic()));
                let _ = url.to_string();
            }
        }
    }
}
