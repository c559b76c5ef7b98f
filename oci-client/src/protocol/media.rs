use oci_digest::MediaType;
use oci_digest::media_type::{DOCKER_LIST, DOCKER_MANIFEST};

/// What may be sent for a manifest: OCI's types and docker's schema 2.
pub(crate) const ACCEPT_MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

const MANIFESTS: [&str; 4] = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST];

/// Docker's first schema, which names layers by another digest than that of their bytes.
const SCHEMA_1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];

/// The type of a `Content-Type` without its parameters, if it is that of a manifest.
pub(crate) fn manifest_type(content_type: &str) -> Result<MediaType, &'static str> {
    let essence = essence(content_type);
    if is_manifest(&essence) {
        return Ok(MediaType::from(essence.as_str()));
    }
    if SCHEMA_1.contains(&essence.as_str()) {
        return Err("a docker schema 1 manifest, which is not supported");
    }
    Err("the content type is not that of a manifest or index")
}

/// Whether content of this type is a manifest or index.
pub(crate) fn is_manifest(media_type: &str) -> bool {
    MANIFESTS.contains(&media_type)
}

/// The type without parameters, in lower case.
pub(crate) fn essence(content_type: &str) -> String {
    let end = content_type.find(';').unwrap_or(content_type.len());
    content_type[..end].trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_do_not_matter() {
        let media_type = manifest_type("application/vnd.oci.image.index.v1+json; charset=utf-8").unwrap();
        assert_eq!(media_type, MediaType::ImageIndex);
        assert!(manifest_type("text/html").is_err());
        assert!(manifest_type(SCHEMA_1[1]).unwrap_err().contains("schema 1"));
    }
}
