use oci_digest::content::{Sink, Source};
use oci_digest::media_type::Kind;
use oci_digest::platform::{host, select};
use oci_digest::{Algorithm, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, Platform, digest_of};
use serde_json::{Value, json};

use super::part::Part;
use super::{ConfigEdit, Family, json};
use crate::{Error, ImageLayout, Result};

/// How deep indexes may be nested around an image that is edited.
const DEPTH: u64 = 8;

/// An edit of one image: read from any source, changed in memory, and committed to any sink.
///
/// The edit works on the JSON values of the config, the manifest, and the indexes it was found in. Members that
/// nobody knows survive, and so does the order; a document that was not changed keeps its bytes. An image that was
/// found in an index is committed inside of it: its entry there is replaced, and the index is the new root. See
/// [`detach`](Self::detach) for the image alone.
///
/// The layers are changed by [`append_layer`](Self::append_layer), [`rebase`](Self::rebase) and
/// [`squash`](Self::squash), the config by [`config_mut`](Self::config_mut).
#[derive(Debug, Clone)]
pub struct ImageEdit {
    /// The name it was opened by and what that stood for. Nothing for a new image.
    opened: Option<(String, Descriptor)>,
    /// The indexes around it, the outermost first, each with the position of the next in it.
    around: Vec<(Part, usize)>,
    pub(super) manifest: Part,
    /// Nothing for an artifact, whose config is not an image's.
    pub(super) config: Option<Part>,
    /// What came with the edit and has to be in the sink at the commit.
    pub(super) added: Vec<Descriptor>,
    embed_up_to: u64,
}

impl ImageEdit {
    /// Opens the image that a name stands for; in an index the one for a platform, this machine's when `None`.
    ///
    /// # Errors
    /// Not found; no image for the platform; and what makes a document unreadable.
    pub fn open(source: &dyn Source, name: &str, platform: Option<&Platform>) -> Result<Self> {
        Self::open_root(source, name, source.resolve(name)?, platform)
    }

