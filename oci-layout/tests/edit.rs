//! Edits of images, indexes and artifacts through the public API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use oci_digest::content::{self, MemoryStore, Sink, Source, SourceExt};
use oci_digest::media_type::{DOCKER_CONFIG, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_LIST, DOCKER_MANIFEST};
use oci_digest::spec::HistoryBuilder;
use oci_digest::{Algorithm, Descriptor, Digest, MediaType, Platform, digest_of, platform};
use oci_layout::edit::{Artifact, Family, ImageEdit, IndexEdit, LayerAddition};
use oci_layout::{Error, ImageLayout};
use serde_json::{Value, json};

fn put(sink: &dyn Sink, media_type: &str, bytes: &[u8]) -> Descriptor {
    let digest = digest_of(Algorithm::Sha256, bytes);
    let descriptor = Descriptor::new(media_type.into(), bytes.len() as u64, digest);
    sink.ingest(&descriptor, &bytes).unwrap();
    descriptor
}

fn short(descriptor: &Descriptor) -> Value {
    json!({
        "x-first": 1,
        "digest": descriptor.digest(),
        "size": descriptor.size(),
        "mediaType": descriptor.media_type(),
    })
}

/// An image with members that nobody knows, in an order nobody writes, its layers being their own diffIDs.
fn strange(sink: &dyn Sink, family: Family, arch: &str, layers: &[&str], tags: &[&str]) -> Descriptor {
    let layer_type = family.name(&MediaType::ImageLayer);
    let blobs: Vec<Descriptor> =
        layers.iter().map(|text| put(sink, layer_type.as_ref(), text.as_bytes())).collect();
    let config = json!({
        "x-config": {"b": [1.5, null], "a": "é"},
        "os": "linux",
        "rootfs": {"diff_ids": blobs.iter().map(Descriptor::digest).collect::<Vec<_>>(), "type": "layers", "x": 1},
        "history": layers.iter().map(|text| json!({"x-entry": 1, "created_by": text})).collect::<Vec<_>>(),
        "architecture": arch,
        "config": {"OnBuild": ["RUN x"], "Healthcheck": {"Test": ["NONE"]}, "Env": ["A=1"], "x-inner": true},
    });
    let config = put(sink, family.config().as_ref(), config.to_string().as_bytes());
    let manifest = json!({
        "layers": blobs.iter().map(short).collect::<Vec<_>>(),
        "x-manifest": 18_446_744_073_709_551_615u64,
        "config": short(&config),
        "mediaType": family.manifest(),
        "schemaVersion": 2,
    });
    let bytes = manifest.to_string().into_bytes();
    let digest = digest_of(Algorithm::Sha256, &bytes);
    let descriptor = Descriptor::new(family.manifest(), bytes.len() as u64, digest);
    match tags {
        [] => sink.ingest(&descriptor, &bytes.as_slice()).unwrap(),
        tags => sink.publish(&descriptor, &bytes, tags).unwrap(),
    }
    descriptor
}

/// An index around images, with strange members, too.
fn around(sink: &dyn Sink, images: &[(&Descriptor, &str)], tag: &str) -> Descriptor {
    let entries: Vec<Value> = images
        .iter()
        .map(|(image, arch)| {
            let mut entry = short(image);
            entry["platform"] = json!({"x-platform": 1, "architecture": arch, "os": "linux"});
            entry
        })
        .collect();
    let index =
        json!({"x-index": [], "manifests": entries, "schemaVersion": 2, "mediaType": MediaType::ImageIndex});
    let bytes = index.to_string().into_bytes();
    let digest = digest_of(Algorithm::Sha256, &bytes);
    let descriptor = Descriptor::new(MediaType::ImageIndex, bytes.len() as u64, digest);
    sink.publish(&descriptor, &bytes, &[tag]).unwrap();
    descriptor
}

fn read(source: &dyn Source, descriptor: &Descriptor) -> Value {
    serde_json::from_slice(&source.read(descriptor, 1 << 20).unwrap()).unwrap()
}

fn at(source: &dyn Source, digest: &Value) -> Value {
    read(source, &source.resolve(digest.as_str().unwrap()).unwrap())
}

fn linux(arch: &str) -> Platform {
    platform::parse(&format!("linux/{arch}")).unwrap()
}

fn layer(sink: &dyn Sink, text: &str) -> LayerAddition {
    let descriptor = put(sink, MediaType::ImageLayer.as_ref(), text.as_bytes());
    LayerAddition::new(descriptor.clone(), descriptor.digest().clone())
        .history(HistoryBuilder::default().created_by(text).build().unwrap())
}

