use oci_digest::content::{Image, Sink, Source};
use oci_digest::platform::{is_attestation, normalize};
use oci_digest::{Algorithm, Descriptor, Digest, Document, ImageIndex, Platform, digest_of};
use serde_json::{Value, json};

use super::part::Part;
use super::{Family, json};
use crate::Result;

/// An edit of an index: its entries, their platforms and annotations.
///
/// As with [`ImageEdit`](super::ImageEdit), members that nobody knows and the order survive, and an index that was not
/// changed keeps its bytes.
#[derive(Debug, Clone)]
pub struct IndexEdit {
    part: Part,
    embed_up_to: u64,
}

impl IndexEdit {
    /// Opens the index that a name stands for.
    ///
    /// # Errors
    /// Not found; an unsupported media type when it is no index; and what makes a document unreadable.
    pub fn open(source: &dyn Source, name: &str) -> Result<Self> {
        let (part, _) = Part::read::<ImageIndex>(source, &source.resolve(name)?)?;
        Ok(Self { part, embed_up_to: 0 })
    }

    /// A new index without entries.
    pub fn new(family: Family) -> Self {
        let blank = Descriptor::new(family.index(), 0, digest_of(Algorithm::default(), b""));
        let value = json!({"schemaVersion": 2, "mediaType": family.index().as_ref(), "manifests": []});
        Self { part: Part::new(blank, value), embed_up_to: 0 }
    }

    /// The index as it is now.
    pub fn value(&self) -> &Value {
        &self.part.value
    }

    /// The index, to change what no method here does. The commit refuses what is no index any more.
    pub fn value_mut(&mut self) -> &mut Value {
        &mut self.part.value
    }

    /// The entries as they are now.
    ///
    /// # Errors
    /// An invalid document, after a change of the value.
    pub fn entries(&self) -> Result<Vec<Descriptor>> {
        let bytes = oci_digest::canonical::to_vec(&self.part.value)?;
        Ok(Document::<ImageIndex>::parse(bytes, None)?.into_view().manifests().clone())
    }

    /// The entries that name a platform, whichever way they spell it: `arm64` and `arm64/v8` are one. An operating
    /// system's version counts when it is asked for.
    ///
    /// # Errors
    /// As [`entries`](Self::entries).
    pub fn of_platform(&self, platform: &Platform) -> Result<Vec<Descriptor>> {
        let mut entries = self.entries()?;
        entries.retain(|entry| entry.platform().as_ref().is_some_and(|named| names(named, platform)));
        Ok(entries)
    }

    /// Adds an image under its platform, in the place of the one for the same platform if there is one.
    ///
    /// # Errors
    /// As [`entries`](Self::entries).
    pub fn add_image(&mut self, image: &Image) -> Result<()> {
        let config: Value = Document::parse(image.config.bytes(), None)?.into_view();
        let mut entry = image.descriptor.clone();
        entry.set_platform(None);
        let mut value = json::descriptor(&entry);
        // From the JSON, since the model knows less of a platform than it may say.
        let members = ["architecture", "os", "os.version", "os.features", "variant"];
        for name in members {
            if let Some(member) = config.get(name).filter(|member| !member.is_null()) {
                json::set_in(&mut value, "platform", name, Some(member.clone()));
            }
        }
        self.put(value)
    }

    /// Adds an entry as it is, in the place of the one with its digest, or with its platform, if there is one.
    ///
    /// Statements about images, whose platform is `unknown/unknown`, stand side by side.
    ///
    /// # Errors
    /// As [`entries`](Self::entries).
    pub fn add(&mut self, entry: &Descriptor) -> Result<()> {
        self.put(json::descriptor(entry))
    }

    /// Removes the entries with a digest, and the attestations about them. `false`: there are none.
    pub fn remove(&mut self, digest: &Digest) -> bool {
        let entries = json::list(&mut self.part.value, "manifests");
        let before = entries.len();
        entries.retain(|entry| {
            let about = entry.pointer("/annotations/vnd.docker.reference.digest").and_then(Value::as_str);
            !is_of(entry, digest) && about != Some(digest.as_ref())
        });
        entries.len() != before
    }

