use std::path::{Path, PathBuf};

use benches::Failure;
use oci_digest::content;
use oci_digest::{Descriptor, ImageManifest};
use oci_layout::ImageLayout;

use crate::Settings;

/// The tag of every image of the corpus.
pub(crate) const TAG: &str = "latest";

/// One image of the corpus, in a layout.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) layout: PathBuf,
    pub(crate) manifest: ImageManifest,
}

/// The images to measure with.
pub(crate) fn images(settings: &Settings, default: &[&str]) -> Result<Vec<Image>, Failure> {
    let corpus = settings.corpus.clone().or_else(|| std::env::var_os("OCI_CORPUS").map(PathBuf::from)).ok_or(
        "which images? --corpus DIR or OCI_CORPUS names the folder that examples/tests/corpus/make-corpus.sh made",
    )?;
    // Some tools take a path with another folder as their current one.
    let corpus = corpus.canonicalize().map_err(|e| format!("{}: {e}", corpus.display()))?;
    let mut names = settings.images.clone();
    if names.is_empty() {
        names = default.iter().map(ToString::to_string).collect();
    }
    if names.is_empty() {
        names = layouts(&corpus)?;
    }
    names.into_iter().map(|name| open(&corpus, name)).collect()
}

fn layouts(corpus: &Path) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for entry in corpus.read_dir().map_err(|e| format!("{}: {e}", corpus.display()))? {
        let entry = entry?;
        if entry.path().join("oci-layout").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    if names.is_empty() {
        return Err(format!("no image layouts in {}", corpus.display()).into());
    }
    Ok(names)
}

fn open(corpus: &Path, name: String) -> Result<Image, Failure> {
    let path = corpus.join(&name);
    let layout = ImageLayout::open(&path)?;
    let manifest = content::image(&layout, TAG, None)?.manifest.view().clone();
    Ok(Image { name, layout: path, manifest })
}

impl Image {
    /// The layers, lowest first, when all are compressed as the last part of their media type says.
    pub(crate) fn layers_of(&self, compression: &str) -> Result<Option<Vec<PathBuf>>, Failure> {
        let layers = self.manifest.layers();
        if !layers.iter().all(|layer| layer.media_type().to_string().ends_with(compression)) {
            return Ok(None);
        }
        let layout = ImageLayout::open(&self.layout)?;
        Ok(Some(layers.iter().map(|layer| layout.blob_path(layer.digest())).collect::<Result<_, _>>()?))
    }

    /// Config and layers, each once.
    pub(crate) fn blobs(&self) -> Vec<&Descriptor> {
        let mut all: Vec<&Descriptor> = Vec::new();
        for blob in std::iter::once(self.manifest.config()).chain(self.manifest.layers()) {
            if all.iter().all(|other| other.digest() != blob.digest()) {
                all.push(blob);
            }
        }
        all
    }

    /// Its name and what it weighs.
    pub(crate) fn title(&self) -> String {
        let bytes: u64 = self.manifest.layers().iter().map(Descriptor::size).sum();
        let count = self.manifest.layers().len();
        let layers = if count == 1 { "layer" } else { "layers" };
        format!("{}: {count} {layers}, {:.1} MB", self.name, bytes as f64 / 1e6)
    }
}
