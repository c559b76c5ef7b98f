//! The one copy: what it brings, in which order, and how it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use oci_digest::content::{
    self, Content, CopyLimits, CopyOptions, Event, Location, MemoryStore, Platforms, Sink, Source, Store,
};
use oci_digest::{
    Algorithm, CancelToken, Descriptor, Digest, Error, MediaType, Result, canonical, digest_of, media_type,
    platform,
};
use serde_json::{Value, json};

fn descriptor(media_type: impl Into<MediaType>, bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type.into(), bytes.len() as u64, digest_of(Algorithm::Sha256, bytes))
}

fn put(store: &MemoryStore, media_type: impl Into<MediaType>, bytes: &[u8]) -> Descriptor {
    let descriptor = descriptor(media_type, bytes);
    store.ingest(&descriptor, &bytes).unwrap();
    descriptor
}

fn put_json(store: &MemoryStore, media_type: MediaType, value: &Value) -> Descriptor {
    put(store, media_type, &canonical::to_vec(value).unwrap())
}

/// An image of `layers` layers, different for each `name`.
fn image(store: &MemoryStore, name: &str, layers: usize, members: Value) -> Descriptor {
    let layers: Vec<Descriptor> = (0..layers)
        .map(|n| put(store, MediaType::ImageLayer, format!("{name} layer {n} ").repeat(30_000).as_bytes()))
        .collect();
    let diff_ids: Vec<&Digest> = layers.iter().map(Descriptor::digest).collect();
    let config = json!({"architecture": "amd64", "os": "linux", "author": name,
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = put_json(store, MediaType::ImageConfig, &config);
    let mut manifest = json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest,
        "config": config, "layers": layers});
    manifest.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    put_json(store, MediaType::ImageManifest, &manifest)
}

fn index(store: &MemoryStore, entries: &[(Descriptor, &str)]) -> Descriptor {
    let entries: Vec<Value> = entries
        .iter()
        .map(|(descriptor, text)| {
            let mut entry = json!(descriptor);
            if let Some((os, arch)) = text.split_once('/') {
                entry["platform"] = json!({"os": os, "architecture": arch});
            }
            entry
        })
        .collect();
    put_json(
        store,
        MediaType::ImageIndex,
        &json!({"schemaVersion": 2, "mediaType": MediaType::ImageIndex, "manifests": entries, "x-unknown": [1]}),
    )
}

fn tag(store: &MemoryStore, root: &Descriptor, tag: &str) {
    let mut bytes = Vec::new();
    store.open(root, 0).unwrap().read_to_end(&mut bytes).unwrap();
    store.publish(root, &bytes, &[tag]).unwrap();
}

fn source_with(root: impl FnOnce(&MemoryStore) -> Descriptor) -> (MemoryStore, Descriptor) {
    let store = MemoryStore::new();
    let root = root(&store);
    tag(&store, &root, "latest");
    (store, root)
}

/// A store that can be made to misbehave, and that remembers what it was asked.
#[derive(Default)]
struct Watched {
    store: MemoryStore,
    opened: Mutex<HashMap<String, usize>>,
    order: Mutex<Vec<Digest>>,
    /// Opening this fails.
    broken: Option<Digest>,
    /// Other bytes come for this.
    corrupted: Option<Digest>,
    /// Referrers of anything.
    refers: Vec<Descriptor>,
    adopts: bool,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Watched {
    fn of(store: &MemoryStore) -> Self {
        Self { store: store.clone(), ..Self::default() }
    }
}

impl Source for Watched {
    fn resolve(&self, name: &str) -> Result<Descriptor> {
        self.store.resolve(name)
    }
    fn open(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send + '_>> {
        *self.opened.lock().unwrap().entry(descriptor.digest().to_string()).or_default() += 1;
        if self.broken.as_ref() == Some(descriptor.digest()) {
            return Err(Error::Unsupported { operation: "the broken blob" });
        }
        let reader = self.store.open(descriptor, offset)?;
        if self.corrupted.as_ref() == Some(descriptor.digest()) {
            return Ok(Box::new(std::io::repeat(0).take(descriptor.size() - offset)));
        }
        Ok(reader)
    }
    fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        let mut all = self.store.referrers(subject, artifact_type)?;
        all.extend(self.refers.clone());
        Ok(all)
    }
    fn location(&self, descriptor: &Descriptor) -> Option<Location> {
        self.adopts.then(|| Location::File { path: PathBuf::from(descriptor.digest().to_string()) })
    }
}

