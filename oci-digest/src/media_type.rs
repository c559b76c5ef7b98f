//! What the media types of OCI and docker stand for.
//!
//! Every OCI type has a docker twin that stands for the same thing; [`Kind`] names the thing, [`to_oci`] and
//! [`to_docker`] go between the twins. Parameters (`; charset=utf-8`) and letter case are no part of a type.
//!
//! ```
//! use oci_digest::media_type::{Compression, Kind, Layer};
//!
//! let kind = Kind::parse("application/vnd.docker.image.rootfs.diff.tar.gzip");
//! assert_eq!(kind, Kind::Layer(Layer { compression: Compression::Gzip, distributable: true }));
//! assert!(Kind::parse("Application/vnd.oci.image.index.v1+json; charset=utf-8").is_manifest_or_index());
//! ```

use crate::MediaType;

/// docker's manifest, the twin of [`MediaType::ImageManifest`].
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// docker's manifest list, the twin of [`MediaType::ImageIndex`].
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// docker's image config, the twin of [`MediaType::ImageConfig`].
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// docker's uncompressed layer, the twin of [`MediaType::ImageLayer`].
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// docker's gzip layer, the twin of [`MediaType::ImageLayerGzip`].
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// docker's zstd layer, the twin of [`MediaType::ImageLayerZstd`].
pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
/// docker's uncompressed foreign layer, the twin of [`MediaType::ImageLayerNonDistributable`].
pub const DOCKER_FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";
/// docker's gzip foreign layer, the twin of [`MediaType::ImageLayerNonDistributableGzip`].
pub const DOCKER_FOREIGN_GZIP: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
/// docker's zstd foreign layer, the twin of [`MediaType::ImageLayerNonDistributableZstd`].
pub const DOCKER_FOREIGN_ZSTD: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.zstd";
/// docker's first manifest format, which is recognised and refused.
pub const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// docker's first manifest format with signatures, which is recognised and refused.
pub const DOCKER_SCHEMA_1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// What a media type stands for, whichever family it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// An image manifest: a config and layers.
    Manifest,
    /// An image index or manifest list.
    Index,
    /// The artifact manifest that image-spec 1.1 had in its release candidates: blobs and a subject.
    ArtifactManifest,
    /// A manifest of docker's schema 1, which is not handled.
    Schema1,
    /// An image configuration.
    Config,
    /// A layer.
    Layer(Layer),
    /// The empty JSON object.
    Empty,
    /// Anything else.
    Other,
}

/// What kind of layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layer {
    /// How the tar is compressed.
    pub compression: Compression,
    /// Whether registries hold it; otherwise its descriptor has `urls`.
    pub distributable: bool,
}

/// How a layer's tar is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, RFC 1952.
    Gzip,
    /// zstd, RFC 8878.
    Zstd,
}

impl Kind {
    /// The kind of a media type.
    pub fn of(media_type: &MediaType) -> Self {
        Self::parse(media_type.as_ref())
    }

    /// The kind of a media type's text, which may have parameters and any letter case.
    pub fn parse(text: &str) -> Self {
        let essence = essence(text);
        TABLE
            .iter()
            .find(|row| row.oci.as_ref() == essence || row.docker == Some(essence.as_str()))
            .map(|row| row.kind)
            .unwrap_or(match essence.as_str() {
                DOCKER_SCHEMA_1 | DOCKER_SCHEMA_1_SIGNED => Self::Schema1,
                _ => Self::Other,
            })
    }

    /// Whether it is a document that names other content: what a registry keeps under `manifests`, not `blobs`.
    pub fn is_manifest_or_index(self) -> bool {
        matches!(self, Self::Manifest | Self::Index | Self::ArtifactManifest)
    }

    /// Whether it is a layer of any compression.
    pub fn is_layer(self) -> bool {
        matches!(self, Self::Layer(_))
    }

    /// Whether it is a layer that registries need not hold: nondistributable, or foreign as docker calls it.
    pub fn is_foreign(self) -> bool {
        matches!(self, Self::Layer(Layer { distributable: false, .. }))
    }
}

/// The type without parameters, in lower case.
pub fn normalize(text: &str) -> MediaType {
    MediaType::from(essence(text).as_str())
}

