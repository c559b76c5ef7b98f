use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{Cursor, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

use oci_digest::content::{Location, Platforms, Source};
use oci_digest::media_type::{Compression, Kind, Layer};
use oci_digest::platform::{host, is_attestation, select};
use oci_digest::{Descriptor, Digest, Error, ImageIndex, ImageManifest, Result, View};
use serde_json::Value;

use super::part::Part;
use super::{Family, json};
use crate::blobs::invalid_offset;

/// How deep indexes may be nested, and how many bytes the documents of one conversion may have together.
const DEPTH: u64 = 8;
const HELD: usize = 64 << 20;

/// Members of manifests, indexes and descriptors that docker's format does not have.
const OCI_ONLY: [&str; 4] = ["annotations", "artifactType", "data", "subject"];

/// The annotation by which buildkit's attestations say which entry of an index they are about.
const ABOUT: &str = "vnd.docker.reference.digest";

/// A source whose images have the media types of one [family](Family), whatever they have where they come from.
///
/// ```
/// use oci_digest::content::{self, CopyOptions};
/// use oci_layout::edit::{Converted, Family};
/// # use oci_layout::{ImageLayout, edit::ImageEdit};
///
/// # let scratch = tempfile::tempdir()?;
/// # let [from, to] = ["from", "to"].map(|name| scratch.path().join(name));
/// # let (docker, layout) = (ImageLayout::create(from)?, ImageLayout::create(to)?);
/// # ImageEdit::new(Family::Docker, &oci_digest::platform::host()).commit(&docker, &["v1"])?;
/// let converted = Converted::new(&docker, Family::Oci);
/// let report = content::copy(&converted, "v1", &layout, &CopyOptions::default())?;
/// assert_eq!(Family::of(report.root.media_type()), Family::Oci);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Manifests and indexes become other documents with other digests, made when a name is [resolved](Source::resolve); members
/// that nobody knows survive, and what is of the family already keeps its bytes. Configs and layers are the same bytes
/// under another media type. What was said about the old digests is not about the new ones: signatures do not fit
/// any more, and [`referrers`](Source::referrers) finds none. What an index names and the source does not have stays
/// named as it was.
///
/// docker's format has no zstd, no artifacts and no indexes in indexes: such content is an
/// [unsupported media type](Error::UnsupportedMediaType), of an index only when it is opened. Members that it does
/// not have, such as annotations, and attestations in an index, are left out, and [told](Self::losses).
pub struct Converted<'s> {
    source: &'s dyn Source,
    family: Family,
    platforms: Platforms,
    state: Mutex<State>,
}

/// What a conversion left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The document that had it, by its old digest.
    pub digest: Digest,
    /// Where in it, as a JSON pointer (RFC 6901).
    pub pointer: String,
}

#[derive(Default)]
struct State {
    /// What documents became, by their old digests.
    became: HashMap<Digest, Descriptor>,
    /// The new documents.
    made: HashMap<Digest, Vec<u8>>,
    held: usize,
    /// Entries of indexes that could not be converted.
    refused: HashSet<Digest>,
    losses: Vec<Loss>,
}

impl<'s> Converted<'s> {
    /// A source as one of a family.
    pub fn new(source: &'s dyn Source, family: Family) -> Self {
        Self { source, family, platforms: Platforms::All, state: Mutex::default() }
    }

    /// Of indexes, only the images for some platforms are read and converted: those that a copy is asked for. Default: all.
    #[must_use]
    pub fn platforms(mut self, platforms: Platforms) -> Self {
        self.platforms = platforms;
        self
    }

    /// What was left out so far of the images that were resolved.
    pub fn losses(&self) -> Vec<Loss> {
        self.lock().losses.clone()
    }

    /// Converts a document and what is below it; anything else only gets its media type.
    fn convert(&self, old: &Descriptor, depth: u64) -> Result<Descriptor> {
        match Kind::of(old.media_type()) {
            Kind::Manifest => self.once::<ImageManifest>(old, |part, _| self.manifest(part)),
            Kind::Index if depth == DEPTH => Err(Error::Limit { limit: "depth of indexes", maximum: DEPTH }),
            Kind::Index if depth > 0 && self.family == Family::Docker => Err(unsupported(old)),
            Kind::Index => self.once::<ImageIndex>(old, |part, index| self.index(part, &index, depth)),
            Kind::Schema1 => Err(unsupported(old)),
            _ if self.family == Family::Docker => Err(unsupported(old)),
            _ => Ok(old.clone()),
        }
    }

