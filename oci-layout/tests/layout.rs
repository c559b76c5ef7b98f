//! Creating, opening, blobs and tags through the public API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use oci_digest::content::{Sink, Source, SourceExt, Store};
use oci_digest::{Algorithm, Descriptor, MediaType, digest_of};
use oci_layout::{Error, ImageLayout, LayoutOptions, SyncPolicy};

const REF_NAME: &str = "org.opencontainers.image.ref.name";

fn describe(bytes: &[u8]) -> Descriptor {
    Descriptor::new(MediaType::ImageManifest, bytes.len() as u64, digest_of(Algorithm::Sha256, bytes))
}

/// Everything below a folder but our own lock and mark.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found.retain(|name| !name.ends_with(".oci-layout/lock") && !name.ends_with(".oci-layout/unsynced"));
    found.sort();
    found
}

#[test]
fn creates_what_the_specification_says() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("a/b");
    let layout = ImageLayout::create(&path).unwrap();
    assert_eq!(layout.path(), path);
    assert_eq!(files(&path), ["index.json", "oci-layout"]);
    assert!(path.join("blobs").is_dir());
    assert_eq!(fs::read_to_string(path.join("oci-layout")).unwrap(), r#"{"imageLayoutVersion":"1.0.0"}"#);
    assert!(matches!(ImageLayout::create(&path), Err(Error::AlreadyExists { .. })));
    ImageLayout::open(&path).unwrap();
    ImageLayout::open_or_create(&path).unwrap();
    assert!(layout.tags().unwrap().is_empty());
}