fn diff_ids(edit: &ImageEdit) -> Vec<Digest> {
    edit.layers().unwrap().into_iter().map(|layer| layer.diff_id).collect()
}

fn history(config: &Value) -> String {
    let entries = config["history"].as_array().unwrap();
    entries.iter().map(|entry| entry["created_by"].as_str().unwrap_or("?")).collect()
}

#[test]
fn what_nobody_knows_survives_in_its_order() {
    let store = MemoryStore::new();
    let before = strange(&store, Family::Oci, "amd64", &["a"], &["v1"]);
    let old_manifest = store.read(&before, 1 << 20).unwrap();
    let old_config = at(&store, &read(&store, &before)["config"]["digest"]).to_string();

    let mut edit = ImageEdit::open(&store, "v1", None).unwrap();
    edit.config_mut().unwrap().env("B", "2").user("me");
    let after = edit.commit(&store, &["v2"]).unwrap();
    let manifest = read(&store, &after);
    let config = at(&store, &manifest["config"]["digest"]).to_string();
    assert_eq!(
        config,
        old_config.replace(r#"["A=1"],"x-inner":true"#, r#"["A=1","B=2"],"x-inner":true,"User":"me""#)
    );
    let old: Value = serde_json::from_slice(&old_manifest).unwrap();
    let expected = String::from_utf8(old_manifest)
        .unwrap()
        .replace(old["config"]["digest"].as_str().unwrap(), manifest["config"]["digest"].as_str().unwrap())
        .replace(&format!(r#""size":{}"#, old_config.len()), &format!(r#""size":{}"#, config.len()));
    assert_eq!(manifest.to_string(), expected);
    assert_eq!(store.resolve("v1").unwrap().digest(), before.digest(), "the old image stays");
}

#[test]
fn documents_that_were_not_changed_keep_their_bytes() {
    let store = MemoryStore::new();
    // Spaces that no writer of ours would write.
    let config = put(
        &store,
        MediaType::ImageConfig.as_ref(),
        br#"{ "os":"linux", "architecture":"amd64", "rootfs":{"type":"layers","diff_ids":[]} }"#,
    );
    let manifest = format!("{{ \"schemaVersion\": 2,\n \"config\": {}, \"layers\": null }}", short(&config));
    let digest = digest_of(Algorithm::Sha256, manifest.as_bytes());
    let root = Descriptor::new(MediaType::ImageManifest, manifest.len() as u64, digest);
    store.publish(&root, manifest.as_bytes(), &["a"]).unwrap();

    let edit = ImageEdit::open(&store, "a", None).unwrap();
    assert_eq!(edit.commit(&store, &["b"]).unwrap().digest(), root.digest());
    let mut edit = ImageEdit::open(&store, "a", None).unwrap();
    edit.annotate("k", Some("v"));
    let annotated = edit.commit(&store, &["b"]).unwrap();
    assert_eq!(read(&store, &annotated)["config"], short(&config));
    assert_eq!(read(&store, &annotated)["annotations"], json!({"k": "v"}));
    // Set and taken back is not changed.
    let mut edit = ImageEdit::open(&store, "a", None).unwrap();
    edit.config_mut().unwrap().author("x").author(None);
    assert_eq!(edit.commit(&store, &["c"]).unwrap().digest(), root.digest());
}

#[test]
fn a_layer_comes_with_history_and_in_the_media_types_of_the_image() {
    for (family, layer_type, config_type) in [
        (Family::Oci, MediaType::ImageLayer.to_string(), MediaType::ImageConfig.to_string()),
        (Family::Docker, DOCKER_LAYER.to_owned(), DOCKER_CONFIG.to_owned()),
    ] {
        let store = MemoryStore::new();
        strange(&store, family, "amd64", &["a", "b"], &["v1"]);
        let mut edit = ImageEdit::open(&store, "v1", None).unwrap();
        assert_eq!(edit.family(), family);
        let new = layer(&store, "c");
        edit.append_layer(new.clone()).unwrap();
        edit.append_history(HistoryBuilder::default().created_by("-").build().unwrap()).unwrap();
        assert_eq!(diff_ids(&edit).last(), Some(&new.diff_id));
        let root = edit.commit(&store, &["v2"]).unwrap();
        let image = content::image(&store, "v2", None).unwrap();
        assert_eq!(image.descriptor.digest(), root.digest());
        let layers = image.layers().unwrap();
        assert_eq!(layers.len(), 3);
        assert_eq!(layers[2].descriptor.media_type().as_ref(), layer_type);
        assert_eq!(layers[2].descriptor.size(), 1);
        assert_eq!(image.manifest.view().config().media_type().as_ref(), config_type);
        let config: Value = serde_json::from_slice(image.config.bytes()).unwrap();
        assert_eq!(history(&config), "abc-");
        assert_eq!(config["history"][3]["empty_layer"], true);
        assert_eq!(config["rootfs"]["x"], 1);
    }
    assert_eq!(Family::Docker.name(&MediaType::ImageLayerGzip), DOCKER_LAYER_GZIP.into());
}

#[test]
fn a_layer_that_is_not_there_is_missed_before_anything_is_published() {
    let store = MemoryStore::new();
    strange(&store, Family::Oci, "amd64", &["a"], &["v1"]);
    let mut edit = ImageEdit::open(&store, "v1", None).unwrap();
    edit.append_layer(layer(&MemoryStore::new(), "elsewhere")).unwrap();
    assert!(edit.commit(&store, &["v2"]).unwrap_err().is_not_found());
    assert!(store.resolve("v2").unwrap_err().is_not_found());

    let mut edit = ImageEdit::open(&store, "v1", None).unwrap();
    edit.manifest_mut()["layers"] = json!([]);
    assert!(edit.commit(&store, &["v2"]).unwrap_err().to_string().contains("1 diff ids for 0 layers"));
    let mut edit = ImageEdit::open(&store, "v1", None).unwrap();
    *edit.config_mut().unwrap().value_mut() = json!({"os": 7});
    assert!(edit.commit(&store, &["v2"]).is_err());
}

#[test]
fn a_new_image_has_what_the_specification_requires() {
    let store = MemoryStore::new();
    for family in [Family::Oci, Family::Docker] {
        let mut edit = ImageEdit::new(family, &linux("arm64/v8"));
        let new = layer(&store, "a");
        edit.append_layer(new).unwrap();
        edit.config_mut().unwrap().created("2020-01-01T00:00:00Z").cmd(["/bin/sh"]);
        edit.commit(&store, &["new"]).unwrap();
        let image = content::image(&store, "new", None).unwrap();
        assert_eq!(image.descriptor.media_type(), &family.manifest());
        assert_eq!(image.layers().unwrap().len(), 1);
        assert_eq!(image.config.view().architecture().to_string(), "arm64");
        let config: Value = serde_json::from_slice(image.config.bytes()).unwrap();
        assert_eq!(history(&config), "a");
    }
}

#[test]
fn squash_and_rebase_move_layers_diff_ids_and_history_together() {
    let store = MemoryStore::new();
    strange(&store, Family::Oci, "amd64", &["a", "b"], &["base"]);
    strange(&store, Family::Docker, "amd64", &["x", "y", "z"], &["newer"]);
    strange(&store, Family::Oci, "arm64", &["x"], &["foreign"]);
    strange(&store, Family::Oci, "amd64", &["a", "b", "c", "d"], &["app"]);
    let image = |name: &str| content::image(&store, name, None).unwrap();
    let digests = |texts: &[&str]| -> Vec<Digest> {
        texts.iter().map(|text| digest_of(Algorithm::Sha256, text.as_bytes())).collect()
    };

    let mut edit = ImageEdit::open(&store, "app", None).unwrap();
    edit.rebase(&image("base"), &image("newer"), Some("example.org/newer:1")).unwrap();
    assert_eq!(diff_ids(&edit), digests(&["x", "y", "z", "c", "d"]));
    edit.commit(&store, &["rebased"]).unwrap();
    let rebased = image("rebased");
    let config: Value = serde_json::from_slice(rebased.config.bytes()).unwrap();
    assert_eq!(history(&config), "xyzcd");
    assert_eq!(config["config"]["x-inner"], true);
    let layers = rebased.manifest.view().layers();
    assert!(layers.iter().all(|layer| layer.media_type() == &MediaType::ImageLayer), "{layers:?}");
    let annotations = rebased.manifest.view().annotations().clone().unwrap();
    let named = image("newer").descriptor.digest().to_string();
    assert_eq!(annotations["org.opencontainers.image.base.digest"], named);
    assert_eq!(annotations["org.opencontainers.image.base.name"], "example.org/newer:1");
    // And back again gives the layers there were.
    let mut edit = ImageEdit::open(&store, "rebased", None).unwrap();
    edit.rebase(&image("newer"), &image("base"), None).unwrap();
    assert_eq!(diff_ids(&edit), digests(&["a", "b", "c", "d"]));

    for (old, new) in [("newer", "base"), ("base", "foreign")] {
        let mut edit = ImageEdit::open(&store, "app", None).unwrap();
        let error = edit.rebase(&image(old), &image(new), None).unwrap_err();
        assert!(error.to_string().contains("invalid base"), "{error}");
    }

    let mut edit = ImageEdit::open(&store, "app", None).unwrap();
    edit.squash(1..3, layer(&store, "S")).unwrap();
    assert_eq!(diff_ids(&edit), digests(&["a", "S", "d"]));
    assert_eq!(history(edit.config().unwrap()), "aSd");
    for range in [0..0, 2..4, 7..8] {
        assert!(edit.squash(range, layer(&store, "S")).is_err());
    }
    edit.squash(0..3, layer(&store, "T")).unwrap();
    edit.commit(&store, &["squashed"]).unwrap();
    assert_eq!(image("squashed").layers().unwrap().len(), 1);
}

#[test]
fn an_image_in_an_index_is_replaced_there_or_taken_out() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let amd = strange(&layout, Family::Oci, "amd64", &["a"], &[]);
    let arm = strange(&layout, Family::Oci, "arm64", &["b"], &[]);
    around(&layout, &[(&amd, "amd64"), (&arm, "arm64")], "multi");

    let mut edit = ImageEdit::open_in(&layout, "multi", Some(&linux("arm64"))).unwrap();
    assert!(edit.is_in_index());
    edit.config_mut().unwrap().label("k", "v");
    edit.annotate_entry("entry", Some("1"));
    assert!(edit.annotate_index("index", Some("2")));
    edit.set_platform(&linux("arm/v7")).unwrap();
    edit.commit_in(&layout, &["multi"]).unwrap();

    let root = layout.resolve("multi").unwrap();
    let index = read(&layout, &root);
    assert_eq!(index["manifests"][0]["digest"], amd.digest().as_ref());
    assert_eq!(
        index["manifests"][1]["platform"].to_string(),
        r#"{"x-platform":1,"architecture":"arm","os":"linux","variant":"v7"}"#
    );
    assert_eq!(index["manifests"][1]["annotations"], json!({"entry": "1"}));
    assert_eq!(index["manifests"][1]["x-first"], 1);
    assert_eq!((&index["annotations"], &index["x-index"]), (&json!({"index": "2"}), &json!([])));
    let image = content::image(&layout, "multi", Some(&linux("arm/v7"))).unwrap();
    assert_eq!(image.config.view().architecture().to_string(), "arm");
    assert_eq!(image.config.view().config().as_ref().unwrap().labels().as_ref().unwrap()["k"], "v");

    let mut edit = ImageEdit::open_in(&layout, "multi", Some(&linux("amd64"))).unwrap();
    edit.detach();
    edit.annotate("alone", Some("yes"));
    edit.commit_in(&layout, &["multi", "single"]).unwrap();
    for tag in ["multi", "single"] {
        assert_eq!(read(&layout, &layout.resolve(tag).unwrap())["annotations"]["alone"], "yes");
        assert_eq!(layout.named(tag).unwrap().len(), 1);
    }
}

#[test]
fn a_layouts_entry_is_changed_where_it_is_and_its_siblings_stay() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let entries: Vec<Value> = ["amd64", "arm64"]
        .iter()
        .map(|arch| {
            let image = strange(&layout, Family::Oci, arch, &[arch], &[]);
            let mut entry = short(&image);
            entry["platform"] = json!({"os": "linux", "architecture": arch, "x-platform": 1});
            entry["annotations"] = json!({"z": "1", "org.opencontainers.image.ref.name": "multi", "a": "2"});
            entry
        })
        .collect();
    let set = |value: &mut Value| {
        value["manifests"] = json!(entries);
        Ok(true)
    };
    layout.edit_index(set).unwrap();

    let mut edit = ImageEdit::open_in(&layout, "multi", Some(&linux("arm64"))).unwrap();
    let mut late = edit.clone();
    edit.config_mut().unwrap().user("me");
    let new = edit.commit_in(&layout, &["multi"]).unwrap();
    let index: Value =
        serde_json::from_slice(&std::fs::read(layout.path().join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0].to_string(), entries[0].to_string());
    let expected = entries[1]
        .to_string()
        .replace(entries[1]["digest"].as_str().unwrap(), new.digest().as_ref())
        .replace(&format!(r#""size":{}"#, entries[1]["size"]), &format!(r#""size":{}"#, new.size()));
    assert_eq!(index["manifests"][1].to_string(), expected);
    assert!(ImageEdit::open_in(&layout, "multi", Some(&linux("s390x"))).is_err());

    // Whoever was slower is told, instead of taking away what the other did.
    late.config_mut().unwrap().user("you");
    let error = late.clone().commit_in(&layout, &["multi"]).unwrap_err();
    assert!(matches!(&error, Error::Conflict { .. }) && error.is_retryable(), "{error}");
    late.commit_in(&layout, &["other"]).unwrap();
    let other = content::image(&layout, "other", None).unwrap();
    assert_eq!(other.config.view().config().as_ref().unwrap().user().as_deref(), Some("you"));
}

#[test]
fn threads_that_edit_one_tag_lose_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    ImageEdit::new(Family::Oci, &linux("amd64")).commit(&layout, &["t"]).unwrap();
    std::thread::scope(|scope| {
        for n in 0..6 {
            let layout = &layout;
            scope.spawn(move || {
                loop {
                    let mut edit = ImageEdit::open_in(layout, "t", None).unwrap();
                    edit.config_mut().unwrap().label(&format!("k{n}"), "v");
                    match edit.commit_in(layout, &["t"]) {
                        Ok(_) => break,
                        Err(error) => assert!(error.is_retryable(), "{error}"),
                    }
                }
            });
        }
    });
    let image = content::image(&layout, "t", None).unwrap();
    assert_eq!(image.config.view().config().as_ref().unwrap().labels().as_ref().unwrap().len(), 6);
}

#[test]
fn data_is_read_when_it_is_right_and_written_on_request() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    strange(&layout, Family::Oci, "amd64", &["a"], &["v1"]);
    let mut edit = ImageEdit::open_in(&layout, "v1", None).unwrap();
    edit.embed_up_to(4096);
    let root = edit.commit_in(&layout, &["v2"]).unwrap();
    let manifest = read(&layout, &root);
    let config: Digest = manifest["config"]["digest"].as_str().unwrap().parse().unwrap();
    assert!(manifest["config"]["data"].is_string());

    // The config's blob is gone; its descriptor has it.
    layout.remove(&config).unwrap();
    let mut edit = ImageEdit::open_in(&layout, "v2", None).unwrap();
    assert_eq!(edit.config().unwrap()["x-config"]["a"], "é");
    edit.config_mut().unwrap().author("me");
    let root = edit.commit_in(&layout, &["v2"]).unwrap();
    let entry = read(&layout, &root)["config"].clone();
    let mut described = Descriptor::new(
        MediaType::ImageConfig,
        entry["size"].as_u64().unwrap(),
        entry["digest"].as_str().unwrap().parse::<Digest>().unwrap(),
    );
    described.set_data(Some(entry["data"].as_str().unwrap().to_owned()));
    let bytes = content::embedded(&described).expect("the data follows the bytes");
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap()["author"], "me");

    // Wrong data is not taken for the content.
    let mut edit = ImageEdit::open_in(&layout, "v2", None).unwrap();
    edit.manifest_mut()["config"]["data"] = json!("e30=");
    let wrong = edit.commit_in(&layout, &["v3"]).unwrap();
    assert_eq!(read(&layout, &wrong)["config"]["data"], "e30=");
    let edit = ImageEdit::open_in(&layout, "v3", None).unwrap();
    assert_eq!(edit.config().unwrap()["author"], "me");
}

