use crate::document::View;
use crate::media_type::Kind;
use crate::spec::ArtifactManifest;
use crate::{Descriptor, Digest, Document, ImageIndex, ImageManifest, MediaType, Result};

/// A manifest that has a `subject`, as a store lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Referrer {
    /// The digest of what it is about.
    pub subject: Digest,
    /// The manifest, with the `artifactType` and annotations that a list of referrers shows.
    pub descriptor: Descriptor,
}

impl Referrer {
    /// What a list of referrers says of a manifest or index; `None` when it has no subject or is neither.
    ///
    /// distribution-spec, Listing Referrers: the artifact type is the manifest's own, or else the media type of
    /// an image manifest's config; the annotations are the manifest's.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn of(bytes: &[u8], descriptor: &Descriptor) -> Result<Option<Self>> {
        let (subject, artifact_type, annotations) = match Kind::of(descriptor.media_type()) {
            Kind::Manifest => {
                let manifest = view::<ImageManifest>(bytes, descriptor)?;
                let own = manifest.artifact_type().clone().filter(|own| !own.as_ref().is_empty());
                let artifact_type = own.unwrap_or_else(|| manifest.config().media_type().clone());
                (manifest.subject().clone(), Some(artifact_type), manifest.annotations().clone())
            }
            Kind::Index => {
                let index = view::<ImageIndex>(bytes, descriptor)?;
                (index.subject().clone(), index.artifact_type().clone(), index.annotations().clone())
            }
            Kind::ArtifactManifest => {
                let artifact = view::<ArtifactManifest>(bytes, descriptor)?;
                let artifact_type: MediaType = artifact.artifact_type().clone();
                (artifact.subject().clone(), Some(artifact_type), artifact.annotations().clone())
            }
            _ => return Ok(None),
        };
        Ok(subject.map(|subject| {
            let mut listed = Descriptor::new(
                descriptor.media_type().clone(),
                descriptor.size(),
                descriptor.digest().clone(),
            );
            listed.set_artifact_type(artifact_type);
            listed.set_annotations(annotations);
            Self { subject: subject.digest().clone(), descriptor: listed }
        }))
    }
}

fn view<T: View>(bytes: &[u8], descriptor: &Descriptor) -> Result<T> {
    Ok(Document::<T>::parse(bytes, Some(descriptor))?.into_view())
}
