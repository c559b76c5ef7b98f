//! Resolving by platform: entries side by side, indexes, indexes in indexes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use oci_digest::content::Sink;
use oci_digest::platform::parse;
use oci_digest::{Algorithm, Descriptor, MediaType, digest_of};
use oci_layout::{Error, ImageLayout, LayoutOptions};
use serde_json::json;

/// An image of which the descriptor alone matters, and its platform.
fn image(platform: Option<&str>) -> Descriptor {
    let bytes = platform.unwrap_or("none").as_bytes();
    let digest = digest_of(Algorithm::Sha256, bytes);
    let mut descriptor = Descriptor::new(MediaType::ImageManifest, bytes.len() as u64, digest);
    descriptor.set_platform(platform.map(|platform| parse(platform).unwrap()));
    descriptor
}

fn index(layout: &ImageLayout, tags: &[&str], children: &[&Descriptor]) -> Descriptor {
    let bytes = json!({"schemaVersion": 2, "manifests": children}).to_string().into_bytes();
    let digest = digest_of(Algorithm::Sha256, &bytes);
    let descriptor = Descriptor::new(MediaType::ImageIndex, bytes.len() as u64, digest);
    layout.publish(&descriptor, &bytes, tags).unwrap();
    descriptor
}

fn resolved(layout: &ImageLayout, name: &str, platform: &str) -> Result<Descriptor, Error> {
    layout.resolve_platform(name, &parse(platform).unwrap())
}

#[test]
fn images_are_found_in_indexes_and_side_by_side() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = LayoutOptions::default().max_depth(3).create(scratch.path().join("l")).unwrap();
    let (amd, v3, arm, any) = (
        image(Some("linux/amd64")),
        image(Some("linux/amd64/v3")),
        image(Some("linux/arm64/v8")),
        image(None),
    );

    let flat = index(&layout, &["flat"], &[&amd, &v3, &arm]);
    index(&layout, &["nested"], &[&flat]);
    layout.tag(&any, "any").unwrap();
    // Two entries with one name, as tools write that list platforms in index.json itself.
    layout.tag(&amd, "side").unwrap();
    layout.tag(&arm, "by").unwrap();
    layout
        .edit_index(|value| {
            let last = value["manifests"].as_array_mut().unwrap().last_mut().unwrap();
            last["annotations"]["org.opencontainers.image.ref.name"] = "side".into();
            Ok(true)
        })
        .unwrap();

    for name in ["flat", "nested", flat.digest().as_ref()] {
        for (platform, expected) in
            [("linux/amd64", &amd), ("linux/amd64/v2", &amd), ("linux/amd64/v4", &v3), ("linux/arm64", &arm)]
        {
            assert_eq!(resolved(&layout, name, platform).unwrap(), *expected, "{name} {platform}");
        }
    }
    assert_eq!(resolved(&layout, "side", "linux/amd64").unwrap().digest(), amd.digest());
    assert_eq!(resolved(&layout, "side", "linux/arm64").unwrap().digest(), arm.digest());
    assert_eq!(resolved(&layout, "any", "linux/riscv64").unwrap().digest(), any.digest());

    let error = resolved(&layout, "flat", "windows/amd64").unwrap_err();
    assert!(error.to_string().starts_with("no image for platform windows/amd64; available: "), "{error}");
    assert!(resolved(&layout, "missing", "linux/amd64").unwrap_err().is_not_found());

    // An index that is named and not there is told; one of several platforms may be missing.
    index(&layout, &["partly"], &[&image(Some("linux/s390x")), &index(&layout, &["gone"], &[&arm]), &amd]);
    let gone = layout.resolve("gone").unwrap();
    std::fs::remove_file(layout.blob_path(gone.digest()).unwrap()).unwrap();
    assert!(resolved(&layout, "gone", "linux/arm64").unwrap_err().is_not_found());
    assert_eq!(resolved(&layout, "partly", "linux/amd64").unwrap(), amd);

    let mut deep = flat;
    for _ in 0..4 {
        deep = index(&layout, &["deep"], &[&deep]);
    }
    assert!(matches!(resolved(&layout, "deep", "linux/amd64"), Err(Error::Limit { .. })));
}
