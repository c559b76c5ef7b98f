//! `oci-image index`.

use std::process::ExitCode;

use examples::{Failure, ImageName};
use oci_digest::{Descriptor, Digest, Platform, platform};
use oci_layout::ImageLayout;
use oci_layout::edit::{Family, IndexEdit};

use crate::values::{pair, parsed_digest};

/// Makes and changes indexes: one name for the images of several platforms
#[derive(Debug, clap::Args)]
pub(crate) struct Index {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make an index of images, each under the platform that its config names
    Create {
        /// The index: LAYOUT:TAG; a tag that is there moves
        index: ImageName,
        /// Tags or digests of images in the layout
        images: Vec<String>,
    },
    /// Add images; one for the same platform is replaced
    Add {
        /// The index: LAYOUT[:TAG]
        index: ImageName,
        /// Tags or digests of images in the layout
        #[arg(required = true)]
        images: Vec<String>,
    },
    /// Remove images, with the attestations about them
    Remove {
        /// The index: LAYOUT[:TAG]
        index: ImageName,
        #[command(flatten)]
        entries: Entries,
    },
    /// Set annotations of the index or, with --digest or --platform, of entries
    Annotate {
        /// The index: LAYOUT[:TAG]
        index: ImageName,
        /// KEY=TEXT
        #[arg(required_unless_present = "remove", value_parser = pair)]
        annotations: Vec<(String, Option<String>)>,
        /// An annotation to remove
        #[arg(long, value_name = "KEY")]
        remove: Vec<String>,
        #[command(flatten)]
        entries: Entries,
    },
}

/// Entries of an index.
#[derive(Debug, clap::Args)]
struct Entries {
    /// The entry with this digest
    #[arg(long, value_parser = parsed_digest)]
    digest: Vec<Digest>,
    /// The entries for this platform, as linux/arm64
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::parse)]
    platform: Vec<Platform>,
}

impl Index {
    pub(crate) fn go(self) -> Result<ExitCode, Failure> {
        match self.action {
            Action::Create { index, images } => {
                let layout = index.open()?;
                add(&layout, IndexEdit::new(Family::Oci), &index, &images)?;
            }
            Action::Add { index, images } => {
                let layout = index.open()?;
                let edit = IndexEdit::open(&layout, index.name_or_latest())?;
                add(&layout, edit, &index, &images)?;
            }
            Action::Remove { index, entries } => {
                let layout = index.open()?;
                let mut edit = IndexEdit::open(&layout, index.name_or_latest())?;
                if entries.is_empty() {
                    return Err(Failure::new("name the entries by --digest or --platform").with_code(2));
                }
                for entry in entries.of(&edit, &index)? {
                    edit.remove(entry.digest());
                }
                edit.commit(&layout, &[index.tag()?])?;
            }
            Action::Annotate { index, mut annotations, remove, entries } => {
                annotations.extend(remove.into_iter().map(|key| (key, None)));
                let layout = index.open()?;
                let mut edit = IndexEdit::open(&layout, index.name_or_latest())?;
                let chosen = entries.of(&edit, &index)?;
                for (key, text) in &annotations {
                    if entries.is_empty() {
                        edit.annotate(key, text.as_deref());
                    }
                    for entry in &chosen {
                        edit.annotate_entry(entry.digest(), key, text.as_deref());
                    }
                }
                edit.commit(&layout, &[index.tag()?])?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Entries {
    fn is_empty(&self) -> bool {
        self.digest.is_empty() && self.platform.is_empty()
    }

    /// Every choice has to name something.
    fn of(&self, edit: &IndexEdit, index: &ImageName) -> Result<Vec<Descriptor>, Failure> {
        let all = edit.entries()?;
        let mut chosen = Vec::new();
        for digest in &self.digest {
            match all.iter().find(|entry| entry.digest() == digest) {
                Some(entry) => chosen.push(entry.clone()),
                None => return Err(Failure::new(format!("{index} has no entry {digest}"))),
            }
        }
        for wanted in &self.platform {
            let found = edit.of_platform(wanted)?;
            if found.is_empty() {
                let platform = platform::to_text(wanted);
                return Err(Failure::new(format!("{index} has no entry for {platform}")));
            }
            chosen.extend(found);
        }
        Ok(chosen)
    }
}

fn add(
    layout: &ImageLayout,
    mut edit: IndexEdit,
    index: &ImageName,
    images: &[String],
) -> Result<(), Failure> {
    for image in images {
        let name = ImageName { layout: index.layout.clone(), name: Some(image.clone()) };
        let mut found = name.find(layout, None)?;
        // What index.json says of it, its tag among that, is not the image's.
        found.descriptor.set_annotations(None);
        edit.add_image(&found)?;
    }
    edit.commit(layout, &[index.tag()?])?;
    Ok(())
}
