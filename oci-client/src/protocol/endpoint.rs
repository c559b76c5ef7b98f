use oci_digest::Digest;

use super::authority::Authority;
use super::url::{Url, encode};

/// The URLs of one repository (distribution-spec, Endpoints). The name is well-formed, so it needs no encoding.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    https: bool,
    authority: Authority,
    repository: String,
}

impl Endpoints {
    pub(crate) fn new(https: bool, authority: Authority, repository: String) -> Self {
        Self { https, authority, repository }
    }

    /// `name` is a well-formed tag or a digest.
    pub(crate) fn manifest(&self, name: &str) -> Url {
        self.at(format!("manifests/{name}"))
    }

    pub(crate) fn blob(&self, digest: &Digest) -> Url {
        self.at(format!("blobs/{digest}"))
    }

    pub(crate) fn uploads(&self) -> Url {
        self.at("blobs/uploads/".to_owned())
    }

    pub(crate) fn mount(&self, digest: &Digest, from: &str) -> Url {
        self.uploads().with_parameter("mount", &encode(digest.as_ref())).with_parameter("from", &encode(from))
    }

    pub(crate) fn tags(&self) -> Url {
        self.at("tags/list".to_owned())
    }

    pub(crate) fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Url {
        let url = self.at(format!("referrers/{subject}"));
        match artifact_type {
            Some(artifact_type) => url.with_parameter("artifactType", &encode(artifact_type)),
            None => url,
        }
    }

    fn at(&self, rest: String) -> Url {
        Url::new(self.https, self.authority.clone(), format!("/v2/{}/{rest}", self.repository))
    }
}

/// Where to commit an upload: the session's own URL, its query untouched, with the digest behind it
/// (distribution-spec, Pushing blobs: `<location>?digest=<digest>`).
pub(crate) fn commit(session: &Url, digest: &Digest) -> Url {
    session.clone().with_parameter("digest", &encode(digest.as_ref()))
}

/// The tag under which registries without the referrers API keep them (distribution-spec, Referrers Tag Schema):
/// the algorithm cut to 32 characters, the encoded part to 64.
pub(crate) fn referrers_tag(subject: &Digest) -> String {
    let algorithm: String = subject.algorithm().to_string().chars().take(32).collect();
    let encoded: String = subject.digest().chars().take(64).collect();
    let tag = format!("{algorithm}-{encoded}");
    tag.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let authority = Authority::parse("[::1]:5000").unwrap();
        let endpoints = Endpoints::new(false, authority, "a/b".into());
        let hash = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c";
        let digest: Digest = format!("sha256:{hash}").parse().unwrap();
        assert_eq!(endpoints.manifest("v1").to_string(), "http://[::1]:5000/v2/a/b/manifests/v1");
        assert_eq!(
            endpoints.mount(&digest, "c/d").target(),
            format!("/v2/a/b/blobs/uploads/?mount=sha256:{hash}&from=c/d")
        );
        assert_eq!(
            endpoints.referrers(&digest, Some("a/b+json")).target(),
            format!("/v2/a/b/referrers/sha256:{hash}?artifactType=a/b%2Bjson")
        );
        let session = endpoints.uploads().join("/u/1?_state=a%2Bb%7e").unwrap();
        assert_eq!(commit(&session, &digest).target(), format!("/u/1?_state=a%2Bb%7e&digest=sha256:{hash}"));
        assert_eq!(referrers_tag(&digest), format!("sha256-{hash}"));
        let long: Digest = format!("sha512:{hash}{hash}").parse().unwrap();
        assert_eq!(referrers_tag(&long), format!("sha512-{hash}"));
    }
}
