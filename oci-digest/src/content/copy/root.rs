use serde_json::Value;

use super::graph::{self, Node};
use super::{CopyOptions, Platforms};
use crate::content::{Source, image};
use crate::media_type::Kind;
use crate::{
    Algorithm, Descriptor, Digest, Document, Error, ImageIndex, Platform, Result, digest_of, platform,
};

/// What is to be published: what the name stands for, one image of it, or an index of some.
pub(super) fn choose(source: &dyn Source, what: &str, options: &CopyOptions) -> Result<(Descriptor, Node)> {
    let root = plain(source.resolve(what)?);
    let is_index = Kind::of(root.media_type()) == Kind::Index;
    match &options.platforms {
        _ if !is_index => {}
        Platforms::All => {}
        Platforms::Host => return one(source, root, &platform::host(), options),
        Platforms::Only(platforms) => match platforms.as_slice() {
            [] => return Err(Error::invalid("platforms", "", "none are wanted")),
            [only] => return one(source, root, only, options),
            several => return some(source, &root, several, options),
        },
    }
    let node = graph::fetch(source, &root, options)?;
    Ok((root, node))
}

fn one(
    source: &dyn Source,
    root: Descriptor,
    platform: &Platform,
    options: &CopyOptions,
) -> Result<(Descriptor, Node)> {
    let chosen = plain(image::choose(source, root, platform)?);
    let node = graph::fetch(source, &chosen, options)?;
    Ok((chosen, node))
}

/// A new index of the entries for some platforms, and of the attestations about them: the old one's JSON with
/// entries taken out.
fn some(
    source: &dyn Source,
    root: &Descriptor,
    platforms: &[Platform],
    options: &CopyOptions,
) -> Result<(Descriptor, Node)> {
    let limit = options.limits.manifest_bytes;
    let bytes = graph::fetch(source, root, options)?.bytes;
    let index = Document::<ImageIndex>::parse_within(bytes.as_slice(), Some(root), limit)?;
    let mut kept: Vec<Digest> = Vec::new();
    for platform in platforms {
        kept.push(platform::select(platform, index.view().manifests())?.digest().clone());
    }
    for entry in index.view().manifests() {
        let about = entry.annotations().as_ref().and_then(|all| all.get("vnd.docker.reference.digest"));
        let about_kept = about.is_some_and(|about| kept.iter().any(|digest| digest.as_ref() == about));
        if about_kept && platform::is_attestation(entry) {
            kept.push(entry.digest().clone());
        }
    }
    let mut value = Document::<Value>::parse_within(bytes.as_slice(), Some(root), limit)?.into_view();
    if let Some(entries) = value.get_mut("manifests").and_then(Value::as_array_mut) {
        entries.retain(|entry| {
            let digest = entry.get("digest").and_then(Value::as_str);
            digest.is_some_and(|digest| kept.iter().any(|kept| kept.as_ref() == digest))
        });
        if entries.len() == index.view().manifests().len() {
            // Nothing was taken out: the document stays its bytes.
            let node = graph::understand(bytes, root, limit)?;
            return Ok((root.clone(), node));
        }
    }
    let bytes = serde_json::to_vec(&value)
        .map_err(|e| Error::invalid("JSON value", root.digest().as_ref(), e.to_string()))?;
    let algorithm = Algorithm::of(root.digest())?;
    let digest = digest_of(algorithm, &bytes);
    let root = Descriptor::new(root.media_type().clone(), bytes.len() as u64, digest);
    let node = graph::understand(bytes, &root, limit)?;
    Ok((root, node))
}

/// Without what an index said of it, such as its platform: a root is known by itself.
fn plain(descriptor: Descriptor) -> Descriptor {
    let mut plain =
        Descriptor::new(descriptor.media_type().clone(), descriptor.size(), descriptor.digest().clone());
    plain.set_data(descriptor.data().clone());
    plain
}
