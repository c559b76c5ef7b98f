//! `oci-image tag` and `untag`.

use std::process::ExitCode;

use examples::{Failure, ImageName};

/// Gives an image one more tag
///
/// A tag that named another image moves. An index stays an index, with all its platforms.
#[derive(Debug, clap::Args)]
pub(crate) struct Tag {
    /// The image: LAYOUT[:TAG] or LAYOUT@DIGEST
    image: ImageName,
    /// The new tag
    #[arg(value_name = "NEW-TAG")]
    tag: String,
}

/// Takes a tag away
///
/// The image's blobs stay until "gc" finds that nothing names them.
#[derive(Debug, clap::Args)]
pub(crate) struct Untag {
    /// The image: LAYOUT:TAG
    image: ImageName,
}

impl Tag {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        let layout = self.image.open()?;
        let descriptor = layout.resolve(self.image.name_or_latest())?;
        layout.tag(&descriptor, &self.tag)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Untag {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        // Never a default: what is taken away is named.
        if self.image.name.is_none() {
            return Err(Failure::new(format!("{}: name the tag to take away", self.image.layout.display()))
                .with_code(2));
        }
        let layout = self.image.open()?;
        if layout.untag(self.image.name_or_latest())? {
            return Ok(ExitCode::SUCCESS);
        }
        Err(Failure::new(format!("{}: there is no such tag", self.image)))
    }
}
