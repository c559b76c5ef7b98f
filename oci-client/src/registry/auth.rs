//! Who may do what: nobody asked, a password, or a token from the registry's own token endpoint.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode, uri::Authority};
use oci_digest::{Algorithm, digest_of};
use serde_json::json;

use super::names::{self, Query};
use super::random::{self, same_secret};
use super::response::{Answer, Code, Failure, json as json_reply};

/// The `service` of tokens.
const SERVICE: &str = "oci-client-registry";

/// Tokens that are remembered at once; above it the one that ends first is forgotten.
const TOKENS_MAX: usize = 10_000;

/// What a request wants to do to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Pull,
    Push,
    Delete,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }
}

/// What a request needs a permission for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Need<'a> {
    /// `/v2/`: any valid credentials.
    Base,
    Catalog,
    Repository(&'a str, Action),
}

/// What a request's credentials allow.
#[derive(Debug, Clone)]
pub(super) enum Grant {
    Everything,
    /// What a token's scopes say.
    Scopes(Vec<Scope>),
    /// Pull, from everywhere.
    Pull,
}

impl Grant {
    pub(super) fn allows(&self, name: &str, action: Action) -> bool {
        match self {
            Self::Everything => true,
            Self::Pull => action == Action::Pull,
            Self::Scopes(scopes) => scopes.iter().any(|scope| {
                scope.kind == "repository"
                    && scope.name == name
                    && scope.actions.iter().any(|a| a == action.as_str() || a == "*")
            }),
        }
    }

    fn covers(&self, need: Need<'_>) -> bool {
        match (need, self) {
            (_, Self::Everything) | (Need::Base, Self::Scopes(_)) => true,
            (Need::Repository(name, action), grant) => grant.allows(name, action),
            (Need::Catalog, Self::Scopes(scopes)) => {
                scopes.iter().any(|scope| scope.kind == "registry" && scope.name == "catalog")
            }
            // Clients learn at /v2/ how to authenticate, so it challenges even where pulling is free.
            (Need::Base | Need::Catalog, Self::Pull) => false,
        }
    }
}

/// `type:name:action,…` of the token specification.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    kind: String,
    name: String,
    actions: Vec<String>,
}

/// The guard of a registry's doors.
#[derive(Default)]
pub(super) struct Guard {
    pub(super) users: HashMap<String, String>,
    pub(super) anonymous_pull: bool,
    /// The lifetime of tokens, when they are used.
    pub(super) tokens: Option<Duration>,
    /// By the token's hash, so that looking one up takes no time that depends on how much of it was guessed.
    issued: Mutex<HashMap<String, Token>>,
}

#[derive(Debug)]
struct Token {
    scopes: Vec<Scope>,
    ends: Instant,
}

impl Guard {
    /// Lets a request in, or answers 401 with a challenge.
    pub(super) fn check(&self, headers: &HeaderMap, need: Need<'_>, local: &str) -> Result<Grant, Failure> {
        if self.users.is_empty() {
            return Ok(Grant::Everything);
        }
        let grant = match credentials(headers) {
            Credentials::None if self.anonymous_pull => Some(Grant::Pull),
            Credentials::Basic(user, password) if self.tokens.is_none() && self.is_user(&user, &password) => {
                Some(Grant::Everything)
            }
            Credentials::Bearer(token) if self.tokens.is_some() => self.redeem(&token).map(Grant::Scopes),
            _ => None,
        };
        match grant {
            Some(grant) if grant.covers(need) => Ok(grant),
            grant => {
                let known = matches!(grant, Some(Grant::Scopes(_)));
                Err(unauthorized("authentication required")
                    .header(WWW_AUTHENTICATE, self.challenge(headers, need, local, known)))
            }
        }
    }

