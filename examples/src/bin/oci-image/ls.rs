//! `oci-image ls`.

use std::path::PathBuf;
use std::process::ExitCode;

use examples::{Failure, human_size, print_line, printable, table};
use oci_digest::Descriptor;
use oci_digest::media_type::Kind;
use oci_digest::platform;
use oci_layout::ImageLayout;
use serde_json::json;

/// Lists the tags of a layout
#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// The layout's folder
    layout: PathBuf,
    /// Show what each tag names, and what has no tag
    #[arg(short, long)]
    long: bool,
    /// One JSON object per line: tag (null without one), digest, mediaType, size, platform, artifactType
    #[arg(long, conflicts_with = "long")]
    json: bool,
}

const REF_NAME: &str = "org.opencontainers.image.ref.name";

impl Ls {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        let layout = ImageLayout::open(&self.layout)?;
        if !self.json && !self.long {
            for tag in layout.tags()? {
                print_line(printable(&tag));
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut roots = layout.roots()?;
        roots.sort_by(|a, b| tag_of(a).cmp(&tag_of(b)));
        if self.json {
            for root in &roots {
                print_line(json!({
                    "tag": tag_of(root),
                    "digest": root.digest().to_string(),
                    "mediaType": root.media_type().to_string(),
                    "size": root.size(),
                    "platform": root.platform().as_ref().map(platform::to_text),
                    "artifactType": root.artifact_type().as_ref().map(ToString::to_string),
                }));
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut rows = vec![["TAG", "DIGEST", "KIND", "SIZE"].map(str::to_owned).to_vec()];
        rows.extend(roots.iter().map(|root| {
            let tag = tag_of(root).map_or_else(|| "<none>".to_owned(), printable);
            vec![tag, root.digest().to_string(), kind(root), human_size(root.size())]
        }));
        print_line(table(&rows, &[3]).trim_end());
        Ok(ExitCode::SUCCESS)
    }
}

fn tag_of(root: &Descriptor) -> Option<&str> {
    root.annotations().as_ref()?.get(REF_NAME).map(String::as_str)
}

fn kind(root: &Descriptor) -> String {
    match (Kind::of(root.media_type()), root.artifact_type()) {
        (Kind::Manifest, Some(artifact)) => printable(&format!("artifact {artifact}")),
        (Kind::Manifest, None) => "image".to_owned(),
        (Kind::Index, _) => "index".to_owned(),
        _ => printable(root.media_type().as_ref()),
    }
}
