use std::io;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between this process and a registry.
///
/// Texts that came from a server are cleaned of control characters and shortened; URLs are shown without their
/// query and never hold credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A reference that is not well-formed. Correct the part it names.
    #[error("invalid reference {input:?}: {part}: {reason}")]
    Reference {
        /// The reference as it was given, shortened.
        input: String,
        /// The part that is wrong: `registry`, `port`, `repository`, `tag` or `digest`.
        part: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A tag, name or other argument that a registry cannot take.
    #[error("invalid {what} {value:?}: {reason}")]
    Invalid {
        /// What it should have been.
        what: &'static str,
        /// The text as it was given, shortened.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A client option that cannot be used: a certificate file without certificates, TLS that is not compiled in.
    #[error("unusable {what}: {reason}")]
    Config {
        /// The option.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection: the name does not resolve, nobody listens, the certificate is not trusted. No request and no
    /// credentials were sent.
    #[error("cannot connect to {host}: {step}")]
    Connect {
        /// Host and port.
        host: String,
        /// What failed: name resolution, the connection, the TLS handshake.
        step: &'static str,
        /// The system's or the TLS library's error.
        source: io::Error,
    },
    /// The exchange broke off: a reset, a short body, silence for the idle timeout. Of a blob, the source tells how
    /// much of it came in how many attempts.
    #[error("{method} {url}: {step}")]
    Transfer {
        /// The request's method.
        method: &'static str,
        /// The request's URL.
        url: String,
        /// What was being done.
        step: &'static str,
        /// The underlying error; its kind is `TimedOut` for the idle timeout.
        source: io::Error,
    },
    /// The registry refused the request. The message is the registry's own.
    #[error("{method} {url}: status {status}{}{message}", colon(.message))]
    Status {
        /// The request's method.
        method: &'static str,
        /// The request's URL.
        url: String,
        /// The status.
        status: u16,
        /// The registry's message, cleaned and shortened; may be empty.
        message: String,
    },
    /// The registry does not have it, or does not show it with these credentials.
    #[error("{what} not found{}{message}", colon(.message))]
    NotFound {
        /// The reference or URL that was asked for.
        what: String,
        /// The registry's message, cleaned and shortened; may be empty.
        message: String,
    },
    /// Credentials are missing, wrong, or were not sent because the server that asks is not the one they are for.
    #[error("{method} {url}: status {status}: {reason}{}{message}", colon(.message))]
    Unauthorized {
        /// The request's method.
        method: &'static str,
        /// The request's URL.
        url: String,
        /// The status, 401.
        status: u16,
        /// What is missing or wrong, as far as the client knows it.
        reason: &'static str,
        /// The registry's message, cleaned and shortened; may be empty.
        message: String,
    },
    /// An answer that cannot be understood, or that is not what was asked for.
    #[error("{method} {url}: {reason}")]
    Protocol {
        /// The request's method.
        method: &'static str,
        /// The request's URL.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The server led to a place that the client does not go to: another scheme, an address that is not allowed.
    #[error("refused to go to {url}: {reason}")]
    Refused {
        /// Where it led to.
        url: String,
        /// Why not.
        reason: &'static str,
    },
    /// A limit was exceeded. Raise it in the options if the registry is trusted.
    #[error("{url}: limit exceeded: {limit} of {maximum}")]
    Limit {
        /// The URL that was asked for.
        url: String,
        /// The limit's name.
        limit: &'static str,
        /// Its value.
        maximum: u64,
    },
    /// Content that is not what its descriptor says, or that could not be read for a push.
    #[error(transparent)]
    Content(#[from] oci_digest::Error),
}

impl Error {
    /// Whether what was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Content(error) => error.is_not_found(),
            _ => false,
        }
    }

    /// Whether credentials are missing, wrong or not sufficient.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Unauthorized { .. } | Self::Status { status: 401 | 403, .. })
    }

    /// Whether the same call may succeed later without anything else changing.
    pub fn is_retryable(&self) -> bool {
        match self {
            // A certificate that is not trusted arrives as InvalidData.
            Self::Connect { source, .. } => source.kind() != io::ErrorKind::InvalidData,
            Self::Transfer { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            Self::Content(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// With whom the client was talking, for a chain of errors.
    fn place(&self) -> String {
        let host = match self {
            Self::Connect { host, .. } => Some(host.as_str()),
            Self::Transfer { url, .. }
            | Self::Status { url, .. }
            | Self::Unauthorized { url, .. }
            | Self::Protocol { url, .. }
            | Self::Limit { url, .. } => {
                url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).split('/').next()
            }
            _ => None,
        };
        format!("talking to {}", host.filter(|host| !host.is_empty()).unwrap_or("the registry"))
    }
}

/// For the content traits: not found and content errors stay themselves, the rest travels as a store's own error.
impl From<Error> for oci_digest::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Content(own) => own,
            Error::NotFound { what, message } if message.is_empty() => Self::NotFound { what },
            Error::NotFound { what, message } => Self::NotFound { what: format!("{what} ({message})") },
            other => {
                let (context, retryable) = (other.place(), other.is_retryable());
                Self::Store { context, retryable, source: Box::new(other) }
            }
        }
    }
}

fn colon(message: &str) -> &'static str {
    if message.is_empty() { "" } else { ": " }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_small() {
        assert!(size_of::<Error>() <= 128, "{}", size_of::<Error>());
    }

    #[test]
    fn a_content_error_crosses_the_traits_as_itself() {
        let error: oci_digest::Error = Error::Content(oci_digest::Error::Cancelled).into();
        assert!(matches!(error, oci_digest::Error::Cancelled));
        let error: oci_digest::Error = Error::NotFound { what: "a:b".into(), message: "no".into() }.into();
        assert!(error.is_not_found());
        assert_eq!(error.to_string(), "a:b (no) not found");
        let error: oci_digest::Error = Error::NotFound { what: "a:b".into(), message: String::new() }.into();
        assert_eq!(error.to_string(), "a:b not found");
    }

    #[test]
    fn a_registrys_error_crosses_the_traits_with_its_name() {
        let url = || "http://[::1]:5000/v2/a/manifests/b".to_owned();
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        for (error, place, retryable) in [
            (
                Error::Status { method: "GET", url: url(), status: 503, message: String::new() },
                "[::1]:5000",
                true,
            ),
            (Error::Connect { host: "h:1".into(), step: "connecting", source: reset() }, "h:1", true),
            (Error::Limit { url: "h:1/a:b".into(), limit: "x", maximum: 1 }, "h:1", false),
            (Error::Refused { url: url(), reason: "x" }, "the registry", false),
        ] {
            let error: oci_digest::Error = error.into();
            assert_eq!(error.to_string(), format!("talking to {place}"));
            assert_eq!(error.is_retryable(), retryable);
        }
    }

    #[test]
    fn who_is_not_let_in_reads_the_status_the_reason_and_the_message() {
        let shown = |message: &str| {
            let (url, reason) = ("http://h/v2/".to_owned(), "no credentials are known");
            Error::Unauthorized { method: "GET", url, status: 401, reason, message: message.to_owned() }
                .to_string()
        };
        assert_eq!(shown(""), "GET http://h/v2/: status 401: no credentials are known");
        assert_eq!(shown("DENIED: x"), "GET http://h/v2/: status 401: no credentials are known: DENIED: x");
    }
}