#[test]
fn what_is_no_layout_says_why() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path();
    let reason = |result: Result<ImageLayout, Error>| result.unwrap_err().to_string();

    let missing = path.join("missing");
    assert!(reason(ImageLayout::open(&missing)).ends_with("is not an image layout: no such folder"));
    assert!(!missing.exists());
    fs::write(path.join("file"), "x").unwrap();
    assert!(reason(ImageLayout::open(path.join("file"))).ends_with("not a folder"));
    assert!(reason(ImageLayout::open(path)).ends_with("there is no oci-layout file"));
    assert!(
        reason(ImageLayout::open_or_create(path)).ends_with("the folder holds other files, for example file")
    );
    assert_eq!(files(path), ["file"], "nothing may be left behind");

    let layout = path.join("layout");
    fs::create_dir(&layout).unwrap();
    fs::write(layout.join("index.json"), r#"{"schemaVersion":2,"manifests":[{}]}"#).unwrap();
    assert!(reason(ImageLayout::open(&layout)).ends_with("there is an index.json, but no oci-layout file"));
    assert!(
        reason(ImageLayout::open_or_create(&layout))
            .ends_with("there is an index.json with content, but no oci-layout file")
    );
    for (text, end) in [
        (r#"{"imageLayoutVersion":"2.0.0"}"#, r#"has image layout version "2.0.0", supported is "1.0.0""#),
        ("{}", r#"at "/imageLayoutVersion": missing or not a string"#),
        ("", r#"at "": not JSON: EOF while parsing a value at line 1 column 0"#),
    ] {
        fs::write(layout.join("oci-layout"), text).unwrap();
        for opened in [ImageLayout::open(&layout), ImageLayout::open_or_create(&layout)] {
            assert!(reason(opened).ends_with(end), "{text}");
        }
    }
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    ImageLayout::open(&layout).unwrap();
    fs::remove_file(layout.join("index.json")).unwrap();
    assert!(reason(ImageLayout::open(&layout)).ends_with("there is an oci-layout file, but no index.json"));
}

#[test]
fn an_interrupted_creation_is_completed() {
    let scratch = tempfile::tempdir().unwrap();
    let whole = scratch.path().join("whole");
    ImageLayout::create(&whole).unwrap();
    for (n, missing) in [&["oci-layout"][..], &["oci-layout", "index.json"]].into_iter().enumerate() {
        let path = scratch.path().join(n.to_string());
        fs::create_dir_all(path.join("blobs")).unwrap();
        fs::create_dir_all(path.join(".oci-layout")).unwrap();
        fs::copy(whole.join("index.json"), path.join("index.json")).unwrap();
        for file in missing {
            let _ = fs::remove_file(path.join(file));
        }
        ImageLayout::open_or_create(&path).unwrap();
        ImageLayout::open(&path).unwrap();
    }
}

#[test]
fn an_index_that_is_too_large_or_no_json_says_so() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let index = layout.path().join("index.json");
    fs::write(&index, "{").unwrap();
    let error = layout.resolve("latest").unwrap_err();
    assert!(matches!(&error, Error::Document { path, .. } if *path == index), "{error}");
    assert!(layout.tag(&describe(b"x"), "x").is_err());
    assert_eq!(fs::read_to_string(&index).unwrap(), "{", "a broken index must not be overwritten");

    // Sparse, so that only a reader that ignores the cap would feel its size.
    fs::File::create(&index).unwrap().set_len(100 << 30).unwrap();
    for error in
        [ImageLayout::open(layout.path()).map(|_| ()).unwrap_err(), layout.tags().map(|_| ()).unwrap_err()]
    {
        assert!(matches!(&error, Error::Limit { path, .. } if *path == index), "{error}");
    }
}

#[test]
fn blobs_come_back_as_they_went() {
    let scratch = tempfile::tempdir().unwrap();
    for sync in [SyncPolicy::None, SyncPolicy::Group, SyncPolicy::PerBlob, SyncPolicy::Full] {
        for algorithm in Algorithm::ALL {
            let options = LayoutOptions::default().sync(sync).algorithm(algorithm);
            let layout = options.open_or_create(scratch.path().join(format!("{sync:?}"))).unwrap();
            for bytes in [&b""[..], b"hello", &vec![7; (1 << 20) + 1]] {
                let put = layout.put(MediaType::ImageLayer, bytes).unwrap();
                assert_eq!(*put.digest(), digest_of(algorithm, bytes));
                let path = layout.blob_path(put.digest()).unwrap();
                let meta = fs::metadata(&path).unwrap();
                assert_eq!((meta.permissions().mode() & 0o7777, meta.nlink()), (0o444, 1));
                let mut read = Vec::new();
                layout.get(&put).unwrap().read_to_end(&mut read).unwrap();
                assert_eq!(read, bytes);

                // The same again is the same blob, by either way.
                assert_eq!(layout.put(MediaType::ImageLayer, bytes).unwrap(), put);
                layout.ingest(&put, &bytes).unwrap();
                assert_eq!(fs::metadata(&path).unwrap().ino(), meta.ino());
                fs::remove_file(&path).unwrap();
                assert!(!layout.contains(&put).unwrap());
                layout.ingest(&put, &bytes).unwrap();
                assert_eq!(layout.read(&put, 4 << 20).unwrap(), bytes);
                assert!(layout.contains(&put).unwrap());
            }
        }
    }
    assert_eq!(files(scratch.path()).len(), 4 * (2 + 3 * 3), "{:?}", files(scratch.path()));
}

#[test]
fn ranges() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let blob = layout.put(MediaType::ImageLayer, &b"hello"[..]).unwrap();
    let range = |offset, len| {
        let mut text = String::new();
        layout.get_range(blob.digest(), offset, len).map(|mut r| r.read_to_string(&mut text).map(|_| text))
    };
    assert_eq!(range(1, 3).unwrap().unwrap(), "ell");
    assert_eq!(range(5, 0).unwrap().unwrap(), "");
    for (offset, len) in [(5, 1), (6, 0), (u64::MAX, 2)] {
        assert!(matches!(range(offset, len), Err(Error::Content { .. })), "{offset} {len}");
    }
    assert!(Source::open(&layout, &blob, 6).is_err());
    let mut text = String::new();
    Source::open(&layout, &blob, 3).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "lo");
}

#[test]
fn a_wrong_blob_is_found_and_a_broken_one_is_replaced() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let blob = layout.put(MediaType::ImageLayer, &b"hello"[..]).unwrap();
    let path = layout.blob_path(blob.digest()).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "hellp").unwrap();
    let error = layout.get(&blob).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
    assert!(matches!(oci_digest::Error::io("", error), oci_digest::Error::DigestMismatch { .. }));

    fs::write(&path, "hell").unwrap();
    let error = layout.get(&blob).unwrap_err();
    assert!(
        matches!(&error, Error::Content { source } if matches!(**source, oci_digest::Error::SizeMismatch { .. })),
        "{error}"
    );
    assert!(!layout.contains(&blob).unwrap());
    assert!(layout.location(&blob).is_none());
    for put in [true, false] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, "hell").unwrap();
        if put {
            layout.put(MediaType::ImageLayer, &b"hello"[..]).unwrap();
        } else {
            layout.ingest(&blob, &&b"hello"[..]).unwrap();
        }
        assert_eq!(layout.read(&blob, 5).unwrap(), b"hello");
    }
    assert_eq!(files(layout.path()).len(), 3, "{:?}", files(layout.path()));
}