impl Sink for Watched {
    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        self.store.has(descriptor)
    }
    fn adopt(&self, descriptor: &Descriptor, from: &Location) -> Result<bool> {
        let Location::File { path } = from else { return Ok(false) };
        assert_eq!(path.to_str().unwrap(), descriptor.digest().to_string());
        Ok(self.adopts)
    }
    fn ingest(&self, descriptor: &Descriptor, content: &dyn Content) -> Result<()> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        let result = self.store.ingest(descriptor, content);
        self.running.fetch_sub(1, Ordering::SeqCst);
        self.order.lock().unwrap().push(descriptor.digest().clone());
        result
    }
    fn publish(&self, descriptor: &Descriptor, manifest: &[u8], tags: &[&str]) -> Result<()> {
        self.order.lock().unwrap().push(descriptor.digest().clone());
        self.store.publish(descriptor, manifest, tags)
    }
}

#[test]
fn an_image_comes_whole_and_its_root_last() {
    let (source, root) = source_with(|s| image(s, "a", 5, json!({})));
    for jobs in [0, 1, 2, 16] {
        let sink = Watched::default();
        let report = content::copy(&source, "latest", &sink, &CopyOptions::default().jobs(jobs)).unwrap();
        assert_eq!(report.root, root);
        assert_eq!(report.tags, ["latest"]);
        assert_eq!((report.sent, report.present, report.adopted), (7, 0, 0));
        assert_eq!(sink.store.contents(), source.contents());
        assert_eq!(sink.store.resolve("latest").unwrap(), root);
        assert_eq!(sink.order.lock().unwrap().last(), Some(root.digest()));
        assert!(sink.most.load(Ordering::SeqCst) <= jobs.max(1));
        assert_eq!(sink.order.lock().unwrap().len(), 7, "each digest once");
        // And again: everything is there.
        let report = content::copy(&source, "latest", &sink, &CopyOptions::default().jobs(jobs)).unwrap();
        assert_eq!((report.sent, report.present), (1, 6));
    }
}

#[test]
fn an_index_comes_with_all_children_before_it() {
    let (source, root) = source_with(|s| {
        let inner = index(s, &[(image(s, "c", 1, json!({})), "linux/s390x")]);
        let (a, b) = (image(s, "a", 2, json!({})), image(s, "b", 1, json!({})));
        index(s, &[(a, "linux/amd64"), (b, "linux/arm64"), (inner, "")])
    });
    let sink = Watched::default();
    let report = content::copy(&source, "latest", &sink, &CopyOptions::default().tags(["x", "y"])).unwrap();
    assert_eq!(report.tags, ["x", "y"]);
    assert_eq!(sink.store.contents(), source.contents());
    assert_eq!(sink.store.tags().unwrap(), ["x", "y"]);
    let order = sink.order.lock().unwrap();
    let at = |digest: &Digest| order.iter().position(|d| d == digest).unwrap();
    for parent in
        source.contents().iter().filter(|d| media_type::Kind::of(d.media_type()).is_manifest_or_index())
    {
        let mut text = String::new();
        source.open(parent, 0).unwrap().read_to_string(&mut text).unwrap();
        for child in source.contents().iter().filter(|child| text.contains(child.digest().as_ref())) {
            assert!(at(child.digest()) < at(parent.digest()));
        }
    }
    assert_eq!(order.last(), Some(root.digest()));
}

#[test]
fn a_digest_names_no_tag() {
    let (source, root) = source_with(|s| image(s, "a", 1, json!({})));
    let sink = MemoryStore::new();
    let report = content::copy(&source, root.digest().as_ref(), &sink, &CopyOptions::default()).unwrap();
    assert!(report.tags.is_empty() && sink.tags().unwrap().is_empty());
    assert!(sink.has(&root).unwrap());
}

