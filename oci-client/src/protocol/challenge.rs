use super::url::{Url, encode};

/// A challenge that the client can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// RFC 7617.
    Basic,
    /// A token from `realm` (distribution's token authentication).
    Bearer {
        /// Where tokens are given out, resolved and checked.
        realm: Url,
        /// The service the token is for.
        service: Option<String>,
        /// The scopes that the registry wants, as they stand in the header.
        scope: Option<String>,
        /// Why an earlier token was refused.
        error: Option<String>,
    },
}

/// Headers beyond this are not read.
const MAX_BYTES: usize = 16 * 1024;

/// The best challenge of all `WWW-Authenticate` headers that can be understood: Bearer before Basic.
///
/// RFC 9110 section 11.6.1: several challenges may stand in one header and in several; schemes and parameter names
/// are matched in any letter case. A relative realm is resolved against `base`.
pub(crate) fn choose<'a>(headers: impl Iterator<Item = &'a str>, base: &Url) -> Option<Challenge> {
    let mut basic = None;
    for header in headers {
        if header.len() > MAX_BYTES {
            continue;
        }
        for (scheme, parameters) in Parser::new(header).challenges() {
            if scheme.eq_ignore_ascii_case("bearer") {
                if let Some(bearer) = bearer(&parameters, base) {
                    return Some(bearer);
                }
            } else if scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            }
        }
    }
    basic
}

/// The URL to GET a token from: the realm's own query stays, the service and one `scope` for each are added.
pub(crate) fn token_url(realm: &Url, service: Option<&str>, scopes: &[String]) -> Url {
    let mut url = realm.clone();
    if let Some(service) = service {
        url = url.with_parameter("service", &encode(service));
    }
    for scope in scopes {
        url = url.with_parameter("scope", &encode(scope));
    }
    url
}

type Parameters = Vec<(String, String)>;

fn bearer(parameters: &Parameters, base: &Url) -> Option<Challenge> {
    let value = |name: &str| {
        parameters.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    };
    let realm = base.join(&value("realm")?).ok()?;
    Some(Challenge::Bearer { realm, service: value("service"), scope: value("scope"), error: value("error") })
}

