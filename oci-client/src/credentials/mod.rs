//! Who is asking: credentials, and where a client finds them.

mod auth_files;

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Result;

pub use auth_files::AuthFiles;

/// What proves to a registry who is asking. Its secrets are shown by nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Anonymous,
    Basic { user: String, password: String },
    Bearer { token: String },
}

impl Credentials {
    /// Nobody in particular. Registries with token servers give out tokens for public content all the same.
    pub fn anonymous() -> Self {
        Self(Kind::Anonymous)
    }

    /// A user and a password or personal access token. It goes to the registry itself when that asks for Basic, and
    /// to its token server when that is on the same host.
    pub fn basic(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self(Kind::Basic { user: user.into(), password: password.into() })
    }

    /// A registry token, sent as it is when the registry asks for Bearer.
    pub fn bearer(token: impl Into<String>) -> Self {
        Self(Kind::Bearer { token: token.into() })
    }

    pub(crate) fn basic_header(&self) -> Option<String> {
        match &self.0 {
            Kind::Basic { user, password } => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            _ => None,
        }
    }

    pub(crate) fn registry_token(&self) -> Option<&str> {
        match &self.0 {
            Kind::Bearer { token } => Some(token),
            _ => None,
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Anonymous => "Credentials::anonymous",
            Kind::Basic { .. } => "Credentials::basic(…)",
            Kind::Bearer { .. } => "Credentials::bearer(…)",
        })
    }
}

/// Where a client finds credentials: asked once for every repository, before its first request.
pub trait CredentialSource: fmt::Debug + Send + Sync {
    /// The credentials for a repository of a registry (`docker.io`, `127.0.0.1:5000`). `None`: this source knows
    /// none.
    ///
    /// # Errors
    /// When the source is broken, which is not the same as knowing nothing. It ends the operation.
    fn credentials(&self, registry: &str, repository: &str) -> Result<Option<Credentials>>;
}

/// Credentials by registry, given by the program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given(BTreeMap<String, Credentials>);

impl Given {
    pub(crate) fn insert(&mut self, registry: String, credentials: Credentials) {
        self.0.insert(registry, credentials);
    }
}

impl CredentialSource for Given {
    fn credentials(&self, registry: &str, _repository: &str) -> Result<Option<Credentials>> {
        Ok(self.0.get(registry).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_secret() {
        let credentials = Credentials::basic("alice", "s3cret");
        assert_eq!(credentials.basic_header().unwrap(), "Basic YWxpY2U6czNjcmV0");
        for credentials in [credentials, Credentials::bearer("s3cret"), Credentials::anonymous()] {
            let shown = format!("{credentials:?}");
            assert!(!shown.contains("s3cret") && !shown.contains("alice"), "{shown}");
        }
    }
}