#[test]
fn one_platform_gives_its_image_and_several_a_smaller_index() {
    let images = Mutex::new(Vec::new());
    let (source, root) = source_with(|s| {
        let all = ["amd64", "arm64", "s390x"].map(|arch| image(s, arch, 1, json!({})));
        *images.lock().unwrap() = all.to_vec();
        let mut about = image(s, "attestation", 1, json!({}));
        about.set_annotations(Some(HashMap::from([
            ("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned()),
            ("vnd.docker.reference.digest".to_owned(), all[0].digest().to_string()),
        ])));
        let [amd, arm, s390] = all;
        index(
            s,
            &[(amd, "linux/amd64"), (arm, "linux/arm64"), (s390, "linux/s390x"), (about, "unknown/unknown")],
        )
    });
    let images = images.into_inner().unwrap();
    let wanted = |text: &str| platform::parse(text).unwrap();
    for (n, text) in ["linux/x86_64", "linux/aarch64/v8", "linux/s390x"].into_iter().enumerate() {
        let sink = MemoryStore::new();
        let options = CopyOptions::default().platform(wanted(text));
        let report = content::copy(&source, "latest", &sink, &options).unwrap();
        assert_eq!(report.root.digest(), images[n].digest());
        assert_eq!(sink.resolve("latest").unwrap().digest(), images[n].digest());
        assert_eq!(sink.contents().len(), 3);
    }
    let sink = MemoryStore::new();
    let options =
        CopyOptions::default().platforms(Platforms::Only(vec![wanted("linux/amd64"), wanted("linux/s390x")]));
    let report = content::copy(&source, "latest", &sink, &options).unwrap();
    assert_ne!(report.root.digest(), root.digest());
    let mut text = String::new();
    sink.open(&report.root, 0).unwrap().read_to_string(&mut text).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["manifests"].as_array().unwrap().len(), 3, "two images and what is said of one of them");
    assert_eq!(value["x-unknown"], json!([1]));
    let error = content::copy(
        &source,
        "latest",
        &MemoryStore::new(),
        &CopyOptions::default().platform(wanted("linux/riscv64")),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no image for platform linux/riscv64; available: linux/amd64, linux/arm64, linux/s390x"
    );
    // Every platform there is: the same document.
    let options = CopyOptions::default()
        .platforms(Platforms::Only(["linux/amd64", "linux/arm64", "linux/s390x"].map(wanted).to_vec()));
    assert_eq!(
        content::copy(&source, "latest", &MemoryStore::new(), &options).unwrap().root.digest(),
        root.digest()
    );
}

#[test]
fn repeats_and_cycles_cost_nothing() {
    let (store, root) = source_with(|s| {
        let layer = put(s, MediaType::ImageLayer, b"a layer");
        let config = put(s, MediaType::EmptyJSON, b"{}");
        let manifest = put_json(
            s,
            MediaType::ImageManifest,
            &json!({"schemaVersion": 2, "config": config, "layers": vec![layer; 10_000]}),
        );
        index(s, &vec![(manifest, "linux/amd64"); 10_000])
    });
    let mut source = Watched::of(&store);
    // A source that lists the root as its own referrer, and as that of everything else.
    source.refers = vec![root.clone()];
    let sink = Watched::default();
    let report = content::copy(&source, "latest", &sink, &CopyOptions::default().referrers(true)).unwrap();
    assert_eq!(report.sent, 4);
    assert!(source.opened.lock().unwrap().values().all(|times| *times == 1));
    assert_eq!(sink.order.lock().unwrap().len(), 4);
}

#[test]
fn limits_hold() {
    let (source, _) = source_with(|s| {
        let mut root = image(s, "a", 3, json!({}));
        for _ in 0..6 {
            root = index(s, &[(root, "")]);
        }
        root
    });
    let limits = CopyLimits::default;
    for (limits, name) in [
        (limits().depth(6), "depth"),
        (limits().descriptors(9), "descriptors"),
        (limits().total_bytes(900_000), "total bytes"),
        (limits().manifest_bytes(100), "manifest bytes"),
        (limits().held_bytes(500), "bytes of manifests"),
    ] {
        let sink = MemoryStore::new();
        let error =
            content::copy(&source, "latest", &sink, &CopyOptions::default().limits(limits)).unwrap_err();
        assert!(matches!(error, Error::Limit { limit, .. } if limit == name), "{name}: {error}");
        assert!(sink.tags().unwrap().is_empty());
    }
    let enough = limits().depth(7).descriptors(11);
    content::copy(&source, "latest", &MemoryStore::new(), &CopyOptions::default().limits(enough)).unwrap();
}

