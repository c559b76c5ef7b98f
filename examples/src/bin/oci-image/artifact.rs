//! `oci-image artifact` and `referrers`.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use examples::{Failure, ImageName, human_size, print_line, printable, table};
use oci_digest::content::Source;
use oci_digest::{Descriptor, MediaType};
use oci_layout::ImageLayout;
use oci_layout::edit::Artifact as NewArtifact;
use serde_json::json;

use crate::values::pair;

/// Stores files as an artifact, perhaps about an image: a bill of materials, a signature, a note
///
/// Prints the artifact's digest. Each file becomes a blob with its name as the title.
#[derive(Debug, clap::Args)]
pub(crate) struct Artifact {
    /// LAYOUT or LAYOUT:TAG
    layout: ImageName,
    /// The files
    files: Vec<PathBuf>,
    /// What kind of artifact it is: a media type
    #[arg(long = "type", value_name = "MEDIA-TYPE")]
    artifact_type: String,
    /// The media type of the files
    #[arg(long, value_name = "MEDIA-TYPE", default_value = "application/octet-stream")]
    file_type: String,
    /// The tag or digest in the layout that it is about
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// An annotation
    #[arg(long, value_name = "KEY=TEXT", value_parser = pair)]
    annotation: Vec<(String, Option<String>)>,
}

/// Lists what is about an image
#[derive(Debug, clap::Args)]
pub(crate) struct Referrers {
    /// The image: LAYOUT[:TAG] or LAYOUT@DIGEST
    image: ImageName,
    /// Only those of this artifact type
    #[arg(long = "type", value_name = "MEDIA-TYPE")]
    artifact_type: Option<String>,
    /// One descriptor per line, as JSON
    #[arg(long)]
    json: bool,
}

/// image-spec annotations.md: the human-readable title, which other tools take for the file's name.
const TITLE: &str = "org.opencontainers.image.title";

impl Artifact {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        let layout = self.layout.open()?;
        let tags: Vec<&str> = match &self.layout.name {
            Some(_) => vec![self.layout.tag()?],
            None => Vec::new(),
        };
        let mut artifact = NewArtifact::new(self.artifact_type.as_str());
        if let Some(subject) = &self.subject {
            artifact = artifact.subject(layout.resolve(subject)?);
        }
        for (key, text) in &self.annotation {
            artifact = artifact.annotation(key, text.clone().unwrap_or_default());
        }
        for file in &self.files {
            artifact = artifact.blob(self.stored(&layout, file)?);
        }
        let stored = artifact.commit(&layout, &tags)?;
        print_line(stored.digest());
        Ok(ExitCode::SUCCESS)
    }

    fn stored(&self, layout: &ImageLayout, path: &PathBuf) -> Result<Descriptor, Failure> {
        let doing = || format!("reading {}", path.display());
        let file = File::open(path).map_err(|e| Failure::during(doing(), e))?;
        let mut blob = layout
            .put(MediaType::from(self.file_type.as_str()), file)
            .map_err(|e| Failure::during(doing(), e))?;
        if let Some(name) = path.file_name() {
            let title = [(TITLE.to_owned(), name.to_string_lossy().into_owned())];
            blob.set_annotations(Some(title.into_iter().collect()));
        }
        Ok(blob)
    }
}

impl Referrers {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        let layout = self.image.open()?;
        let subject = layout.resolve(self.image.name_or_latest())?;
        let found = Source::referrers(&layout, subject.digest(), self.artifact_type.as_deref())?;
        if self.json {
            for referrer in &found {
                print_line(json!(referrer));
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut rows = vec![["DIGEST", "TYPE", "SIZE"].map(str::to_owned).to_vec()];
        rows.extend(found.iter().map(|referrer| {
            let kind = referrer.artifact_type().as_ref().unwrap_or(referrer.media_type());
            vec![referrer.digest().to_string(), printable(kind.as_ref()), human_size(referrer.size())]
        }));
        print_line(table(&rows, &[2]).trim_end());
        Ok(ExitCode::SUCCESS)
    }
}
