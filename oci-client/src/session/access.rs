use std::time::{Duration, Instant};

use http::Method;

use super::exchange::{Answer, Call, Failure, Payload};
use super::{Session, scope};
use crate::protocol::challenge::{self, Challenge};
use crate::protocol::token;
use crate::protocol::url::Url;
use crate::{Credentials, Error};

/// What is known about how a registry wants to be asked.
#[derive(Default)]
pub(super) struct Access {
    known: Option<Known>,
    tokens: Vec<Token>,
}

#[derive(Clone)]
enum Known {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

struct Token {
    scopes: Vec<String>,
    value: String,
    expires: Instant,
}

/// A value for `Authorization`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Authorization(pub(super) String);

const MAX_TOKENS: usize = 256;

impl Session {
    /// What to send along with a request for these scopes, as far as a challenge has been seen.
    pub(super) async fn authorization(&self, scopes: &[String]) -> Result<Option<Authorization>, Failure> {
        let mut access = self.access.lock().await;
        match access.known.clone() {
            None => Ok(None),
            Some(Known::Basic) => Ok(self.basic()),
            Some(Known::Bearer { realm, service }) => {
                if let Some(token) = access.token(scopes) {
                    return Ok(Some(token));
                }
                self.fetch(&mut access, scopes, scopes, &realm, service.as_deref()).await.map(Some)
            }
        }
    }

    /// Answers a challenge to a request that carried `sent`: what to send with the same request once more.
    pub(super) async fn answer(
        &self,
        call: &Call,
        answer: &mut Answer,
        sent: Option<&Authorization>,
    ) -> Result<Authorization, Failure> {
        let challenges: Vec<String> = answer.texts("www-authenticate").map(str::to_owned).collect();
        let message = answer.message().await;
        let refused = |reason: &'static str| {
            let (method, url, status) = (call.name(), answer.url.to_string(), answer.status.as_u16());
            let message = message.clone();
            Failure::from(Error::Unauthorized { method, url, status, reason, message })
        };
        match challenge::choose(challenges.iter().map(String::as_str), &answer.url) {
            None => Err(refused("the registry asks for credentials in a way that is not understood")),
            Some(Challenge::Basic) => {
                let basic = self.basic().ok_or_else(|| refused("the registry asks for user and password"))?;
                if sent == Some(&basic) {
                    return Err(refused("the registry does not accept these credentials"));
                }
                self.access.lock().await.known = Some(Known::Basic);
                Ok(basic)
            }
            Some(Challenge::Bearer { realm, service, scope: asked, .. }) => {
                let mut access = self.access.lock().await;
                access.known = Some(Known::Bearer { realm: realm.clone(), service: service.clone() });
                // Another task may have been faster.
                match access.token(&call.scopes) {
                    Some(token) if sent != Some(&token) => return Ok(token),
                    Some(refused) => {
                        access.tokens.retain(|t| refused.0.strip_prefix("Bearer ") != Some(&t.value))
                    }
                    None => {}
                }
                let scopes = scope::merge(&call.scopes, asked.as_deref());
                let token =
                    self.fetch(&mut access, &call.scopes, &scopes, &realm, service.as_deref()).await?;
                if sent == Some(&token) {
                    return Err(refused("the registry does not accept the token"));
                }
                Ok(token)
            }
        }
    }

    /// The answer to a request that carried what the challenge asked for.
    pub(super) async fn not_accepted(&self, call: &Call, answer: &mut Answer) -> Error {
        let reason = match self.has_credentials() {
            true => "the registry does not accept these credentials",
            false => "the registry does not let anonymous clients do this, and no credentials are known",
        };
        let message = answer.message().await;
        let (method, url, status) = (call.name(), answer.url.to_string(), answer.status.as_u16());
        Error::Unauthorized { method, url, status, reason, message }
    }

    fn basic(&self) -> Option<Authorization> {
        self.credentials.as_ref().and_then(Credentials::basic_header).map(Authorization)
    }

    /// A new token for `scopes`, kept for requests that want `wanted`.
    async fn fetch(
        &self,
        access: &mut Access,
        wanted: &[String],
        scopes: &[String],
        realm: &Url,
        service: Option<&str>,
    ) -> Result<Authorization, Failure> {
        if let Some(token) = self.credentials.as_ref().and_then(Credentials::registry_token) {
            return Ok(Authorization(format!("Bearer {token}")));
        }
        let trusted = self.may_know_password(realm);
        let authorization = self.basic().filter(|_| trusted);
        let with_password = authorization.is_some();
        let call = Call::new(Method::GET, challenge::token_url(realm, service, scopes), Payload::None);
        let (mut answer, _) = self.once(&call, &call.url, authorization.as_ref(), None).await?;
        if answer.status.as_u16() != 200 {
            let withheld = !trusted && self.basic().is_some();
            let error = answer.refusal(&call).await;
            return Err(match error {
                Error::Unauthorized { method, url, status, message, .. } => {
                    let reason = match (withheld, with_password) {
                        (true, _) => "the password was not sent, since this is not the registry's host",
                        (false, true) => "the token server does not accept these credentials",
                        (false, false) => "no credentials are known",
                    };
                    Failure::from(Error::Unauthorized { method, url, status, reason, message })
                }
                error => Failure { error, retry_after: answer.retry_after() },
            });
        }
        let protocol = |reason: &str| {
            Failure::from(Error::Protocol {
                method: "GET",
                url: realm.to_string(),
                reason: reason.to_owned(),
            })
        };
        let (body, more) = answer.read(token::MAX_BYTES, &call).await?;
        if more {
            return Err(protocol("the token server's answer is larger than 1 MiB"));
        }
        let parsed = token::parse(&body).map_err(protocol)?;
        // Renewed a little early, so that it does not expire on the way.
        let expires = Instant::now() + parsed.lifetime.mul_f64(0.9).max(Duration::from_millis(500));
        access.keep(Token { scopes: wanted.to_vec(), value: parsed.token.clone(), expires });
        Ok(Authorization(format!("Bearer {}", parsed.token)))
    }

    /// Whether a realm is on the host that the credentials belong to. The port does not matter; the scheme does:
    /// a password for an https registry never goes out in plain text.
    fn may_know_password(&self, realm: &Url) -> bool {
        let host = realm.authority().host();
        let own = host == self.origin.host || host == self.registry.host();
        let told = (self.registry.host().to_owned(), host.to_owned());
        (realm.is_https() || !self.https) && (own || self.shared.options.realm_hosts.contains(&told))
    }
}

impl Access {
    fn token(&self, scopes: &[String]) -> Option<Authorization> {
        let now = Instant::now();
        let token = self.tokens.iter().find(|t| t.expires > now && scope::covers(&t.scopes, scopes))?;
        Some(Authorization(format!("Bearer {}", token.value)))
    }

    /// Puts a new token in the place of those that it makes needless.
    fn keep(&mut self, token: Token) {
        let now = Instant::now();
        self.tokens.retain(|t| t.expires > now && !scope::covers(&token.scopes, &t.scopes));
        if self.tokens.len() >= MAX_TOKENS {
            self.tokens.clear();
        }
        self.tokens.push(token);
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("tokens", &self.tokens.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorization(…)")
    }
}
