//! What requests to one registry go through: credentials, redirects, retries, waiting.

mod access;
mod budget;
mod exchange;
mod scope;

use std::sync::Arc;

use crate::client::{Gate, Shared};
use crate::protocol::authority::Authority;
use crate::protocol::endpoint::Endpoints;
use crate::protocol::url::Origin;
use crate::reference::api_authority;
use crate::{Credentials, Result};

pub(crate) use budget::Budget;
pub(crate) use exchange::{Answer, Call, NOT_LET_IN, Payload, is_temporary};
pub(crate) use scope::repository as scope;

use access::Access;

/// One registry with the credentials of one repository in it.
#[derive(Debug)]
pub(crate) struct Session {
    shared: Arc<Shared>,
    /// The registry as it stands in references.
    registry: Authority,
    origin: Origin,
    https: bool,
    credentials: Option<Credentials>,
    access: tokio::sync::Mutex<Access>,
    gate: Arc<Gate>,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, registry: Authority, repository: &str) -> Result<Self> {
        let https = shared.is_https(&registry);
        let api = api_authority(&registry);
        let origin = crate::protocol::url::Url::new(https, api, "/".to_owned()).origin();
        let credentials = find(&shared, &registry.to_string(), repository)?;
        Ok(Self {
            gate: shared.gate(&registry),
            shared,
            registry,
            origin,
            https,
            credentials,
            access: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn endpoints(&self, repository: &str) -> Endpoints {
        Endpoints::new(self.https, api_authority(&self.registry), repository.to_owned())
    }

    pub(crate) fn options(&self) -> &crate::ClientOptions {
        &self.shared.options
    }

    pub(crate) fn has_credentials(&self) -> bool {
        self.credentials.as_ref().is_some_and(|credentials| *credentials != Credentials::anonymous())
    }

    pub(crate) fn budget(&self) -> Budget {
        Budget::new(self.shared.options.retries, self.shared.options.max_wait)
    }
}

fn find(shared: &Shared, registry: &str, repository: &str) -> Result<Option<Credentials>> {
    use crate::CredentialSource as _;
    let options = &shared.options;
    if let Some(given) = options.given.credentials(registry, repository)? {
        return Ok(Some(given));
    }
    for source in &options.sources {
        if let Some(found) = source.credentials(registry, repository)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