    /// `GET /token`: distribution's token specification.
    pub(super) fn token(&self, headers: &HeaderMap, query: &Query) -> Answer {
        let Some(lifetime) = self.tokens else {
            return Err(Failure::missing(Code::Unsupported, "there is no such address"));
        };
        let user = match credentials(headers) {
            Credentials::Basic(user, password) if self.is_user(&user, &password) => Some(user),
            Credentials::None if self.anonymous_pull => None,
            _ => {
                return Err(unauthorized("wrong user or password")
                    .header(WWW_AUTHENTICATE, format!("Basic realm=\"{SERVICE}\"")));
            }
        };
        let mut scopes: Vec<Scope> =
            query.all("scope").flat_map(|s| s.split(' ')).filter_map(scope).collect();
        if user.is_none() {
            scopes.retain(|scope| scope.kind == "repository");
            for scope in &mut scopes {
                scope.actions.retain(|action| action == "pull");
            }
        }
        let token = self.issue(scopes, lifetime)?;
        let body = json!({"token": token, "access_token": token, "expires_in": lifetime.as_secs()});
        Ok(json_reply(StatusCode::OK, "application/json", &body))
    }

    fn is_user(&self, user: &str, password: &str) -> bool {
        match self.users.get(user) {
            Some(expected) => same_secret(expected.as_bytes(), password.as_bytes()),
            None => {
                // As much work as for a user there is.
                same_secret(b"", password.as_bytes());
                false
            }
        }
    }

    fn issue(&self, scopes: Vec<Scope>, lifetime: Duration) -> Result<String, Failure> {
        let random = || random::hex().map_err(Failure::inside);
        let token = format!("{}{}", random()?, random()?);
        let now = Instant::now();
        let ends = now.checked_add(lifetime).ok_or_else(|| Failure::inside("the lifetime of tokens"))?;
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if issued.len() >= TOKENS_MAX {
            issued.retain(|_, token| token.ends > now);
            let first = issued.iter().min_by_key(|(_, token)| token.ends).map(|(key, _)| key.clone());
            if let Some(key) = first.filter(|_| issued.len() >= TOKENS_MAX) {
                issued.remove(&key);
            }
        }
        issued.insert(hash(&token), Token { scopes, ends });
        Ok(token)
    }

    fn redeem(&self, token: &str) -> Option<Vec<Scope>> {
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let token = issued.get(&hash(token))?;
        (token.ends > Instant::now()).then(|| token.scopes.clone())
    }

    fn challenge(&self, headers: &HeaderMap, need: Need<'_>, local: &str, known: bool) -> String {
        if self.tokens.is_none() {
            return format!("Basic realm=\"{SERVICE}\"");
        }
        // The realm is this server as the client calls it, if what it says is a host at all.
        let said = headers.get(HOST).and_then(|host| host.to_str().ok());
        let said = said.filter(|host| host.parse::<Authority>().is_ok_and(|a| !a.as_str().contains('@')));
        let mut text =
            format!("Bearer realm=\"http://{}/token\",service=\"{SERVICE}\"", said.unwrap_or(local));
        match need {
            Need::Base => {}
            Need::Catalog => text.push_str(",scope=\"registry:catalog:*\""),
            Need::Repository(name, action) => {
                let actions = if action == Action::Push { "pull,push" } else { action.as_str() };
                text.push_str(&format!(",scope=\"repository:{name}:{actions}\""));
            }
        }
        if known {
            text.push_str(",error=\"insufficient_scope\"");
        } else if headers.contains_key(AUTHORIZATION) {
            text.push_str(",error=\"invalid_token\"");
        }
        text
    }
}

enum Credentials {
    None,
    Basic(String, String),
    Bearer(String),
    Other,
}

fn credentials(headers: &HeaderMap) -> Credentials {
    let Some(value) = headers.get(AUTHORIZATION) else { return Credentials::None };
    let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return Credentials::Other;
    };
    if scheme.eq_ignore_ascii_case("bearer") {
        return Credentials::Bearer(rest.trim().to_owned());
    }
    let pair = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match pair.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((user, password)) if scheme.eq_ignore_ascii_case("basic") => {
            Credentials::Basic(user.to_owned(), password.to_owned())
        }
        _ => Credentials::Other,
    }
}

fn scope(text: &str) -> Option<Scope> {
    let (kind, rest) = text.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let known = match kind {
        "repository" => names::is_name(name),
        "registry" => name == "catalog",
        _ => false,
    };
    known.then(|| Scope {
        kind: kind.to_owned(),
        name: name.to_owned(),
        actions: actions.split(',').take(8).map(str::to_owned).collect(),
    })
}

fn hash(token: &str) -> String {
    digest_of(Algorithm::Sha256, token.as_bytes()).to_string()
}

fn unauthorized(message: &str) -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message)
}
