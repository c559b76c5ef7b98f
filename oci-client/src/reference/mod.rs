mod grammar;

use std::fmt;
use std::str::FromStr;

use oci_digest::Digest;

use crate::protocol::authority::Authority;
use crate::protocol::clean::clean;
use crate::{Error, Result};

/// The name of an image: registry, repository, and a tag, a digest, or both.
///
/// Every value is well-formed. Names are read as docker reads them: `alpine` is
/// `docker.io/library/alpine:latest`, and the first part is a registry when it has a dot or a colon, is in
/// brackets, or is `localhost`. A reference without tag and digest gets the tag `latest`.
///
/// ```
/// use oci_client::Reference;
///
/// let reference: Reference = "alpine".parse()?;
/// assert_eq!(reference.to_string(), "docker.io/library/alpine:latest");
/// let reference: Reference = "[::1]:5000/tools/jq:1.7".parse()?;
/// assert_eq!((reference.registry(), reference.repository()), ("[::1]:5000", "tools/jq"));
/// assert_eq!(reference.tag(), Some("1.7"));
/// # Ok::<(), oci_client::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    authority: Authority,
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// A reference to the tag `latest` of a repository. `repository` is taken as it is, without `library/`.
    ///
    /// # Errors
    /// [`Error::Reference`] naming the part that is wrong.
    pub fn new(registry: &str, repository: &str) -> Result<Self> {
        let input = || format!("{registry}/{repository}");
        let authority = parse_authority(registry).map_err(|wrong| wrong.of(&input()))?;
        grammar::repository(repository).map_err(|wrong| wrong.of(&input()))?;
        Ok(Self {
            registry: authority.to_string(),
            authority,
            repository: repository.to_owned(),
            tag: Some(LATEST.to_owned()),
            digest: None,
        })
    }

    /// The same repository with this tag and no digest.
    ///
    /// # Errors
    /// [`Error::Reference`] when the tag is not well-formed.
    pub fn with_tag(mut self, tag: &str) -> Result<Self> {
        grammar::tag(tag).map_err(|wrong| wrong.of(tag))?;
        self.tag = Some(tag.to_owned());
        self.digest = None;
        Ok(self)
    }

    /// The same repository with this digest and no tag.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self.tag = None;
        self
    }

    /// The registry, as it is shown: `docker.io`, `127.0.0.1:5000`, `[::1]:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository, for example `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag. Where there is a digest, too, the digest counts.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What to resolve in the repository: the digest, else the tag.
    pub fn target(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_ref(),
            (None, Some(tag)) => tag,
            (None, None) => LATEST,
        }
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(input: &str) -> Result<Self> {
        parse(input).map_err(|wrong| wrong.of(input))
    }
}

impl TryFrom<&str> for Reference {
    type Error = Error;

    fn try_from(input: &str) -> Result<Self> {
        input.parse()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({self})")
    }
}

const LATEST: &str = "latest";
const HUB: &str = "docker.io";
/// `docker.io` serves no API; this name does.
const HUB_API: &str = "registry-1.docker.io";

/// The authority that a registry's requests go to.
pub(crate) fn api_authority(registry: &Authority) -> Authority {
    match Authority::parse(HUB_API) {
        Ok(api) if registry.host() == HUB && registry.port().is_none() => api,
        _ => registry.clone(),
    }
}

pub(crate) fn parse_authority(text: &str) -> Result<Authority, Wrong> {
    let authority = Authority::parse(text).map_err(|e| Wrong { part: e.part, reason: e.reason })?;
    // The other names of the same registry.
    if matches!(authority.host(), "index.docker.io" | HUB_API) && authority.port().is_none() {
        return Authority::parse(HUB).map_err(|e| Wrong { part: e.part, reason: e.reason });
    }
    Ok(authority)
}

/// Whether a tag is well-formed (distribution-spec, Pulling manifests).
pub(crate) fn check_tag(tag: &str) -> Result<()> {
    grammar::tag(tag).map_err(|wrong| wrong.of(tag))
}

pub(crate) fn check_repository(repository: &str) -> Result<()> {
    grammar::repository(repository).map_err(|wrong| wrong.of(repository))
}

/// What is wrong with a reference.
#[derive(Debug)]
pub(crate) struct Wrong {
    part: &'static str,
    reason: String,
}

impl Wrong {
    pub(crate) fn of(self, input: &str) -> Error {
        Error::Reference { input: clean(input, 300), part: self.part, reason: self.reason }
    }
}

fn parse(input: &str) -> Result<Reference, Wrong> {
    let (name, digest) = match input.split_once('@') {
        Some((name, digest)) => (name, Some(grammar::digest(digest)?)),
        None => (input, None),
    };
    let (registry, rest) = match name.split_once('/') {
        Some((first, rest)) if is_registry(first) => (first, rest),
        _ => (HUB, name),
    };
    let authority = parse_authority(registry)?;
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    let official = authority.host() == HUB && authority.port().is_none() && !path.contains('/');
    let repository = if official { format!("library/{path}") } else { path.to_owned() };
    if path.is_empty() {
        return Err(Wrong { part: "repository", reason: "it is empty".to_owned() });
    }
    grammar::repository(&repository)?;
    if let Some(tag) = tag {
        grammar::tag(tag)?;
    } else if digest.is_none() && official && path.len() == 64 && path.bytes().all(|b| b.is_ascii_hexdigit())
    {
        let reason = "64 hexadecimal digits look like an image identifier".to_owned();
        return Err(Wrong { part: "repository", reason });
    }
    let tag = match tag {
        Some(tag) => Some(tag.to_owned()),
        None => digest.is_none().then(|| LATEST.to_owned()),
    };
    Ok(Reference { registry: authority.to_string(), authority, repository, tag, digest })
}

fn is_registry(first: &str) -> bool {
    first == "localhost" || first.starts_with('[') || first.contains(['.', ':'])
}

#[cfg(test)]
mod tests;
