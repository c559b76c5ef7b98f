use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host and, where one was given, its port: `ghcr.io`, `127.0.0.1:5000`, `[::1]:5000`.
///
/// Names are kept in lower case and IPv6 addresses in their canonical form, so that equal authorities are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Authority {
    host: String,
    port: Option<u16>,
}

/// Which part of an authority is wrong, and why.
#[derive(Debug)]
pub(crate) struct AuthorityError {
    pub(crate) part: &'static str,
    pub(crate) reason: String,
}

impl Authority {
    pub(crate) fn parse(text: &str) -> Result<Self, AuthorityError> {
        if let Some(rest) = text.strip_prefix('[') {
            let Some((address, after)) = rest.split_once(']') else {
                return Err(bad("registry", "a bracket is not closed"));
            };
            let address: Ipv6Addr =
                address.parse().map_err(|_| bad("registry", "not an IPv6 address in brackets"))?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(parse_port(port)?),
                None if after.is_empty() => None,
                None => return Err(bad("registry", "text after the closing bracket")),
            };
            return Ok(Self { host: address.to_string(), port });
        }
        let (host, port) = match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(bad("registry", "more than one colon; an IPv6 address goes in brackets"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        check_name(host)?;
        let port = port.map(parse_port).transpose()?;
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }

    /// The name or address, without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }

    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// `localhost`, a name under it, 127/8 or `::1`.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.ip() {
            Some(ip) => ip.to_canonical().is_loopback(),
            None => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

fn check_name(host: &str) -> Result<(), AuthorityError> {
    if host.is_empty() {
        return Err(bad("registry", "the host is empty"));
    }
    if host.len() > 253 {
        return Err(bad("registry", "the host is longer than 253 characters"));
    }
    let mut last = "";
    for label in host.split('.') {
        let well_formed = !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !well_formed {
            return Err(bad(
                "registry",
                "a host is made of letters, digits and inner hyphens, with dots between",
            ));
        }
        last = label;
    }
    // A name that ends in a number is an IPv4 address or a trap (WHATWG URL, host parsing).
    if last.bytes().all(|b| b.is_ascii_digit()) && host.parse::<Ipv4Addr>().is_err() {
        return Err(bad("registry", "not an IPv4 address"));
    }
    Ok(())
}

fn parse_port(text: &str) -> Result<u16, AuthorityError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 && !text.starts_with('0') => Ok(port),
        _ => Err(bad("port", "a port is a number from 1 to 65535")),
    }
}

fn bad(part: &'static str, reason: &str) -> AuthorityError {
    AuthorityError { part, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good() {
        for (text, shown, loopback) in [
            ("ghcr.io", "ghcr.io", false),
            ("GHCR.io:443", "ghcr.io:443", false),
            ("localhost", "localhost", true),
            ("a.localhost:1", "a.localhost:1", true),
            ("127.9.9.9:5000", "127.9.9.9:5000", true),
            ("[::1]:5000", "[::1]:5000", true),
            ("[0:0::1]", "[::1]", true),
            ("[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]", true),
            ("10.0.0.1", "10.0.0.1", false),
        ] {
            let authority = Authority::parse(text).unwrap();
            assert_eq!(authority.to_string(), shown);
            assert_eq!(authority.is_loopback(), loopback, "{text}");
            assert_eq!(Authority::parse(shown).unwrap(), authority);
        }
    }

    #[test]
    fn bad() {
        for (text, part) in [
            ("", "registry"),
            (":5000", "registry"),
            ("a:", "port"),
            ("a:0", "port"),
            ("a:65536", "port"),
            ("a:+1", "port"),
            ("a:080", "port"),
            ("a:1:2", "registry"),
            ("::1", "registry"),
            ("[::1", "registry"),
            ("[::1]x", "registry"),
            ("[::g]", "registry"),
            ("[fe80::1%25eth0]", "registry"),
            ("-a", "registry"),
            ("a..b", "registry"),
            ("a_b", "registry"),
            ("300.1.1.1", "registry"),
            ("1.2.3", "registry"),
            ("user@host", "registry"),
            ("hö", "registry"),
        ] {
            assert_eq!(Authority::parse(text).unwrap_err().part, part, "{text}");
        }
    }
}
