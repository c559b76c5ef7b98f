//! From method and path to the part of the registry that answers.

use http::header::ALLOW;
use http::{Method, StatusCode};

use super::auth::{Action, Need};
use super::call::Call;
use super::response::{Answer, Code, Failure, empty};
use super::{blobs, lists, manifests, names, uploads};

/// What a path names. Names and references have not been checked yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Base,
    Token,
    Catalog,
    Tags { name: String },
    Manifest { name: String, reference: String },
    Blob { name: String, digest: String },
    Uploads { name: String },
    Upload { name: String, id: String },
    Referrers { name: String, digest: String },
}

impl Target {
    /// Names may have parts such as `blobs`, so a path is read from its end.
    pub(super) fn of(path: &str) -> Option<Self> {
        let path = names::percent_decode(path)?;
        let rest = match path.as_str() {
            "/v2" | "/v2/" => return Some(Self::Base),
            "/token" => return Some(Self::Token),
            "/v2/_catalog" => return Some(Self::Catalog),
            path => path.strip_prefix("/v2/")?,
        };
        let rest = rest
            .strip_suffix("blobs/uploads")
            .map_or(rest.to_owned(), |name| format!("{name}blobs/uploads/"));
        let (before, last) = rest.rsplit_once('/')?;
        let (name, verb) = before.rsplit_once('/')?;
        let (name, last) = (name.to_owned(), last.to_owned());
        Some(match verb {
            "tags" if last == "list" => Self::Tags { name },
            "manifests" => Self::Manifest { name, reference: last },
            "blobs" => Self::Blob { name, digest: last },
            "referrers" => Self::Referrers { name, digest: last },
            "uploads" => {
                let name = name.strip_suffix("/blobs")?.to_owned();
                if last.is_empty() { Self::Uploads { name } } else { Self::Upload { name, id: last } }
            }
            _ => return None,
        })
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Base | Self::Token | Self::Catalog => None,
            Self::Tags { name }
            | Self::Manifest { name, .. }
            | Self::Blob { name, .. }
            | Self::Uploads { name }
            | Self::Upload { name, .. }
            | Self::Referrers { name, .. } => Some(name),
        }
    }

    fn allowed(&self) -> &'static [Method] {
        match self {
            Self::Base | Self::Token | Self::Catalog | Self::Tags { .. } | Self::Referrers { .. } => {
                &[Method::GET, Method::HEAD]
            }
            Self::Manifest { .. } => &[Method::GET, Method::HEAD, Method::PUT, Method::DELETE],
            Self::Blob { .. } => &[Method::GET, Method::HEAD, Method::DELETE],
            Self::Uploads { .. } => &[Method::POST],
            Self::Upload { .. } => &[Method::GET, Method::PATCH, Method::PUT, Method::DELETE],
        }
    }

    /// Uploads are pushing from their first to their last request, their status and their end included.
    fn need(&self, method: &Method) -> Need<'_> {
        let action = match (self, method) {
            (Self::Uploads { .. } | Self::Upload { .. }, _) | (_, &Method::PUT) => Action::Push,
            (_, &Method::DELETE) => Action::Delete,
            _ => Action::Pull,
        };
        match (self, self.name()) {
            (_, Some(name)) => Need::Repository(name, action),
            (Self::Catalog, None) => Need::Catalog,
            (_, None) => Need::Base,
        }
    }
}

/// Answers one request. `local` is the server's own address, for challenges.
pub(super) async fn route(call: &mut Call, path: &str, local: &str) -> Answer {
    let Some(target) = Target::of(path) else {
        return Err(Failure::missing(Code::Unsupported, "there is no such address"));
    };
    if !target.allowed().contains(&call.method) {
        let allowed: Vec<&str> = target.allowed().iter().map(Method::as_str).collect();
        return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, "not this method here")
            .header(ALLOW, allowed.join(", ")));
    }
    if target == Target::Token {
        return call.shared.guard.token(&call.headers, &call.query);
    }
    if let Some(name) = target.name()
        && !names::is_name(name)
    {
        return Err(Failure::bad(Code::NameInvalid, "the repository name is not well-formed"));
    }
    call.grant = call.shared.guard.check(&call.headers, target.need(&call.method), local)?;
    if call.method == Method::DELETE
        && !call.shared.options.deletes
        && !matches!(target, Target::Upload { .. })
    {
        let message = "this registry deletes nothing";
        return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message));
    }
    match &target {
        Target::Base | Target::Token => Ok(empty(StatusCode::OK)),
        Target::Catalog => lists::catalog(call).await,
        Target::Tags { name } => lists::tags(call, name).await,
        Target::Manifest { name, reference } => manifests::handle(call, name, reference).await,
        Target::Blob { name, digest } => blobs::handle(call, name, digest).await,
        Target::Uploads { name } => uploads::start(call, name).await,
        Target::Upload { name, id } => uploads::go_on(call, name, id).await,
        Target::Referrers { name, digest } => lists::referrers(call, name, digest).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let text = |target: Option<Target>| target.map_or("-".to_owned(), |target| format!("{target:?}"));
        for (path, expected) in [
            ("/v2/", "Base"),
            ("/v2", "Base"),
            ("/v2/_catalog", "Catalog"),
            ("/v2/a/b/tags/list", r#"Tags { name: "a/b" }"#),
            ("/v2/a/manifests/latest", r#"Manifest { name: "a", reference: "latest" }"#),
            ("/v2/a/manifests/sha256%3Aaa", r#"Manifest { name: "a", reference: "sha256:aa" }"#),
            ("/v2/a/blobs/sha256:aa", r#"Blob { name: "a", digest: "sha256:aa" }"#),
            ("/v2/a/blobs/uploads/", r#"Uploads { name: "a" }"#),
            ("/v2/a/blobs/uploads", r#"Uploads { name: "a" }"#),
            ("/v2/a/blobs/uploads/77", r#"Upload { name: "a", id: "77" }"#),
            ("/v2/a/referrers/sha256:aa", r#"Referrers { name: "a", digest: "sha256:aa" }"#),
            ("/v2/manifests/blobs/tags/list", r#"Tags { name: "manifests/blobs" }"#),
            ("/v2/a/blobs/uploads/tags/list", r#"Tags { name: "a/blobs/uploads" }"#),
            ("/v2/../etc/manifests/x", r#"Manifest { name: "../etc", reference: "x" }"#),
            ("/v2/a/tags/other", "-"),
            ("/v2/a", "-"),
            ("/v2/tags/list", "-"),
            ("/v2/a/uploads/x", "-"),
            ("/v1/", "-"),
            ("/v2/%", "-"),
            ("", "-"),
        ] {
            assert_eq!(text(Target::of(path)), expected, "{path}");
        }
    }
}
