use oci_digest::MediaType;

/// How a layer's bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all: the blob is the tar archive.
    None,
    /// gzip (RFC 1952), of one member or many.
    #[default]
    Gzip,
    /// Zstandard (RFC 8878), of one frame or many.
    Zstd,
    /// xz. No media type names it, so that it is only ever found; decoded with the feature `xz`, never encoded.
    Xz,
    /// bzip2. No media type names it, so that it is only ever found; decoded with the feature `bzip2`, never encoded.
    Bzip2,
}

impl Compression {
    /// What a layer's media type says, docker's types and the nondistributable ones included. `None` for a media
    /// type that is not that of a layer.
    pub fn of_media_type(media_type: &MediaType) -> Option<Self> {
        let media_type = media_type.to_string();
        Some(match media_type.as_str() {
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar" => Self::None,
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Self::Gzip,
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Self::Zstd,
            _ => return None,
        })
    }

    /// The media type of a layer that is compressed so. Those for xz and bzip2 are what one would expect, but no
    /// specification has them.
    pub fn media_type(self) -> MediaType {
        let unregistered = |suffix| MediaType::Other(format!("{}+{suffix}", MediaType::ImageLayer));
        match self {
            Self::None => MediaType::ImageLayer,
            Self::Gzip => MediaType::ImageLayerGzip,
            Self::Zstd => MediaType::ImageLayerZstd,
            Self::Xz => unregistered("xz"),
            Self::Bzip2 => unregistered("bzip2"),
        }
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "plain tar",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            assert_eq!(Compression::of_media_type(&compression.media_type()), Some(compression));
        }
        for (media_type, expected) in [
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Some(Compression::Gzip)),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Some(Compression::Gzip)),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Some(Compression::Zstd)),
            ("application/vnd.oci.image.config.v1+json", None),
            ("application/vnd.oci.image.layer.v1.tar+xz", None),
            ("application/vnd.oci.image.layer.v1.tar+bzip2", None),
        ] {
            assert_eq!(Compression::of_media_type(&MediaType::from(media_type)), expected, "{media_type}");
        }
    }
}