#[test]
fn referrers_and_theirs_come_along_and_are_roots() {
    let (source, root) = source_with(|s| {
        let root = image(s, "a", 1, json!({}));
        let signature = image(s, "sig", 1, json!({"subject": root, "artifactType": "application/sig"}));
        image(s, "sig of sig", 0, json!({"subject": signature}));
        root
    });
    let sink = MemoryStore::new();
    let report = content::copy(&source, "latest", &sink, &CopyOptions::default()).unwrap();
    assert!(report.referrers.is_empty() && sink.referrers(root.digest(), None).unwrap().is_empty());
    let sink = MemoryStore::new();
    let report = content::copy(&source, "latest", &sink, &CopyOptions::default().referrers(true)).unwrap();
    assert_eq!(report.referrers.len(), 2);
    assert_eq!(sink.contents(), source.contents());
    let listed = sink.referrers(root.digest(), Some("application/sig")).unwrap();
    assert_eq!(listed, source.referrers(root.digest(), None).unwrap());
    // The other way: the signature with what it is about.
    let name = listed[0].digest().to_string();
    let sink = MemoryStore::new();
    content::copy(&source, &name, &sink, &CopyOptions::default().subjects(true)).unwrap();
    assert!(sink.has(&root).unwrap());
    // A subject that is nowhere is no fault.
    source.remove(root.digest()).unwrap();
    let sink = MemoryStore::new();
    let report = content::copy(&source, &name, &sink, &CopyOptions::default().subjects(true)).unwrap();
    assert_eq!(report.skipped.len(), 1);
}

#[test]
fn the_first_failure_ends_the_copy_and_is_the_one_returned() {
    let (store, root) = source_with(|s| image(s, "a", 40, json!({})));
    let layer = content::image(&store, "latest", None).unwrap().manifest.view().layers()[20].clone();
    for jobs in [1, 4] {
        let mut source = Watched::of(&store);
        source.broken = Some(layer.digest().clone());
        let sink = MemoryStore::new();
        let error = content::copy(&source, "latest", &sink, &CopyOptions::default().jobs(jobs)).unwrap_err();
        assert!(matches!(error, Error::Unsupported { operation: "the broken blob" }), "{error}");
        assert!(!sink.has(&root).unwrap() && sink.tags().unwrap().is_empty());
        assert!(sink.contents().len() < 30, "the others should have ended soon: {}", sink.contents().len());
    }
}

#[test]
fn corrupted_content_leaves_no_root() {
    let (store, root) = source_with(|s| index(s, &[(image(s, "a", 2, json!({})), "linux/amd64")]));
    for victim in store.contents() {
        let mut source = Watched::of(&store);
        source.corrupted = Some(victim.digest().clone());
        let sink = MemoryStore::new();
        let error = content::copy(&source, "latest", &sink, &CopyOptions::default()).unwrap_err();
        assert!(
            matches!(&error, Error::DigestMismatch { expected, .. } if expected == victim.digest()),
            "{}: {error}",
            victim.media_type()
        );
        assert!(!sink.has(&root).unwrap() && !sink.has(&victim).unwrap());
    }
}

#[test]
fn a_raised_token_ends_the_copy_between_two_reads() {
    let (source, root) = source_with(|s| image(s, "a", 8, json!({})));
    let (token, seen) = (CancelToken::new(), Arc::new(AtomicU64::new(0)));
    let (raise, count) = (token.clone(), seen.clone());
    let options = CopyOptions::default().cancel(token.clone()).observer(move |event| {
        if let Event::Progress { .. } = event {
            count.fetch_add(1, Ordering::SeqCst);
            raise.cancel();
        }
    });
    let sink = MemoryStore::new();
    assert!(matches!(content::copy(&source, "latest", &sink, &options), Err(Error::Cancelled)));
    assert!(!sink.has(&root).unwrap());
    assert!((1..=4).contains(&seen.load(Ordering::SeqCst)), "at most one step of each thread");
    assert!(matches!(content::copy(&source, "latest", &sink, &options), Err(Error::Cancelled)));
}

#[test]
fn what_a_sink_can_adopt_is_not_read() {
    let (store, _) = source_with(|s| image(s, "a", 3, json!({})));
    let (mut source, mut sink) = (Watched::of(&store), Watched::default());
    (source.adopts, sink.adopts) = (true, true);
    let report = content::copy(&source, "latest", &sink, &CopyOptions::default()).unwrap();
    assert_eq!((report.adopted, report.sent), (4, 1));
    assert_eq!(source.opened.lock().unwrap().len(), 1, "only the manifest was read");
    // A sink that cannot is sent the bytes.
    sink = Watched::default();
    let report = content::copy(&source, "latest", &sink, &CopyOptions::default()).unwrap();
    assert_eq!((report.adopted, report.sent), (0, 5));
}