/// Whether two types are the same but for parameters and letter case. Twins are not the same.
pub fn same(a: &MediaType, b: &MediaType) -> bool {
    a == b || essence(a.as_ref()) == essence(b.as_ref())
}

/// The OCI twin of a docker type; any other type as it is.
pub fn to_oci(media_type: &MediaType) -> MediaType {
    let essence = essence(media_type.as_ref());
    match TABLE.iter().find(|row| row.docker == Some(essence.as_str())) {
        Some(row) => row.oci.clone(),
        None => media_type.clone(),
    }
}

/// The docker twin of an OCI type. A docker type stays, and there is none for types that only OCI has.
pub fn to_docker(media_type: &MediaType) -> Option<MediaType> {
    let essence = essence(media_type.as_ref());
    TABLE
        .iter()
        .find(|row| row.oci.as_ref() == essence || row.docker == Some(essence.as_str()))
        .and_then(|row| row.docker)
        .map(MediaType::from)
}

struct Row {
    oci: MediaType,
    docker: Option<&'static str>,
    kind: Kind,
}

const fn row(oci: MediaType, docker: &'static str, kind: Kind) -> Row {
    Row { oci, docker: Some(docker), kind }
}

const fn layer(compression: Compression, distributable: bool) -> Kind {
    Kind::Layer(Layer { compression, distributable })
}

static TABLE: [Row; 11] = [
    row(MediaType::ImageManifest, DOCKER_MANIFEST, Kind::Manifest),
    row(MediaType::ImageIndex, DOCKER_LIST, Kind::Index),
    row(MediaType::ImageConfig, DOCKER_CONFIG, Kind::Config),
    row(MediaType::ImageLayer, DOCKER_LAYER, layer(Compression::None, true)),
    row(MediaType::ImageLayerGzip, DOCKER_LAYER_GZIP, layer(Compression::Gzip, true)),
    row(MediaType::ImageLayerZstd, DOCKER_LAYER_ZSTD, layer(Compression::Zstd, true)),
    row(MediaType::ImageLayerNonDistributable, DOCKER_FOREIGN, layer(Compression::None, false)),
    row(MediaType::ImageLayerNonDistributableGzip, DOCKER_FOREIGN_GZIP, layer(Compression::Gzip, false)),
    row(MediaType::ImageLayerNonDistributableZstd, DOCKER_FOREIGN_ZSTD, layer(Compression::Zstd, false)),
    Row { oci: MediaType::ArtifactManifest, docker: None, kind: Kind::ArtifactManifest },
    Row { oci: MediaType::EmptyJSON, docker: None, kind: Kind::Empty },
];

/// RFC 9110 8.3.1: type and subtype are case-insensitive, parameters follow after a semicolon.
fn essence(text: &str) -> String {
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_are_of_one_kind_and_convert_both_ways() {
        for row in &TABLE {
            assert_eq!(Kind::of(&row.oci), row.kind);
            assert_eq!(to_oci(&row.oci), row.oci);
            if let Some(docker) = row.docker {
                let docker = MediaType::from(docker);
                assert_eq!(Kind::of(&docker), row.kind);
                assert_eq!(to_oci(&docker), row.oci);
                assert_eq!(to_docker(&row.oci), Some(docker.clone()));
                assert_eq!(to_docker(&docker), Some(docker));
            }
        }
        assert_eq!(to_docker(&MediaType::EmptyJSON), None);
    }

    #[test]
    fn parameters_and_case_do_not_matter() {
        for (text, kind) in [
            ("application/vnd.oci.image.manifest.v1+json;charset=utf-8", Kind::Manifest),
            (" APPLICATION/VND.OCI.IMAGE.INDEX.V1+JSON ; a=b", Kind::Index),
            (DOCKER_SCHEMA_1_SIGNED, Kind::Schema1),
            ("text/html", Kind::Other),
            ("", Kind::Other),
            (";", Kind::Other),
            ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", Kind::Other),
        ] {
            assert_eq!(Kind::parse(text), kind, "{text}");
        }
        assert_eq!(normalize("Application/Vnd.Oci.Image.Index.v1+json; x"), MediaType::ImageIndex);
        assert!(same(&MediaType::ImageIndex, &"application/vnd.oci.image.index.v1+JSON".into()));
        assert!(!same(&MediaType::ImageIndex, &DOCKER_LIST.into()));
    }
}
