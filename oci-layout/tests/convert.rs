//! Images that get the other family's media types on their way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use oci_digest::content::{self, CopyOptions, MemoryStore, Platforms, Sink, Source, SourceExt};
use oci_digest::media_type::{DOCKER_CONFIG, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_LIST, DOCKER_MANIFEST};
use oci_digest::{Algorithm, Descriptor, Error, MediaType, digest_of, platform};
use oci_layout::edit::{Converted, Family};
use serde_json::{Value, json};

fn put(store: &MemoryStore, media_type: impl Into<MediaType>, bytes: &[u8]) -> Descriptor {
    let media_type = media_type.into();
    let digest = digest_of(Algorithm::Sha256, bytes);
    let descriptor = Descriptor::new(media_type, bytes.len() as u64, digest);
    if oci_digest::media_type::Kind::of(descriptor.media_type()).is_manifest_or_index() {
        store.publish(&descriptor, bytes, &[]).unwrap();
    } else {
        store.ingest(&descriptor, &bytes).unwrap();
    }
    descriptor
}

fn put_json(store: &MemoryStore, media_type: impl Into<MediaType>, value: &Value) -> Descriptor {
    put(store, media_type, value.to_string().as_bytes())
}

fn tag(store: &MemoryStore, descriptor: &Descriptor, tag: &str) {
    let bytes = store.read(descriptor, 1 << 20).unwrap();
    store.publish(descriptor, &bytes, &[tag]).unwrap();
}

/// An image with two layers of a family, and a member that nobody knows.
fn image(store: &MemoryStore, family: Family, arch: &str) -> Descriptor {
    let layers = [MediaType::ImageLayer, MediaType::ImageLayerGzip]
        .map(|of| put(store, family.name(&of), format!("{arch} {of}").as_bytes()));
    let diff_ids = layers.each_ref().map(Descriptor::digest);
    let config =
        json!({"architecture": arch, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = put_json(store, family.config(), &config);
    let manifest = json!({"unknown": [1], "schemaVersion": 2, "mediaType": family.manifest(),
        "config": config, "layers": layers});
    let mut descriptor = put_json(store, family.manifest(), &manifest);
    descriptor.set_platform(Some(platform::parse(&format!("linux/{arch}")).unwrap()));
    descriptor
}

fn index(store: &MemoryStore, family: Family, entries: &[Value]) -> Descriptor {
    let value = json!({"schemaVersion": 2, "mediaType": family.index(), "manifests": entries});
    put_json(store, family.index(), &value)
}

fn value(store: &MemoryStore, of: &Descriptor) -> Value {
    serde_json::from_slice(&store.read(of, 1 << 20).unwrap()).unwrap()
}

/// Copies with a conversion; the new store, the root there, and the pointers of what was lost.
fn convert(source: &MemoryStore, what: &str, family: Family) -> (MemoryStore, Descriptor, Vec<String>) {
    let sink = MemoryStore::new();
    let converted = Converted::new(source, family);
    let root = content::copy(&converted, what, &sink, &CopyOptions::default()).unwrap().root;
    assert_eq!(sink.resolve(what).unwrap().digest(), root.digest());
    (sink, root, converted.losses().into_iter().map(|loss| loss.pointer).collect())
}

#[test]
fn an_image_goes_to_docker_and_back_and_is_what_it_was() {
    let store = MemoryStore::new();
    let oci = image(&store, Family::Oci, "amd64");
    tag(&store, &oci, "x");
    let (docker, root, lost) = convert(&store, "x", Family::Docker);
    assert!(lost.is_empty());
    assert_eq!(*root.media_type(), MediaType::from(DOCKER_MANIFEST));
    let (was, is) = (value(&store, &oci), value(&docker, &root));
    assert_eq!(is["mediaType"], DOCKER_MANIFEST);
    assert_eq!(is["config"]["mediaType"], DOCKER_CONFIG);
    assert_eq!(is["layers"][0]["mediaType"], DOCKER_LAYER);
    assert_eq!(is["layers"][1]["mediaType"], DOCKER_LAYER_GZIP);
    assert_eq!(is["config"]["digest"], was["config"]["digest"]);
    assert_eq!(is["unknown"], was["unknown"]);
    let (back, root, _) = convert(&docker, "x", Family::Oci);
    assert_eq!(root.digest(), oci.digest());
    content::image(&back, "x", None).unwrap().layers().unwrap();
    // What is of the family already keeps its bytes.
    let (_, root, _) = convert(&store, "x", Family::Oci);
    assert_eq!(root.digest(), oci.digest());
}

#[test]
fn an_index_names_what_its_entries_became() {
    let store = MemoryStore::new();
    let [amd64, arm64] = ["amd64", "arm64"].map(|arch| image(&store, Family::Docker, arch));
    let absent = Descriptor::new(DOCKER_MANIFEST.into(), 9, digest_of(Algorithm::Sha256, b"absent"));
    let attestation = json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest,
        "config": put(&store, MediaType::ImageConfig, b"{\"architecture\":\"unknown\",\"os\":\"unknown\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}"),
        "layers": [put(&store, "application/vnd.in-toto+json", b"{}")]});
    let mut attestation = json!(put_json(&store, MediaType::ImageManifest, &attestation));
    attestation["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": amd64.digest()});
    let entries = [json!(amd64), json!(arm64), attestation.clone()];
    let root = index(&store, Family::Docker, &entries);
    tag(&store, &root, "x");
    let (oci, new, _) = convert(&store, "x", Family::Oci);
    let is = value(&oci, &new);
    assert_eq!(is["mediaType"], json!(MediaType::ImageIndex));
    for (n, old) in [&amd64, &arm64].into_iter().enumerate() {
        let entry = &is["manifests"][n];
        assert_eq!(entry["mediaType"], json!(MediaType::ImageManifest));
        assert_ne!(entry["digest"], json!(old.digest()));
        assert_eq!(entry["platform"], json!(old.platform()));
    }
    let about = &is["manifests"][2]["annotations"]["vnd.docker.reference.digest"];
    assert_eq!(*about, is["manifests"][0]["digest"]);
    assert_eq!(is["manifests"][2]["digest"], attestation["digest"]);

    // docker's lists have no attestations.
    let (docker, back, lost) = convert(&oci, "x", Family::Docker);
    assert_eq!(lost, ["/manifests/2"]);
    assert_eq!(*back.media_type(), MediaType::from(DOCKER_LIST));
    let back = value(&docker, &back);
    assert_eq!(back["manifests"].as_array().unwrap()[..], entries[..2]);

    // What was never fetched stays named, and is in nobody's way.
    let mut entry = json!(absent);
    entry["platform"] = json!({"architecture": "s390x", "os": "linux"});
    tag(&store, &index(&store, Family::Docker, &[json!(amd64), entry.clone()]), "sparse");
    let converted = Converted::new(&store, Family::Oci);
    let root = converted.resolve("sparse").unwrap();
    let is: Value = serde_json::from_slice(&converted.read(&root, 1 << 20).unwrap()).unwrap();
    assert_eq!(is["manifests"][1], entry);
    let sink = MemoryStore::new();
    let only = Platforms::Only(vec![platform::parse("linux/amd64").unwrap()]);
    content::copy(&converted, "sparse", &sink, &CopyOptions::default().platforms(only.clone())).unwrap();
    let all = content::copy(&converted, "sparse", &sink, &CopyOptions::default());
    assert!(all.unwrap_err().is_not_found());

    // Of many platforms those that are asked for are converted.
    let converted = Converted::new(&store, Family::Oci).platforms(only.clone());
    let root = converted.resolve("x").unwrap();
    let is: Value = serde_json::from_slice(&converted.read(&root, 1 << 20).unwrap()).unwrap();
    assert_eq!(is["manifests"][1], json!(arm64));
    let report = content::copy(&converted, "x", &sink, &CopyOptions::default().platforms(only)).unwrap();
    assert_eq!(*report.root.media_type(), MediaType::ImageManifest);
}

