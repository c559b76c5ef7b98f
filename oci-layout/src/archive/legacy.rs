//! What docker before 1.10 reads of an archive: a folder for each layer, and the file `repositories`.

use std::collections::HashSet;

use oci_digest::{Algorithm, digest_of};
use serde_json::{Map, Value, json};

use super::docker_writer::Image;
use super::output::Output;
use crate::Result;

/// Appends the folders of all images' layers, each once, and `repositories`.
pub(super) fn append(output: &mut Output, images: &[Image]) -> Result<()> {
    let mut written = HashSet::new();
    let mut repositories: Map<String, Value> = Map::new();
    for image in images {
        let mut parent: Option<String> = None;
        for (n, layer) in image.layers.iter().enumerate() {
            let is_top = n + 1 == image.layers.len();
            let config = is_top.then_some(&image.config);
            let id = id(parent.as_deref(), layer, config.map(|_| image.config_name.as_str()));
            if written.insert(id.clone()) {
                folder(output, &id, parent.as_deref(), layer, config)?;
            }
            parent = Some(id);
        }
        let Some(top) = parent else { continue };
        for (path, tag) in image.tags.iter().filter_map(|tag| tag.rsplit_once(':')) {
            let tags = repositories.entry(path).or_insert_with(|| json!({}));
            tags[tag] = Value::from(top.as_str());
        }
    }
    if !repositories.is_empty() {
        output.append_bytes("repositories", Value::Object(repositories).to_string().as_bytes())?;
    }
    Ok(())
}

/// The identity of a layer in its place: any number, as long as it is another one in another place.
fn id(parent: Option<&str>, layer: &str, config: Option<&str>) -> String {
    let text = [parent, Some(layer), config].map(Option::unwrap_or_default).join("\n");
    digest_of(Algorithm::Sha256, text.as_bytes()).digest().to_owned()
}

fn folder(
    output: &mut Output,
    id: &str,
    parent: Option<&str>,
    layer: &str,
    config: Option<&Value>,
) -> Result<()> {
    let mut description = match config {
        Some(config) => config.clone(),
        None => json!({"created": "1970-01-01T00:00:00Z", "container_config": {}}),
    };
    if let Some(members) = description.as_object_mut() {
        members.shift_remove("rootfs");
        members.shift_remove("history");
        members.insert("id".to_owned(), id.into());
        if let Some(parent) = parent {
            members.insert("parent".to_owned(), parent.into());
        }
    }
    output.append_folder(id)?;
    output.append_bytes(&format!("{id}/VERSION"), b"1.0")?;
    output.append_bytes(&format!("{id}/json"), description.to_string().as_bytes())?;
    output.append_link(&format!("{id}/layer.tar"), &format!("../{layer}"))
}