    /// Sets an annotation of the index, or removes it.
    pub fn annotate(&mut self, key: &str, text: Option<&str>) {
        json::annotate(&mut self.part.value, key, text);
    }

    /// Sets an annotation of the entries with a digest, or removes it. `false`: there are none.
    pub fn annotate_entry(&mut self, digest: &Digest, key: &str, text: Option<&str>) -> bool {
        self.each(digest, |entry| json::annotate(entry, key, text))
    }

    /// Sets the platform of the entries with a digest. `false`: there are none.
    pub fn set_platform(&mut self, digest: &Digest, platform: &Platform) -> bool {
        self.each(digest, |entry| json::set_platform(json::member(entry, "platform"), platform))
    }

    /// Sets what the index is about, or nothing.
    pub fn set_subject(&mut self, subject: Option<&Descriptor>) {
        json::set(&mut self.part.value, "subject", subject.map(json::descriptor));
    }

    /// Sets the index's artifact type, or removes it.
    pub fn set_artifact_type(&mut self, artifact_type: Option<&str>) {
        json::set(&mut self.part.value, "artifactType", artifact_type.map(Value::from));
    }

    /// Writes manifests of at most so many bytes into the entries that name them, as `data`. By default none.
    pub fn embed_up_to(&mut self, bytes: u64) {
        self.embed_up_to = bytes;
    }

    /// Stores the index and publishes it under tags. What it names has to be in the sink.
    ///
    /// # Errors
    /// An invalid document when the edit left one that is no index; and what storing can meet.
    pub fn commit<S: Source + Sink>(mut self, store: &S, tags: &[&str]) -> Result<Descriptor> {
        self.embed(store)?;
        let (descriptor, bytes) = self.part.finish::<ImageIndex>()?;
        store.publish(&descriptor, &bytes, tags)?;
        Ok(descriptor)
    }

    fn embed(&mut self, source: &dyn Source) -> Result<()> {
        let small: Vec<Descriptor> =
            self.entries()?.into_iter().filter(|entry| entry.size() <= self.embed_up_to).collect();
        for entry in small {
            let (_, bytes) = Part::read::<Value>(source, &entry)?.0.finish::<Value>()?;
            let up_to = self.embed_up_to;
            self.each(entry.digest(), |value| json::redescribe(value, &entry, &bytes, up_to));
        }
        Ok(())
    }

    fn put(&mut self, entry: Value) -> Result<()> {
        let entries = self.entries()?;
        let mut one = Self::new(Family::default());
        json::list(&mut one.part.value, "manifests").push(entry.clone());
        let new = one.entries()?;
        let Some(new) = new.first() else { return Ok(()) };
        let same = |there: &Descriptor| {
            let platforms = (there.platform().as_ref(), new.platform().as_ref());
            there.digest() == new.digest()
                || matches!(platforms, (Some(a), Some(b)) if !is_attestation(new) && equal(a, b))
        };
        let at = entries.iter().position(same);
        let list = json::list(&mut self.part.value, "manifests");
        match at.and_then(|at| list.get_mut(at)) {
            Some(place) => *place = entry,
            None => list.push(entry),
        }
        Ok(())
    }

    fn each(&mut self, digest: &Digest, edit: impl Fn(&mut Value)) -> bool {
        let entries = json::list(&mut self.part.value, "manifests");
        let found: Vec<&mut Value> = entries.iter_mut().filter(|entry| is_of(entry, digest)).collect();
        let any = !found.is_empty();
        found.into_iter().for_each(edit);
        any
    }
}

fn is_of(entry: &Value, digest: &Digest) -> bool {
    entry.get("digest").and_then(Value::as_str) == Some(digest.as_ref())
}

/// Whether a platform is the wanted one, in normal form; the wanted one may leave out the system's version.
fn names(platform: &Platform, wanted: &Platform) -> bool {
    let (platform, wanted) = (normalize(platform), normalize(wanted));
    let versions_fit = wanted.os_version().is_none() || wanted.os_version() == platform.os_version();
    platform.os() == wanted.os()
        && platform.architecture() == wanted.architecture()
        && platform.variant() == wanted.variant()
        && versions_fit
}

fn equal(a: &Platform, b: &Platform) -> bool {
    names(a, b) && a.os_version() == b.os_version() && a.os_features() == b.os_features()
}