#[test]
fn symbolic_links_and_special_files_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let outside = scratch.path().join("outside");
    let blob = describe(b"secret");
    fs::create_dir_all(outside.join("sha256")).unwrap();
    fs::write(outside.join("sha256").join(blob.digest().digest()), "secret").unwrap();
    let before = files(&outside);

    for (n, link) in
        ["blobs", "blobs/sha256", "blob", "fifo", ".oci-layout", "index.json"].into_iter().enumerate()
    {
        let layout = ImageLayout::create(scratch.path().join(n.to_string())).unwrap();
        let path = layout.path();
        match link {
            "blobs" => {
                fs::remove_dir(path.join(link)).unwrap();
                symlink(&outside, path.join(link)).unwrap();
            }
            "blobs/sha256" => symlink(outside.join("sha256"), path.join(link)).unwrap(),
            "blob" | "fifo" => {
                fs::create_dir(path.join("blobs/sha256")).unwrap();
                let name = layout.blob_path(blob.digest()).unwrap();
                if link == "blob" {
                    symlink(outside.join("sha256").join(blob.digest().digest()), name).unwrap();
                } else {
                    let mode = rustix::fs::Mode::from_raw_mode(0o666);
                    rustix::fs::mknodat(rustix::fs::CWD, name, rustix::fs::FileType::Fifo, mode, 0).unwrap();
                }
            }
            ".oci-layout" => {
                fs::remove_dir_all(path.join(link)).unwrap();
                symlink(&outside, path.join(link)).unwrap();
                assert!(matches!(layout.put(MediaType::ImageLayer, &b"x"[..]), Err(Error::Refused { .. })));
                assert!(matches!(layout.tag(&blob, "x"), Err(Error::Refused { .. })));
                continue;
            }
            _ => {
                fs::rename(path.join(link), outside.join("../index.json")).unwrap();
                symlink(outside.join("../index.json"), path.join(link)).unwrap();
                assert!(matches!(layout.tags(), Err(Error::Refused { .. })));
                assert!(matches!(ImageLayout::open(path), Err(Error::Refused { .. })));
                continue;
            }
        }
        assert!(matches!(layout.get(&blob), Err(Error::Refused { .. })), "{link}");
        assert!(Source::open(&layout, &blob, 0).is_err(), "{link}");
        if link.starts_with("blobs") {
            assert!(
                matches!(layout.put(MediaType::ImageLayer, &b"x"[..]), Err(Error::Refused { .. })),
                "{link}"
            );
            assert!(layout.ingest(&blob, &&b"secret"[..]).is_err(), "{link}");
            assert!(layout.remove(blob.digest()).is_err(), "{link}");
        } else {
            // What is in the way of a blob is replaced, not followed.
            layout.ingest(&blob, &&b"secret"[..]).unwrap();
            assert_eq!(layout.read(&blob, 9).unwrap(), b"secret");
        }
    }
    assert_eq!(files(&outside), before);
}

#[test]
fn tags_move_and_go() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let (one, two) = (describe(b"{\"n\":1}"), describe(b"{\"n\":2}"));
    layout.publish(&one, b"{\"n\":1}", &["a", "b"]).unwrap();
    layout.publish(&two, b"{\"n\":2}", &["b", "c"]).unwrap();
    assert_eq!(layout.tags().unwrap(), ["a", "b", "c"]);
    assert_eq!(layout.resolve("a").unwrap().digest(), one.digest());
    assert_eq!(layout.resolve("b").unwrap().digest(), two.digest());
    assert_eq!(layout.roots().unwrap().len(), 3);
    assert!(layout.untag("b").unwrap());
    assert!(!layout.untag("b").unwrap());
    assert!(layout.resolve("b").unwrap_err().is_not_found());
    assert!(layout.remove(two.digest()).unwrap());
    assert!(!layout.remove(two.digest()).unwrap());
    assert_eq!(Store::tags(&layout).unwrap(), ["a"]);
    assert!(layout.resolve(two.digest().as_ref()).unwrap_err().is_not_found());
    assert!(matches!(layout.tag(&one, "no tag"), Err(Error::InvalidTag { .. })));

    // A wrong manifest is neither stored nor named.
    assert!(layout.publish(&two, b"{\"n\":3}", &["bad"]).is_err());
    assert!(layout.publish(&one, b"{\"n\":3}", &["bad"]).is_err(), "also when the right one is there");
    assert!(!layout.has(&two).unwrap());
    assert_eq!(layout.tags().unwrap(), ["a"]);
}

