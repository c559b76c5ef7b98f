//! Lists in pages: tags, the catalog, and referrers.

use http::StatusCode;
use http::header::{HeaderName, LINK};
use oci_digest::Descriptor;
use oci_digest::content::{Source, Store};
use serde_json::{Value, json};

use super::call::Call;
use super::names::{self, Query};
use super::response::{Answer, Code, Failure, Reply, blocking, json as json_reply, set};
use crate::protocol::media::INDEX;
use crate::protocol::url::encode;

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// `GET /v2/<name>/tags/list`
pub(super) async fn tags(call: &Call, name: &str) -> Answer {
    let page = Page::of(call)?;
    let read = |store: std::sync::Arc<dyn Store>| {
        store.tags().map_err(|e| Failure::from_store(&e, Code::NameUnknown))
    };
    let tags = call.shared.with_store(name, read).await?;
    let (tags, next) = page.cut(tags, String::as_str);
    let mut reply = json_reply(StatusCode::OK, "application/json", &json!({"name": name, "tags": tags}));
    page.link(&mut reply, &format!("/v2/{name}/tags/list"), next, None);
    Ok(reply)
}

/// `GET /v2/_catalog`
pub(super) async fn catalog(call: &Call) -> Answer {
    let page = Page::of(call)?;
    let repositories = std::sync::Arc::clone(&call.shared.repositories);
    let names =
        blocking(move || repositories.names().map_err(|e| Failure::from_store(&e, Code::NameUnknown)))
            .await?;
    let (names, next) = page.cut(names, String::as_str);
    let mut reply = json_reply(StatusCode::OK, "application/json", &json!({"repositories": names}));
    page.link(&mut reply, "/v2/_catalog", next, None);
    Ok(reply)
}

/// `GET /v2/<name>/referrers/<digest>`
pub(super) async fn referrers(call: &Call, name: &str, digest: &str) -> Answer {
    let digest = names::digest(digest)?;
    let page = Page::of(call)?;
    let wanted = call.query.first("artifactType").filter(|text| !text.is_empty()).map(str::to_owned);
    let (subject, filter) = (digest.clone(), wanted.clone());
    let read = move |store: std::sync::Arc<dyn Store>| {
        Source::referrers(&*store, &subject, filter.as_deref())
            .map_err(|e| Failure::from_store(&e, Code::ManifestUnknown))
    };
    // distribution-spec, Listing Referrers: a registry that has this API MUST NOT answer 404, also when it knows
    // neither repository nor subject.
    let mut found = match call.shared.with_store(name, read).await {
        Err(failure) if failure.status == StatusCode::NOT_FOUND => Vec::new(),
        found => found?,
    };
    found.sort_by(|a, b| a.digest().as_ref().cmp(b.digest().as_ref()));
    let (found, next) = page.cut(found, |descriptor| descriptor.digest().as_ref());
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": found.iter().map(to_json).collect::<Result<Vec<_>, _>>()?,
    });
    let mut reply = json_reply(StatusCode::OK, INDEX, &index);
    if wanted.is_some() {
        set(&mut reply, FILTERS_APPLIED, "artifactType");
    }
    page.link(&mut reply, &format!("/v2/{name}/referrers/{digest}"), next, wanted.as_deref());
    Ok(reply)
}

/// A descriptor as JSON, its annotations in the order of their keys: oci-spec's maps have none.
fn to_json(descriptor: &Descriptor) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(descriptor).map_err(Failure::inside)?;
    if let Some(Value::Object(annotations)) = value.get_mut("annotations") {
        annotations.sort_keys();
    }
    Ok(value)
}

/// Which part of a list is wanted: distribution-spec, Listing Tags.
struct Page {
    count: usize,
    /// What the client asked for as `n`, to say it again in the link.
    asked: Option<usize>,
    last: Option<String>,
}

impl Page {
    fn of(call: &Call) -> Result<Self, Failure> {
        Self::parse(&call.query, call.shared.options.page_limit)
    }

    fn parse(query: &Query, limit: usize) -> Result<Self, Failure> {
        let asked = match query.first("n") {
            None => None,
            Some(n) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => {
                // A number beyond all numbers asks for everything.
                Some(n.parse().unwrap_or(usize::MAX))
            }
            Some(_) => return Err(Failure::bad(Code::Unsupported, "n is not a number")),
        };
        let count = asked.unwrap_or(limit).min(limit);
        Ok(Self { count, asked, last: query.first("last").map(str::to_owned) })
    }

    /// The items of this page, and the `last` of the next one if there is more.
    fn cut<T>(&self, items: Vec<T>, key: impl Fn(&T) -> &str) -> (Vec<T>, Option<String>) {
        let after = |item: &T| self.last.as_deref().is_none_or(|last| key(item) > last);
        let mut items: Vec<T> = items.into_iter().filter(after).take(self.count.saturating_add(1)).collect();
        let more = items.len() > self.count;
        items.truncate(self.count);
        // With n=0 there is nothing to go on after: the spec wants an empty list without a link.
        let next = items.last().filter(|_| more).map(|item| key(item).to_owned());
        (items, next)
    }

    fn link(&self, reply: &mut Reply, path: &str, next: Option<String>, artifact_type: Option<&str>) {
        let Some(next) = next else { return };
        let n = self.asked.map_or(self.count, |asked| asked.min(self.count));
        let mut url = format!("{path}?n={n}&last={}", encode(&next));
        if let Some(artifact_type) = artifact_type {
            url.push_str(&format!("&artifactType={}", encode(artifact_type)));
        }
        set(reply, LINK, format!("<{url}>; rel=\"next\""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let all = || ["a", "b", "c", "d"].map(String::from).to_vec();
        for (query, limit, items, next) in [
            ("", 10, "abcd", None),
            ("", 3, "abc", Some("c")),
            ("n=2", 10, "ab", Some("b")),
            ("n=2&last=b", 10, "cd", None),
            ("n=2&last=c", 10, "d", None),
            ("n=2&last=bb", 10, "cd", None),
            ("n=0", 10, "", None),
            ("n=4", 10, "abcd", None),
            ("n=99999999999999999999999", 3, "abc", Some("c")),
            ("last=z", 10, "", None),
        ] {
            let page = Page::parse(&Query::parse(Some(query)).unwrap(), limit).unwrap();
            let (cut, last) = page.cut(all(), String::as_str);
            assert_eq!((cut.concat().as_str(), last.as_deref()), (items, next), "{query}");
        }
        for query in ["n=", "n=-1", "n=x"] {
            assert!(Page::parse(&Query::parse(Some(query)).unwrap(), 10).is_err(), "{query}");
        }
    }
}