    /// Reads a document, edits it, and keeps what it became.
    fn once<T: View>(
        &self,
        old: &Descriptor,
        edit: impl FnOnce(&mut Part, T) -> Result<Vec<String>>,
    ) -> Result<Descriptor> {
        if let Some(new) = self.lock().became.get(old.digest()) {
            return Ok(described_as(new, old));
        }
        let (mut part, view) = Part::read::<T>(self.source, old)?;
        let lost = edit(&mut part, view)?;
        let media_type = self.family.name(old.media_type());
        if media_type != *old.media_type() {
            json::set(&mut part.value, "mediaType", Some(media_type.as_ref().into()));
            part.descriptor.set_media_type(media_type);
        }
        let (new, bytes) = part.finish::<T>()?;
        let mut state = self.lock();
        if new.digest() != old.digest() {
            state.held = state.held.saturating_add(bytes.len());
            if state.held > HELD {
                return Err(Error::Limit { limit: "bytes of converted documents", maximum: HELD as u64 });
            }
            state.made.insert(new.digest().clone(), bytes);
        }
        let lost = lost.into_iter().map(|pointer| Loss { digest: old.digest().clone(), pointer });
        state.losses.extend(lost);
        state.became.insert(old.digest().clone(), new.clone());
        Ok(new)
    }

    fn manifest(&self, part: &mut Part) -> Result<Vec<String>> {
        let mut lost = self.strip(&mut part.value, "");
        if let Some(config) = part.value.get_mut("config") {
            self.blob(part.descriptor.digest(), config, "/config", &mut lost, |kind| kind == Kind::Config)?;
        }
        let layers = part.value.get_mut("layers").and_then(Value::as_array_mut);
        for (n, layer) in layers.into_iter().flatten().enumerate() {
            let fits = |kind| match kind {
                Kind::Layer(Layer { compression, .. }) => compression != Compression::Zstd,
                _ => false,
            };
            self.blob(part.descriptor.digest(), layer, &format!("/layers/{n}"), &mut lost, fits)?;
        }
        Ok(lost)
    }

    /// Gives a config or layer its media type; `fits` tells what docker's format has.
    fn blob(
        &self,
        manifest: &Digest,
        entry: &mut Value,
        pointer: &str,
        lost: &mut Vec<String>,
        fits: impl Fn(Kind) -> bool,
    ) -> Result<()> {
        let old = entry.get("mediaType").and_then(Value::as_str).unwrap_or_default();
        if self.family == Family::Docker && !fits(Kind::parse(old)) {
            let digest = entry.get("digest").and_then(Value::as_str).and_then(|digest| digest.parse().ok());
            let digest = digest.unwrap_or_else(|| manifest.clone());
            return Err(Error::UnsupportedMediaType { digest, media_type: old.chars().take(128).collect() });
        }
        let (old, new) = (old.to_owned(), self.family.name(&old.into()));
        if new.as_ref() != old {
            json::set(entry, "mediaType", Some(new.as_ref().into()));
        }
        lost.extend(self.strip(entry, pointer));
        Ok(())
    }

    fn index(&self, part: &mut Part, index: &ImageIndex, depth: u64) -> Result<Vec<String>> {
        let mut lost = self.strip(&mut part.value, "");
        let wanted = self.wanted(index.manifests());
        let mut renamed: HashMap<String, String> = HashMap::new();
        let mut left_out = HashSet::new();
        let entries = json::list(&mut part.value, "manifests");
        for (n, (old, entry)) in index.manifests().iter().zip(entries.iter_mut()).enumerate() {
            if self.family == Family::Docker && is_attestation(old) {
                left_out.insert(n);
                lost.push(format!("/manifests/{n}"));
                continue;
            }
            if wanted.as_ref().is_some_and(|wanted| !wanted.contains(old.digest())) {
                continue;
            }
            let new = match self.convert(old, depth + 1) {
                Ok(new) => new,
                // An index may name what was never fetched.
                Err(error) if error.is_not_found() => continue,
                // What is not asked for in the end keeps nobody from the rest.
                Err(Error::UnsupportedMediaType { .. } | Error::Document { .. }) => {
                    self.lock().refused.insert(old.digest().clone());
                    continue;
                }
                Err(error) => return Err(error),
            };
            lost.extend(self.strip(entry, &format!("/manifests/{n}")));
            if new.digest() != old.digest() {
                json::set(entry, "mediaType", Some(new.media_type().as_ref().into()));
                json::set(entry, "digest", Some(new.digest().as_ref().into()));
                json::set(entry, "size", Some(new.size().into()));
                // It holds the old bytes.
                json::set(entry, "data", None);
                renamed.insert(old.digest().to_string(), new.digest().to_string());
            }
        }
        for entry in entries.iter_mut() {
            let about = entry.get_mut("annotations").and_then(|all| all.get_mut(ABOUT));
            if let Some(about) = about
                && let Some(new) = about.as_str().and_then(|about| renamed.get(about))
            {
                *about = new.as_str().into();
            }
        }
        let mut n = 0..;
        entries.retain(|_| n.next().is_none_or(|n| !left_out.contains(&n)));
        Ok(lost)
    }

