//! `oci-copy list-tags`.

use examples::{Access, Failure, print_line, printable};
use serde_json::json;

use crate::place::Place;
use crate::source;

/// Lists the tags of a repository, a layout or an archive, one per line
#[derive(Debug, clap::Args)]
pub(crate) struct ListTags {
    /// One JSON object instead, with the members name and tags
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
    /// Where they are; a tag in it does not matter
    place: Place,
}

impl ListTags {
    pub(crate) fn go(self) -> Result<(), Failure> {
        let tags = self.tags()?;
        if self.json {
            print_line(json!({ "name": self.place.to_string(), "tags": tags }));
        } else {
            tags.iter().for_each(|tag| print_line(printable(tag)));
        }
        Ok(())
    }

    fn tags(&self) -> Result<Vec<String>, Failure> {
        match &self.place {
            Place::Registry(reference) => Ok(self.access.repository(reference)?.tags()?),
            Place::Flat(_) => Err(Failure::new("one image in a flat folder has no tags")),
            place => source::tags(place),
        }
    }
}