#[test]
fn what_docker_does_not_have_is_refused_or_told() {
    let store = MemoryStore::new();
    let good = image(&store, Family::Oci, "amd64");
    let zstd = put(&store, MediaType::ImageLayerZstd, b"zstd");
    let mut with_zstd = value(&store, &good);
    with_zstd["layers"][0] = json!(zstd);
    let with_zstd = put_json(&store, MediaType::ImageManifest, &with_zstd);
    let empty = put(&store, MediaType::EmptyJSON, b"{}");
    let artifact = json!({"schemaVersion": 2, "artifactType": "a/b", "config": empty, "layers": [empty]});
    let artifact = put_json(&store, MediaType::ImageManifest, &artifact);
    let nested = index(&store, Family::Oci, &[json!(index(&store, Family::Oci, &[json!(good)]))]);
    for (what, root, culprit) in [
        ("zstd", &with_zstd, zstd.digest()),
        ("artifact", &artifact, empty.digest()),
        (
            "index in index",
            &nested,
            value(&store, &nested)["manifests"][0]["digest"].as_str().unwrap().parse().as_ref().unwrap(),
        ),
    ] {
        tag(&store, root, "x");
        let (sink, converted) = (MemoryStore::new(), Converted::new(&store, Family::Docker));
        let error = content::copy(&converted, "x", &sink, &CopyOptions::default()).unwrap_err();
        assert!(
            matches!(&error, Error::UnsupportedMediaType { digest, .. } if digest == culprit),
            "{what}: {error}"
        );
        assert!(sink.resolve("x").unwrap_err().is_not_found());
        // None of it bothers the other family.
        let (_, same, _) = convert(&store, "x", Family::Oci);
        assert_eq!(same.digest(), root.digest(), "{what}");
    }

    // One image of an index that cannot go does not keep the others.
    let mut arm = json!(with_zstd);
    arm["platform"] = json!({"architecture": "arm64", "os": "linux"});
    tag(&store, &index(&store, Family::Oci, &[json!(good), arm]), "mixed");
    let (sink, converted) = (MemoryStore::new(), Converted::new(&store, Family::Docker));
    let of = |arch: &str| {
        let only = Platforms::Only(vec![platform::parse(arch).unwrap()]);
        content::copy(&converted, "mixed", &sink, &CopyOptions::default().platforms(only))
    };
    assert_eq!(*of("linux/amd64").unwrap().root.media_type(), MediaType::from(DOCKER_MANIFEST));
    let error = of("linux/arm64").unwrap_err();
    assert!(
        matches!(&error, Error::UnsupportedMediaType { digest, .. } if digest == zstd.digest()),
        "{error}"
    );

    // Members of the image-spec alone.
    let mut annotated = value(&store, &good);
    annotated["annotations"] = json!({"a": "b"});
    annotated["subject"] = json!(good);
    annotated["layers"][1]["annotations"] = json!({"a": "b"});
    annotated["config"]["data"] = json!("e30=");
    tag(&store, &put_json(&store, MediaType::ImageManifest, &annotated), "annotated");
    let (_, root, lost) = convert(&store, "annotated", Family::Docker);
    assert_eq!(lost, ["/annotations", "/subject", "/layers/1/annotations"]);
    tag(&store, &good, "good");
    let (_, expected, _) = convert(&store, "good", Family::Docker);
    assert_eq!(root.digest(), expected.digest());
}