#[test]
fn indexes_are_made_and_changed_by_platform() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    for arch in ["amd64", "arm64"] {
        strange(&layout, Family::Oci, arch, &[arch], &[arch]);
    }
    let image = |name: &str| content::image(&layout, name, None).unwrap();
    let mut index = IndexEdit::new(Family::Oci);
    index.add_image(&image("amd64")).unwrap();
    index.add_image(&image("arm64")).unwrap();
    index.add_image(&image("arm64")).unwrap();
    let mut attestation = image("amd64").descriptor.clone();
    attestation.set_digest(digest_of(Algorithm::Sha256, b"attested"));
    attestation.set_platform(Some(platform::parse("unknown/unknown").unwrap()));
    attestation.set_annotations(Some(
        [
            ("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned()),
            ("vnd.docker.reference.digest".to_owned(), image("arm64").descriptor.digest().to_string()),
        ]
        .into(),
    ));
    index.add(&attestation).unwrap();
    index.annotate("k", Some("v"));
    index.commit(&layout, &["multi"]).unwrap();

    let mut index = IndexEdit::open(&layout, "multi").unwrap();
    assert_eq!(index.entries().unwrap().len(), 3);
    let arm = index.of_platform(&linux("arm64/v8")).unwrap();
    assert_eq!(arm.len(), 1);
    assert_eq!(arm[0].digest(), image("arm64").descriptor.digest());
    assert!(index.annotate_entry(arm[0].digest(), "note", Some("x")));
    assert!(index.set_platform(arm[0].digest(), &linux("arm64")));
    assert!(!index.set_platform(&digest_of(Algorithm::Sha256, b"none"), &linux("arm64")));
    index.commit(&layout, &["multi"]).unwrap();
    let chosen = content::image(&layout, "multi", Some(&linux("arm64"))).unwrap().descriptor;
    assert_eq!(chosen.annotations().as_ref().unwrap()["note"], "x");

    // A newer image for the platform takes the place of the older.
    let mut edit = ImageEdit::open(&layout, "arm64", None).unwrap();
    edit.config_mut().unwrap().user("new");
    let newer = edit.commit(&layout, &["newer"]).unwrap();
    let mut index = IndexEdit::open(&layout, "multi").unwrap();
    index.add_image(&image("newer")).unwrap();
    assert_eq!(index.of_platform(&linux("arm64")).unwrap()[0].digest(), newer.digest());
    assert!(index.remove(image("amd64").descriptor.digest()));
    index.embed_up_to(1 << 16);
    // What is not there cannot be embedded.
    assert!(index.clone().commit(&layout, &["small"]).unwrap_err().is_not_found());
    assert!(index.remove(attestation.digest()));
    let root = index.commit(&layout, &["small"]).unwrap();
    let value = read(&layout, &root);
    assert_eq!(value["manifests"].as_array().unwrap().len(), 1);
    assert!(value["manifests"][0]["data"].is_string());
    assert!(IndexEdit::open(&layout, "amd64").is_err());
    assert_eq!(IndexEdit::new(Family::Docker).value()["mediaType"], DOCKER_LIST);

    // The image and the statements about it go together.
    let mut index = IndexEdit::open(&layout, "multi").unwrap();
    assert!(index.remove(image("arm64").descriptor.digest()));
    assert_eq!(index.entries().unwrap().len(), 1);
}