    /// The entries that are asked for, and the indexes, in which they may be. `None`: all of them.
    fn wanted(&self, entries: &[Descriptor]) -> Option<HashSet<Digest>> {
        let platforms = match &self.platforms {
            Platforms::Host => vec![host()],
            Platforms::Only(platforms) => platforms.clone(),
            _ => return None,
        };
        let chosen = platforms.iter().filter_map(|platform| select(platform, entries).ok());
        let mut wanted: HashSet<Digest> = chosen.map(|entry| entry.digest().clone()).collect();
        for entry in entries {
            let about = entry.annotations().as_ref().and_then(|all| all.get(ABOUT));
            let is_about_wanted = about.is_some_and(|about| wanted.iter().any(|one| one.as_ref() == about));
            if Kind::of(entry.media_type()) == Kind::Index || is_about_wanted {
                wanted.insert(entry.digest().clone());
            }
        }
        Some(wanted)
    }

    /// Takes out what docker's format does not have; the pointers to it. Copies of content (`data`) are no loss.
    fn strip(&self, object: &mut Value, pointer: &str) -> Vec<String> {
        if self.family != Family::Docker {
            return Vec::new();
        }
        let Some(members) = object.as_object_mut() else { return Vec::new() };
        let found =
            OCI_ONLY.into_iter().filter(|name| members.shift_remove(*name).is_some() && *name != "data");
        found.map(|name| format!("{pointer}/{name}")).collect()
    }

    // A panic elsewhere leaves maps that are whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Converted<'_> {
    fn resolve(&self, name: &str) -> Result<Descriptor> {
        self.convert(&self.source.resolve(name)?, 0)
    }

    fn open(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send + '_>> {
        let (made, is_refused) = {
            let state = self.lock();
            (state.made.get(descriptor.digest()).cloned(), state.refused.contains(descriptor.digest()))
        };
        match made {
            Some(bytes) => {
                if offset > bytes.len() as u64 {
                    return Err(invalid_offset(offset, bytes.len() as u64).into());
                }
                let mut bytes = Cursor::new(bytes);
                bytes.set_position(offset);
                Ok(Box::new(bytes))
            }
            // For the reason why.
            None if is_refused => Err(match self.convert(descriptor, 1) {
                Ok(_) => unsupported(descriptor),
                Err(error) => error,
            }),
            None => self.source.open(descriptor, offset),
        }
    }

    fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        if self.lock().made.contains_key(subject) {
            return Ok(Vec::new());
        }
        self.source.referrers(subject, artifact_type)
    }

    fn location(&self, descriptor: &Descriptor) -> Option<Location> {
        if self.lock().made.contains_key(descriptor.digest()) {
            return None;
        }
        self.source.location(descriptor)
    }
}

impl fmt::Debug for Converted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Converted").field("family", &self.family).finish_non_exhaustive()
    }
}

fn unsupported(of: &Descriptor) -> Error {
    let media_type = of.media_type().as_ref().chars().take(128).collect();
    Error::UnsupportedMediaType { digest: of.digest().clone(), media_type }
}

/// A new document, with what the place that named the old one says of it.
fn described_as(new: &Descriptor, old: &Descriptor) -> Descriptor {
    let mut described = old.clone();
    described.set_media_type(new.media_type().clone());
    described.set_digest(new.digest().clone());
    described.set_size(new.size());
    if new.digest() != old.digest() {
        described.set_data(None);
    }
    described
}