/// A reader of `challenge = scheme [ 1*SP ( token68 / #auth-param ) ]`, which stops at what it does not understand
/// and keeps what was whole before it.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    fn challenges(mut self) -> Vec<(String, Parameters)> {
        let mut out: Vec<(String, Parameters)> = Vec::new();
        // The grammar needs one token of look-ahead: `name =` is a parameter, `name SP` or `name ,` a scheme.
        loop {
            self.skip(" \t,");
            let Some(name) = self.token() else { break };
            let before = self.rest;
            self.skip(" \t");
            match self.rest.strip_prefix('=') {
                Some(after) if !out.is_empty() => {
                    self.rest = after;
                    self.skip(" \t");
                    let Some(value) = self.value() else {
                        // An open quote: this challenge cannot be trusted to be whole.
                        out.pop();
                        break;
                    };
                    if let Some((_, parameters)) = out.last_mut() {
                        parameters.push((name.to_owned(), value));
                    }
                }
                Some(_) => break,
                None => {
                    self.rest = before;
                    if !self.rest.is_empty() && !self.rest.starts_with([' ', '\t', ',']) {
                        break;
                    }
                    out.push((name.to_owned(), Vec::new()));
                    self.token68();
                }
            }
        }
        out
    }

    fn skip(&mut self, characters: &str) {
        self.rest = self.rest.trim_start_matches(|c| characters.contains(c));
    }

    fn token(&mut self) -> Option<&'a str> {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    /// Skips the one opaque word that schemes like Negotiate put in place of parameters.
    fn token68(&mut self) {
        let after = self.rest.trim_start_matches([' ', '\t']);
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        let word = after.find(|c| !is_word(c)).unwrap_or(after.len());
        let padded = after[word..].trim_start_matches('=');
        let is_padded = padded.len() < after.len() - word;
        let ends = padded.is_empty() || padded.trim_start_matches([' ', '\t']).starts_with(',');
        if word > 0 && ends && (is_padded || after[..word].contains('/') || padded.is_empty()) {
            // A scheme without parameters that ends the header looks the same as a word; then nothing is lost.
            self.rest = padded;
        }
    }

    fn value(&mut self) -> Option<String> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            // Unquoted values with colons and slashes are not a token, but they are sent.
            let end = self.rest.find([',', ' ', '\t', '"']).unwrap_or(self.rest.len());
            let (value, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Some(value.to_owned());
        };
        let mut value = String::new();
        let mut escaped = false;
        for (at, c) in quoted.char_indices() {
            match c {
                _ if escaped => {
                    value.push(c);
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' => {
                    self.rest = &quoted[at + 1..];
                    return Some(value);
                }
                _ => value.push(c),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(headers: &[&str]) -> Option<Challenge> {
        choose(headers.iter().copied(), &Url::parse("http://r:1/v2/a").unwrap())
    }

    fn shown(headers: &[&str]) -> String {
        match chosen(headers) {
            None => "none".into(),
            Some(Challenge::Basic) => "basic".into(),
            Some(Challenge::Bearer { realm, service, scope, .. }) => format!(
                "{}://{}{} {} {}",
                realm.scheme(),
                realm.authority(),
                realm.target(),
                service.unwrap_or_default(),
                scope.unwrap_or_default()
            ),
        }
    }

    #[test]
    fn understands() {
        for (headers, expected) in [
            (&["Basic realm=\"x\""][..], "basic"),
            (&["basic"], "basic"),
            (
                &["Bearer realm=\"http://t/a\",service=\"s\",scope=\"repository:a:pull\""],
                "http://t/a s repository:a:pull",
            ),
            (&["bEARER  ReAlM = \"http://t/a\" , SERVICE=s"], "http://t/a s "),
            (&["Bearer realm=http://t/a,service=s"], "http://t/a s "),
            (&["Basic realm=\"a, Bearer realm=b\", Bearer realm=\"http://t/\""], "http://t/  "),
            (&["Bearer realm=\"http://t/\", Basic realm=\"x\""], "http://t/  "),
            (&["Basic realm=x", "Bearer realm=\"http://t/\""], "http://t/  "),
            (&["Negotiate abc==, Bearer realm=\"http://t/\""], "http://t/  "),
            (&["Negotiate, Bearer realm=\"http://t/\""], "http://t/  "),
            (&["Foo a=1, b=\"2\", Bearer realm=\"http://t/?x=1\",service=\"s\""], "http://t/?x=1 s "),
            (&["Bearer realm=\"http://t/\\a\\\"\",service=\"a \\\"b\\\"\""], "http://t/a\" a \"b\" "),
            (&["Bearer realm=\"http://t/\",service=\"a \\\"b\\\", c\""], "http://t/ a \"b\", c "),
            (&["Bearer realm=\"/token\""], "http://r:1/token  "),
            (&[",, ,Bearer ,realm=\"http://t/\",,"], "http://t/  "),
            (&["Bearer"], "none"),
            (&["Bearer realm="], "none"),
            (&["Bearer realm=\"\""], "none"),
            (&["Bearer realm=\"http://t/"], "none"),
            (&["Bearer realm=\"ftp://t/\""], "none"),
            (&["Bearer realm=\"http://u:p@t/\""], "none"),
            (&["Bearer service=\"s\""], "none"),
            (&["\"\"=;;;\u{1}"], "none"),
            (&["=realm"], "none"),
            (&[], "none"),
            (&["Bearer service=s, Basic realm=x"], "basic"),
        ] {
            assert_eq!(shown(headers), expected, "{headers:?}");
        }
        let long = format!("Bearer realm=\"http://t/{}\"", "x".repeat(60_000));
        assert_eq!(chosen(&[&long]), None);
    }

    #[test]
    fn asks_for_a_token() {
        let realm = Url::parse("http://t/token?a=%20b").unwrap();
        let scopes = ["repository:a/b:pull,push".to_owned(), "repository:c:pull".to_owned()];
        assert_eq!(
            token_url(&realm, Some("my reg&istry"), &scopes).target(),
            "/token?a=%20b&service=my%20reg%26istry&scope=repository:a/b:pull,push&scope=repository:c:pull"
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}", almost in "(Bearer|Basic|X)[ =,\"\\\\a-z:/é]{0,60}") {
            let _ = chosen(&[&text, &almost]);
        }
    }
}
