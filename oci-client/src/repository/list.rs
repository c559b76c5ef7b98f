use std::collections::{BTreeSet, HashSet};

use http::header::ACCEPT;
use oci_digest::{Algorithm, Descriptor, Digest};
use serde_json::Value;

use super::Repository;
use crate::protocol::endpoint::referrers_tag;
use crate::protocol::link::{self, Next};
use crate::protocol::media::{INDEX, essence};
use crate::protocol::url::Url;
use crate::reference::check_tag;
use crate::session::{Budget, Call};
use crate::{Error, Result};

const MAX_PAGES: usize = 1000;
/// Bytes of all pages of one list.
const MAX_BYTES: usize = 32 * 1024 * 1024;

impl Repository {
    /// All tags, sorted, each once. Names that are no tags are left out.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown repository; [`Error::Protocol`] for a list that goes in circles or on to
    /// another host; [`Error::Limit`] for one of more than 1000 pages or 32 MiB.
    pub async fn tags(&self) -> Result<Vec<String>> {
        let mut tags = BTreeSet::new();
        let mut pages = Pages::new(self, self.endpoints.tags());
        while let Some(page) = pages.next(None).await? {
            let Page::Json { json, .. } = page else {
                return Err(pages.missing());
            };
            match json.get("tags") {
                // Registries say null for none.
                None | Some(Value::Null) if json.is_object() => {}
                Some(Value::Array(names)) => {
                    let names = names.iter().filter_map(Value::as_str).filter(|name| check_tag(name).is_ok());
                    tags.extend(names.map(str::to_owned));
                }
                _ => return Err(pages.call().protocol("the answer is no list of tags")),
            }
        }
        Ok(tags.into_iter().collect())
    }

    /// The manifests whose subject is `subject`, of one artifact type when given.
    ///
    /// Registries without the referrers API are asked for the fallback tag (distribution-spec, Referrers Tag
    /// Schema). Entries that are no proper descriptors are left out. Neither API nor tag: there are none.
    ///
    /// # Errors
    /// As [`tags`](Self::tags).
    pub async fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        Algorithm::of(subject)?;
        let found = match self.referrers_by_api(subject, artifact_type).await? {
            Some(found) => found,
            None => self.referrers_by_tag(subject).await?,
        };
        let mut seen = HashSet::new();
        let wanted = |d: &Descriptor| {
            artifact_type
                .is_none_or(|wanted| d.artifact_type().as_ref().is_some_and(|t| t.to_string() == wanted))
        };
        Ok(found.into_iter().filter(wanted).filter(|d| seen.insert(d.digest().clone())).collect())
    }

    /// `None`: there is no API.
    async fn referrers_by_api(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Descriptor>>> {
        let mut found = Vec::new();
        let mut pages = Pages::new(self, self.endpoints.referrers(subject, artifact_type));
        while let Some(page) = pages.next(Some(INDEX)).await? {
            match page {
                Page::Json { content_type, json } if essence(&content_type) == INDEX && json.is_object() => {
                    found.extend(descriptors(&json));
                }
                // Something else answers here.
                _ if pages.is_first() => return Ok(None),
                _ => return Err(pages.call().protocol("a page of the referrers is no index")),
            }
        }
        Ok(Some(found))
    }

    async fn referrers_by_tag(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let manifest = match self.manifest(&referrers_tag(subject)).await {
            Ok(manifest) => manifest,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        // Some registries find the subject itself under this tag.
        if manifest.descriptor().media_type().to_string() != INDEX
            || manifest.descriptor().digest() == subject
        {
            return Ok(Vec::new());
        }
        let json: Value = serde_json::from_slice(manifest.bytes()).unwrap_or_default();
        Ok(descriptors(&json))
    }
}

fn descriptors(index: &Value) -> Vec<Descriptor> {
    let entries = index.get("manifests").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let parsed = entries.iter().filter_map(|entry| serde_json::from_value::<Descriptor>(entry.clone()).ok());
    parsed.filter(|descriptor| Algorithm::of(descriptor.digest()).is_ok()).collect()
}

enum Page {
    Json {
        content_type: String,
        json: Value,
    },
    /// The first page is not there, or is nothing that can be read.
    Missing,
}

/// A walk along `Link` headers that ends.
struct Pages<'a> {
    repository: &'a Repository,
    budget: Budget,
    next: Option<Url>,
    seen: HashSet<String>,
    bytes: usize,
    missing: String,
    asked: Url,
}

impl<'a> Pages<'a> {
    fn new(repository: &'a Repository, first: Url) -> Self {
        Self {
            repository,
            budget: repository.session.budget(),
            next: Some(first.clone()),
            seen: HashSet::new(),
            bytes: 0,
            missing: String::new(),
            asked: first,
        }
    }

    fn is_first(&self) -> bool {
        self.seen.len() == 1
    }

    fn call(&self) -> Call {
        Call::get(self.asked.clone()).scope(self.repository.pull_scope())
    }

    fn missing(&self) -> Error {
        let what = format!("{}/{}", self.repository.registry, self.repository.name);
        Error::NotFound { what, message: self.missing.clone() }
    }

    async fn next(&mut self, accept: Option<&'static str>) -> Result<Option<Page>> {
        let Some(url) = self.next.take() else { return Ok(None) };
        self.asked = url;
        if !self.seen.insert(self.asked.target().to_owned()) {
            return Err(self.call().protocol("the list comes to the same page again"));
        }
        if self.seen.len() > MAX_PAGES {
            return Err(self.limit("pages of a list", MAX_PAGES));
        }
        let call = || match accept {
            Some(accept) => self.call().header(ACCEPT, accept),
            None => self.call(),
        };
        let mut answer = self.repository.session.send(call(), &mut self.budget.clone()).await?;
        match answer.status.as_u16() {
            200 => {}
            400 | 404 | 405 | 501 if self.is_first() => {
                self.missing = answer.message().await;
                return Ok(Some(Page::Missing));
            }
            _ => return Err(answer.refusal(&self.call()).await),
        }
        let (body, more) = answer.read(MAX_BYTES - self.bytes, &self.call()).await?;
        if more {
            return Err(self.limit("bytes of a list", MAX_BYTES));
        }
        self.bytes += body.len();
        self.next = match link::next(answer.texts("link"), &answer.url) {
            Next::None => None,
            Next::Page(url) => Some(url),
            Next::Elsewhere(_) => return Err(self.call().protocol("the list goes on at another host")),
        };
        let content_type = answer.text("content-type").unwrap_or_default().to_owned();
        match serde_json::from_slice(&body) {
            Ok(json) => Ok(Some(Page::Json { content_type, json })),
            Err(_) if accept.is_some() && self.is_first() => Ok(Some(Page::Missing)),
            Err(_) => Err(self.call().protocol("the answer is no JSON")),
        }
    }

    fn limit(&self, limit: &'static str, maximum: usize) -> Error {
        Error::Limit { url: self.asked.to_string(), limit, maximum: maximum as u64 }
    }
}