#[test]
fn artifacts_with_and_without_blobs_are_listed_as_referrers() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let subject = strange(&layout, Family::Docker, "amd64", &["a"], &["v1"]);
    assert_eq!(subject.media_type().as_ref(), DOCKER_MANIFEST);
    let blob = put(&layout, "text/plain", b"signed");
    let about = |kind: &str| Artifact::new(kind).subject(subject.clone()).annotation("k", "v");
    about("application/vnd.a").blob(blob).commit(&layout, &[]).unwrap();
    let empty = about("application/vnd.b").embed_empty(true).commit(&layout, &["b"]).unwrap();
    let manifest = read(&layout, &empty);
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    assert_eq!(manifest["layers"][0]["data"], "e30=");
    assert_eq!(at(&layout, &manifest["config"]["digest"]), json!({}));
    let all = Source::referrers(&layout, subject.digest(), None).unwrap();
    assert_eq!(all.len(), 2);
    let one = Source::referrers(&layout, subject.digest(), Some("application/vnd.b")).unwrap();
    assert_eq!(one[0].digest(), empty.digest());
    assert_eq!(one[0].annotations().as_ref().unwrap()["k"], "v");

    // An artifact can be edited, but has no image's config.
    let mut edit = ImageEdit::open(&layout, "b", None).unwrap();
    assert!(edit.config().is_err() && edit.config_mut().is_err() && edit.layers().is_err());
    edit.annotate("k", Some("w"));
    edit.set_artifact_type(Some("application/vnd.c"));
    edit.set_subject(None);
    let edited = read(&layout, &edit.commit(&layout, &["b"]).unwrap());
    assert_eq!((&edited["artifactType"], edited.get("subject")), (&json!("application/vnd.c"), None));
    let missing = Descriptor::new("a/b".into(), 1, digest_of(Algorithm::Sha256, b"missing"));
    assert!(about("application/vnd.a").blob(missing).commit(&layout, &[]).unwrap_err().is_not_found());
    assert!(Artifact::new("nonsense").commit(&layout, &["x"]).is_err());
}