#[test]
fn an_edit_keeps_what_it_does_not_know() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let index = layout.path().join("index.json");
    let blob = describe(b"one");
    let entry = |tag: &str, digest: &str| {
        format!(
            r#"{{"zzz":{{"b":1,"a":[null,1.5]}},"mediaType":"application/x","digest":"{digest}","size":3,"annotations":{{"y":"1","{REF_NAME}":"{tag}"}}}}"#
        )
    };
    let other = entry("other", "sha256:0000000000000000000000000000000000000000000000000000000000000000");
    let (same, unknown) = (entry("same", blob.digest().as_ref()), r#"{"digest":"not one"}"#);
    let text = |middle: &str| {
        format!(
            r#"{{"x-first":true,"schemaVersion":2,"manifests":[{other},{middle}{same},{unknown}],"x-last":{{}}}}"#
        )
    };
    fs::write(&index, text(&format!("{},", entry("gone", "sha256:x")))).unwrap();

    assert!(layout.untag("gone").unwrap());
    assert_eq!(fs::read_to_string(&index).unwrap(), text(""));
    // Retagging the same content changes nothing, not even the file.
    let before = fs::metadata(&index).unwrap().ino();
    layout.tag(&blob, "same").unwrap();
    assert_eq!(fs::metadata(&index).unwrap().ino(), before);
    layout.tag(&blob, "new").unwrap();
    assert!(layout.untag("new").unwrap());
    assert_eq!(fs::read_to_string(&index).unwrap(), text(""));
    assert_eq!(layout.tags().unwrap(), ["other", "same"]);

    let edited = layout.edit_index(|value| {
        value["annotations"] = serde_json::json!({"k": "v"});
        Ok(true)
    });
    assert!(edited.unwrap());
    assert!(fs::read_to_string(&index).unwrap().ends_with(r#""x-last":{},"annotations":{"k":"v"}}"#));
}

#[test]
fn duplicate_tags_are_listed_and_retagging_ends_them() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    let (one, two, three) = (describe(b"1"), describe(b"2"), describe(b"3"));
    for (blob, tag) in [(&one, "x"), (&two, "y"), (&three, "z")] {
        layout.tag(blob, tag).unwrap();
    }
    layout
        .edit_index(|value| {
            value["manifests"][2]["annotations"][REF_NAME] = "x".into();
            Ok(true)
        })
        .unwrap();
    let named =
        |tag: &str| -> Vec<_> { layout.named(tag).unwrap().iter().map(|d| d.digest().clone()).collect() };
    assert_eq!(named("x"), [one.digest().clone(), three.digest().clone()]);
    assert_eq!(layout.tags().unwrap(), ["x", "y"]);
    assert_eq!(layout.resolve("x").unwrap().digest(), one.digest());
    layout.tag(&three, "x").unwrap();
    assert_eq!(named("x"), [three.digest().clone()]);
    assert_eq!(layout.roots().unwrap().len(), 2);
    assert_eq!(layout.roots().unwrap()[0].digest(), three.digest(), "the tag stays where it was");
}

#[test]
fn what_is_not_synced_waits_for_the_next_barrier() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("a/b/layout");
    let open = |sync| LayoutOptions::default().sync(sync).open_or_create(&path).unwrap();
    let waits = || path.join(".oci-layout/unsynced").exists();
    for (puts, tags, waits_after) in [
        (SyncPolicy::PerBlob, SyncPolicy::None, None),
        (SyncPolicy::Full, SyncPolicy::None, None),
        (SyncPolicy::Group, SyncPolicy::None, Some(true)),
        (SyncPolicy::Group, SyncPolicy::Group, Some(false)),
        // What others put counts as much.
        (SyncPolicy::None, SyncPolicy::PerBlob, Some(false)),
        (SyncPolicy::Group, SyncPolicy::Full, Some(false)),
    ] {
        let text = format!("{puts:?} {tags:?}");
        let blob = open(puts).put(MediaType::ImageManifest, text.as_bytes()).unwrap();
        assert_eq!(waits(), waits_after.is_some(), "{text}");
        open(tags).tag(&blob, "x").unwrap();
        assert_eq!(waits(), waits_after.unwrap_or(false), "{text}");
    }
}
