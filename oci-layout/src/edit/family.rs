use oci_digest::media_type::{self, DOCKER_CONFIG, DOCKER_LIST, DOCKER_MANIFEST};
use oci_digest::{Descriptor, MediaType};

/// Whose media types an image has. Those of one manifest are of one family; docker refuses a mixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Family {
    /// The image-spec's.
    #[default]
    Oci,
    /// docker's, version 2 schema 2.
    Docker,
}

impl Family {
    /// The family of a manifest's or index's media type.
    pub fn of(media_type: &MediaType) -> Self {
        if media_type::same(media_type, &media_type::to_oci(media_type)) { Self::Oci } else { Self::Docker }
    }

    /// The media type of an image manifest.
    pub fn manifest(self) -> MediaType {
        match self {
            Self::Oci => MediaType::ImageManifest,
            Self::Docker => DOCKER_MANIFEST.into(),
        }
    }

    /// The media type of an index.
    pub fn index(self) -> MediaType {
        match self {
            Self::Oci => MediaType::ImageIndex,
            Self::Docker => DOCKER_LIST.into(),
        }
    }

    /// The media type of an image's config.
    pub fn config(self) -> MediaType {
        match self {
            Self::Oci => MediaType::ImageConfig,
            Self::Docker => DOCKER_CONFIG.into(),
        }
    }

    /// A media type as this family names it; one without a twin stays.
    pub fn name(self, media_type: &MediaType) -> MediaType {
        match self {
            Self::Oci => media_type::to_oci(media_type),
            Self::Docker => media_type::to_docker(media_type).unwrap_or_else(|| media_type.clone()),
        }
    }

    pub(super) fn adopt(self, descriptor: &Descriptor) -> Descriptor {
        let mut adopted = descriptor.clone();
        adopted.set_media_type(self.name(descriptor.media_type()));
        adopted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_digest::media_type::{DOCKER_LAYER, DOCKER_LAYER_GZIP};

    #[test]
    fn media_types_go_between_the_families() {
        assert_eq!(Family::of(&DOCKER_MANIFEST.into()), Family::Docker);
        assert_eq!(Family::of(&MediaType::ImageIndex), Family::Oci);
        assert_eq!(Family::of(&"application/x".into()), Family::Oci);
        for (oci, docker) in
            [(MediaType::ImageLayer, DOCKER_LAYER), (MediaType::ImageLayerGzip, DOCKER_LAYER_GZIP)]
        {
            assert_eq!(Family::Docker.name(&oci), MediaType::from(docker));
            assert_eq!(Family::Oci.name(&docker.into()), oci);
            assert_eq!(Family::Oci.name(&oci), oci);
        }
        assert_eq!(Family::Docker.name(&"application/x".into()), MediaType::from("application/x"));
    }
}