    /// Opens an image of a layout. Where several entries of index.json have the tag, as some tools list the platforms
    /// of an image, it is the one for the platform, and [`commit_in`](Self::commit_in) leaves the others alone.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(layout: &ImageLayout, name: &str, platform: Option<&Platform>) -> Result<Self> {
        let named = layout.named(name)?;
        if named.len() < 2 {
            return Self::open(layout, name, platform);
        }
        let wanted = platform.cloned().unwrap_or_else(host);
        // An index among several entries is taken as a whole when no image beside it fits.
        let root = match select(&wanted, &named) {
            Ok(entry) => entry.clone(),
            Err(error) => match named.iter().find(|entry| is_index(entry)) {
                Some(index) => index.clone(),
                None => return Err(error.into()),
            },
        };
        Self::open_root(layout, name, root, platform)
    }

    /// Opens the image that a descriptor stands for, which `name` stood for when it was resolved.
    fn open_root(
        source: &dyn Source,
        name: &str,
        root: Descriptor,
        platform: Option<&Platform>,
    ) -> Result<Self> {
        let wanted = platform.cloned().unwrap_or_else(host);
        let mut around = Vec::new();
        let mut descriptor = root.clone();
        while is_index(&descriptor) {
            if around.len() as u64 == DEPTH {
                return Err(oci_digest::Error::Limit { limit: "depth of indexes", maximum: DEPTH }.into());
            }
            let (part, index) = Part::read::<ImageIndex>(source, &descriptor)?;
            let chosen = select(&wanted, index.manifests())?;
            let position = index.manifests().iter().position(|entry| std::ptr::eq(entry, chosen));
            descriptor = chosen.clone();
            around.push((part, position.unwrap_or(0)));
        }
        let (manifest, view) = Part::read::<ImageManifest>(source, &descriptor)?;
        let config = match Kind::of(view.config().media_type()) {
            Kind::Config => Some(Part::read::<ImageConfiguration>(source, view.config())?.0),
            // Some old images name their config by a general type; for an artifact it is anything.
            Kind::Other => Part::read::<ImageConfiguration>(source, view.config()).ok().map(|read| read.0),
            _ => None,
        };
        let opened = Some((name.to_owned(), root));
        Ok(Self { opened, around, manifest, config, added: Vec::new(), embed_up_to: 0 })
    }

    /// A new image without layers, for a platform.
    pub fn new(family: Family, platform: &Platform) -> Self {
        let blank = |media_type| Descriptor::new(media_type, 0, digest_of(Algorithm::default(), b""));
        let mut config = json!({});
        json::set_platform(&mut config, platform);
        config["config"] = json!({});
        config["rootfs"] = json!({"type": "layers", "diff_ids": []});
        config["history"] = json!([]);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": family.manifest().as_ref(),
            "config": json::descriptor(&blank(family.config())),
            "layers": [],
        });
        Self {
            opened: None,
            around: Vec::new(),
            manifest: Part::new(blank(family.manifest()), manifest),
            config: Some(Part::new(blank(family.config()), config)),
            added: Vec::new(),
            embed_up_to: 0,
        }
    }

    /// Takes the image out of the indexes it was found in: the commit then publishes its manifest alone.
    pub fn detach(&mut self) {
        self.around.clear();
    }

    /// Whether it was found in an index, which the commit replaces.
    pub fn is_in_index(&self) -> bool {
        !self.around.is_empty()
    }

    /// Whose media types it has.
    pub fn family(&self) -> Family {
        Family::of(self.manifest.descriptor.media_type())
    }

    /// The manifest as it is now. The config's digest and size in it are made at the commit.
    pub fn manifest(&self) -> &Value {
        &self.manifest.value
    }

    /// The manifest, to change what no method here does. The commit refuses what is no manifest any more.
    pub fn manifest_mut(&mut self) -> &mut Value {
        &mut self.manifest.value
    }

    /// The config as it is now.
    ///
    /// # Errors
    /// An unsupported media type for an artifact, whose config is not an image's.
    pub fn config(&self) -> Result<&Value> {
        Ok(&self.config_part()?.value)
    }

    /// Changes the config.
    ///
    /// # Errors
    /// An unsupported media type for an artifact, whose config is not an image's.
    pub fn config_mut(&mut self) -> Result<ConfigEdit<'_>> {
        Ok(ConfigEdit::of(&mut self.config_part_mut()?.value))
    }

    /// Sets the platform: in the config, and where an index names it.
    ///
    /// # Errors
    /// As [`config_mut`](Self::config_mut).
    pub fn set_platform(&mut self, platform: &Platform) -> Result<()> {
        json::set_platform(&mut self.config_part_mut()?.value, platform);
        self.manifest.descriptor.set_platform(Some(platform.clone()));
        if let Some(entry) = self.entry_mut() {
            json::set_platform(json::member(entry, "platform"), platform);
        }
        Ok(())
    }

    /// Sets an annotation of the manifest, or removes it.
    pub fn annotate(&mut self, key: &str, text: Option<&str>) {
        json::annotate(&mut self.manifest.value, key, text);
    }

    /// Sets an annotation of the descriptor by which an index names the image, or removes it. For an image in no
    /// index that is the descriptor it is published by, which a layout keeps in its index.json and a registry does not.
    pub fn annotate_entry(&mut self, key: &str, text: Option<&str>) {
        if let Some(entry) = self.entry_mut() {
            json::annotate(entry, key, text);
            return;
        }
        let mut all = self.manifest.descriptor.annotations().clone().unwrap_or_default();
        match text {
            Some(text) => all.insert(key.to_owned(), text.to_owned()),
            None => all.remove(key),
        };
        self.manifest.descriptor.set_annotations(Some(all).filter(|all| !all.is_empty()));
    }

    /// Sets an annotation of the index that the image is in, or removes it. `false`: it is in none.
    pub fn annotate_index(&mut self, key: &str, text: Option<&str>) -> bool {
        match self.around.last_mut() {
            Some((index, _)) => {
                json::annotate(&mut index.value, key, text);
                true
            }
            None => false,
        }
    }

    /// Sets what the image is about, as a signature or attestation is, or nothing.
    pub fn set_subject(&mut self, subject: Option<&Descriptor>) {
        self.set_member("subject", subject.map(json::descriptor));
    }

    /// Sets the manifest's artifact type, or removes it.
    pub fn set_artifact_type(&mut self, artifact_type: Option<&str>) {
        self.set_member("artifactType", artifact_type.map(Value::from));
    }

    /// Writes configs and manifests of at most so many bytes into the descriptors that name them, as `data`.
    /// By default none, except where `data` was there before.
    pub fn embed_up_to(&mut self, bytes: u64) {
        self.embed_up_to = bytes;
    }

    /// Stores the image and publishes it under tags. What is published is returned: the image's manifest or the index
    /// that it is in.
    ///
    /// Everything that the edit did not bring has to be in the sink: an image from elsewhere is copied there first.
    ///
    /// # Errors
    /// Not found for an added layer that the sink does not have; an invalid document when the edit left one that is
    /// no manifest or config; and what storing can meet.
    pub fn commit(self, sink: &dyn Sink, tags: &[&str]) -> Result<Descriptor> {
        let (descriptor, bytes) = self.store(sink)?;
        sink.publish(&descriptor, &bytes, tags)?;
        Ok(descriptor)
    }

    /// As [`commit`](Self::commit), into a layout: the entry of index.json that the image was opened by is replaced in
    /// its place under each of the tags it has there, with all else that the entry says, and its siblings of the same
    /// tag stay. Other tags move to the image as usual.
    ///
    /// # Errors
    /// As [`commit`](Self::commit), and [`Error::Conflict`] when somebody has moved the tag it was opened by since:
    /// open it again and redo the edit.
    pub fn commit_in(self, layout: &ImageLayout, tags: &[&str]) -> Result<Descriptor> {
        let (descriptor, bytes) = self.store(layout)?;
        layout.ingest(&descriptor, &bytes.as_slice())?;
        let opened = self.opened.as_ref().map(|(name, root)| (name.as_str(), root));
        layout.replace_root(opened, &descriptor, tags)?;
        Ok(descriptor)
    }

    /// Stores everything, and gives the root, which is not published yet.
    fn store(&self, sink: &dyn Sink) -> Result<(Descriptor, Vec<u8>)> {
        for layer in &self.added {
            if !sink.has(layer)? {
                return Err(oci_digest::Error::NotFound { what: layer.digest().to_string() }.into());
            }
        }
        let mut manifest = self.manifest.clone();
        if let Some(config) = &self.config {
            self.check_layers(config)?;
            let (descriptor, bytes) = config.finish::<ImageConfiguration>()?;
            sink.ingest(&descriptor, &bytes.as_slice())?;
            if let Some(entry) = manifest.value.get_mut("config") {
                json::redescribe(entry, &descriptor, &bytes, self.embed_up_to);
            }
        }
        let (mut descriptor, mut bytes) = manifest.finish::<ImageManifest>()?;
        for (index, position) in self.around.iter().rev() {
            sink.ingest(&descriptor, &bytes.as_slice())?;
            let mut index = index.clone();
            if let Some(entry) = index.value.pointer_mut(&format!("/manifests/{position}")) {
                json::redescribe(entry, &descriptor, &bytes, self.embed_up_to);
            }
            (descriptor, bytes) = index.finish::<ImageIndex>()?;
        }
        Ok((descriptor, bytes))
    }

    /// image-spec config.md: one diffID for each layer.
    fn check_layers(&self, config: &Part) -> Result<()> {
        let count = |value: &Value, pointer: &str| {
            value.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len)
        };
        let (layers, diff_ids) =
            (count(&self.manifest.value, "/layers"), count(&config.value, "/rootfs/diff_ids"));
        if layers != diff_ids {
            let reason = format!("{diff_ids} diff ids for {layers} layers");
            return Err(config.wrong("/rootfs/diff_ids".to_owned(), reason).into());
        }
        Ok(())
    }

    pub(super) fn config_part(&self) -> Result<&Part> {
        self.config.as_ref().ok_or_else(|| self.no_image())
    }

    pub(super) fn config_part_mut(&mut self) -> Result<&mut Part> {
        match &mut self.config {
            Some(config) => Ok(config),
            None => Err(no_image(&self.manifest)),
        }
    }

    fn no_image(&self) -> Error {
        no_image(&self.manifest)
    }

    fn entry_mut(&mut self) -> Option<&mut Value> {
        let (index, position) = self.around.last_mut()?;
        index.value.pointer_mut(&format!("/manifests/{position}"))
    }

    fn set_member(&mut self, name: &str, member: Option<Value>) {
        json::set(&mut self.manifest.value, name, member);
    }
}

fn no_image(manifest: &Part) -> Error {
    let media_type = manifest.value.pointer("/config/mediaType").and_then(Value::as_str).unwrap_or_default();
    oci_digest::Error::UnsupportedMediaType {
        digest: manifest.digest().clone(),
        media_type: media_type.chars().take(128).collect(),
    }
    .into()
}

fn is_index(descriptor: &Descriptor) -> bool {
    Kind::of(descriptor.media_type()) == Kind::Index
}
