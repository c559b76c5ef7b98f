use std::path::{Path, PathBuf};

use oci_layout::{ImageLayout, LayoutOptions};

use crate::Failure;

/// How a layout is opened whose blobs may be in a folder that it shares with others.
pub fn layout_options(shared: Option<&Path>) -> LayoutOptions {
    shared.map_or_else(LayoutOptions::default, |folder| LayoutOptions::default().shared_blobs(folder))
}

/// What a command that looks after blobs has to know of a folder that layouts share.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SharedBlobs {
    /// The folder that the layout shares its blobs with other layouts in
    #[arg(long, value_name = "DIR")]
    shared_blob_dir: Option<PathBuf>,
    /// Another layout that has its blobs there, one option for each: what none of them leads to is nobody's
    #[arg(long, value_name = "LAYOUT", requires = "shared_blob_dir")]
    sharing: Vec<PathBuf>,
}

impl SharedBlobs {
    /// Opens the layout.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(&self, layout: &Path) -> Result<ImageLayout, Failure> {
        Ok(layout_options(self.shared_blob_dir.as_deref()).open(layout)?)
    }

    /// The other layouts, if they were named.
    pub fn sharing(&self) -> Option<&[PathBuf]> {
        (!self.sharing.is_empty()).then_some(&self.sharing[..])
    }
}
