use oci_digest::media_type::Kind;
use oci_digest::platform::select;
use oci_digest::{Descriptor, Digest, Platform};

use super::walk::Walk;
use crate::{Error, ImageLayout, Result};

impl ImageLayout {
    /// The image for a platform that a name stands for: a tag, or a digest in its text form.
    ///
    /// All entries with the tag count, and the images in the indexes they name, to the depth of the options; of those
    /// that [fit the platform](oci_digest::platform::select) it is the best. An image that is the only one and does
    /// not say its platform fits.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the name, or an index that is named and not there;
    /// [`NoPlatform`](oci_digest::Error::NoPlatform), which names the platforms there are; what reading can meet.
    pub fn resolve_platform(&self, name: &str, platform: &Platform) -> Result<Descriptor> {
        let named = match name.parse::<Digest>() {
            Ok(_) => vec![self.resolve(name)?],
            Err(_) => self.named(name)?,
        };
        if named.is_empty() {
            return Err(Error::NotFound { what: name.to_owned(), path: self.path().to_owned() });
        }
        for index in named.iter().filter(|named| is_index(named)) {
            self.blob(index.digest())?;
        }
        let images = self.images(named)?;
        Ok(select(platform, &images)?.clone())
    }

    /// The manifests among some descriptors and in the indexes among them.
    fn images(&self, mut level: Vec<Descriptor>) -> Result<Vec<Descriptor>> {
        let mut walk = Walk::new(self);
        let mut images = Vec::new();
        for _ in 0..=self.options.max_depth {
            let (indexes, manifests): (Vec<_>, Vec<_>) = level.into_iter().partition(is_index);
            images.extend(manifests);
            if indexes.is_empty() {
                return Ok(images);
            }
            level = Vec::new();
            for index in &indexes {
                level.extend(walk.children(index)?);
            }
        }
        let maximum = self.options.max_depth as u64;
        Err(Error::Limit { path: self.path().to_owned(), limit: "nested indexes", maximum })
    }
}

fn is_index(descriptor: &Descriptor) -> bool {
    Kind::of(descriptor.media_type()) == Kind::Index
}