#[test]
fn foreign_layers_may_be_absent_and_others_may_not() {
    for (media_type, is_foreign) in [
        (MediaType::from(media_type::DOCKER_FOREIGN_GZIP), true),
        (MediaType::ImageLayerNonDistributable, true),
        (MediaType::ImageLayer, false),
    ] {
        let (source, root) = source_with(|s| {
            let config = put(s, MediaType::EmptyJSON, b"{}");
            let absent = descriptor(media_type, b"absent");
            let manifest = json!({"schemaVersion": 2, "config": config, "layers": [absent]});
            put_json(s, MediaType::ImageManifest, &manifest)
        });
        let sink = MemoryStore::new();
        match content::copy(&source, "latest", &sink, &CopyOptions::default()) {
            Ok(report) => assert!(is_foreign && report.skipped.len() == 1 && sink.has(&root).unwrap()),
            Err(error) => assert!(!is_foreign && error.is_not_found() && !sink.has(&root).unwrap()),
        }
    }
}

#[test]
fn embedded_data_is_used_when_it_is_right_and_not_otherwise() {
    for (data, reads) in [("e30=", 0), ("W10=", 1)] {
        let (store, _) = source_with(|s| {
            let mut config = put(s, MediaType::EmptyJSON, b"{}");
            config.set_data(Some(data.to_owned()));
            let manifest = json!({"schemaVersion": 2, "config": config, "layers": []});
            put_json(s, MediaType::ImageManifest, &manifest)
        });
        let (source, sink) = (Watched::of(&store), MemoryStore::new());
        content::copy(&source, "latest", &sink, &CopyOptions::default()).unwrap();
        let config = descriptor(MediaType::EmptyJSON, b"{}");
        assert!(sink.has(&config).unwrap());
        let opened = source.opened.lock().unwrap();
        assert_eq!(opened.get(config.digest().as_ref()).copied().unwrap_or(0), reads, "{data}");
    }
}

#[test]
fn schema_1_is_named() {
    let (source, _) = source_with(|s| put(s, media_type::DOCKER_SCHEMA_1_SIGNED, b"{\"schemaVersion\":1}"));
    // A memory store knows the type only of what it holds as a manifest; the source below says it.
    struct Old(MemoryStore);
    impl Source for Old {
        fn resolve(&self, name: &str) -> Result<Descriptor> {
            let mut found = self.0.resolve(name)?;
            found.set_media_type(media_type::DOCKER_SCHEMA_1_SIGNED.into());
            Ok(found)
        }
        fn open(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send + '_>> {
            self.0.open(descriptor, offset)
        }
        fn referrers(&self, _: &Digest, _: Option<&str>) -> Result<Vec<Descriptor>> {
            Ok(Vec::new())
        }
    }
    let sink = MemoryStore::new();
    let error = content::copy(&Old(source), "latest", &sink, &CopyOptions::default()).unwrap_err();
    assert!(matches!(error, Error::UnsupportedMediaType { .. }), "{error}");
    assert!(sink.contents().is_empty());
}

#[test]
fn a_panicking_observer_does_not_hang_the_others() {
    let (source, _) = source_with(|s| image(s, "a", 8, json!({})));
    let options = CopyOptions::default().observer(|event| {
        if let Event::Done { .. } = event {
            panic!("the observer panics");
        }
    });
    let sink = MemoryStore::new();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        content::copy(&source, "latest", &sink, &options).map(drop)
    }));
    assert!(result.is_err());
    assert!(sink.tags().unwrap().is_empty());
}

#[test]
fn one_image_is_read_through_indexes() {
    let (source, _) = source_with(|s| {
        let inner = index(s, &[(image(s, "a", 2, json!({})), "linux/amd64")]);
        index(s, &[(inner, "")])
    });
    let wanted = platform::parse("linux/amd64").unwrap();
    let image = content::image(&source, "latest", Some(&wanted)).unwrap();
    let layers = image.layers().unwrap();
    assert_eq!(layers.len(), 2);
    assert_eq!(layers[0].descriptor.digest(), &layers[0].diff_id, "the layers are plain tars");
    let other = platform::parse("linux/arm64").unwrap();
    assert!(matches!(content::image(&source, "latest", Some(&other)), Err(Error::NoPlatform { .. })));
    assert!(content::image(&source, "nothing", None).unwrap_err().is_not_found());
}
