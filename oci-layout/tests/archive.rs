//! Archives and flat folders through the public API: the content traits' contract, and archives nobody should trust.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Cursor, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use oci_digest::content::{self, CopyOptions, MemoryStore, Sink, Source, SourceExt, Store};
use oci_digest::media_type::{Compression, Kind, Layer};
use oci_digest::{Algorithm, Descriptor, MediaType, conformance, digest_of, platform};
use oci_layout::ImageLayout;
use oci_layout::archive::{
    ArchiveOptions, DockerArchive, DockerArchiveWriter, FlatImage, OciArchive, OciArchiveWriter,
};
use oci_layout::edit::{Artifact, Family, ImageEdit, IndexEdit, LayerAddition};

/// What stands for decompression here: two bytes of gzip's magic in front are taken away.
fn fake(mut reader: Box<dyn Read + Send + '_>) -> std::io::Result<Box<dyn Read + Send + '_>> {
    let mut magic = [0; 2];
    reader.read_exact(&mut magic)?;
    match magic {
        [0x1f, 0x8b] => Ok(reader),
        _ => Err(std::io::Error::other("no magic")),
    }
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    [&[0x1f, 0x8b], bytes].concat()
}

fn options() -> ArchiveOptions {
    ArchiveOptions::default().decompress(fake)
}

fn put(sink: &dyn Sink, media_type: MediaType, bytes: &[u8]) -> Descriptor {
    let digest = digest_of(Algorithm::Sha256, bytes);
    let descriptor = Descriptor::new(media_type, bytes.len() as u64, digest);
    sink.ingest(&descriptor, &bytes).unwrap();
    descriptor
}

/// An image with a plain and a compressed layer.
fn image(store: &dyn Sink, text: &str, tags: &[&str]) -> Descriptor {
    let mut edit = ImageEdit::new(Family::Oci, &platform::host());
    let plain = put(store, MediaType::ImageLayer, text.as_bytes());
    edit.append_layer(LayerAddition::new(plain.clone(), plain.digest().clone())).unwrap();
    let inside = text.repeat(1000);
    let gzip = put(store, MediaType::ImageLayerGzip, &packed(inside.as_bytes()));
    let diff_id = digest_of(Algorithm::Sha256, inside.as_bytes());
    edit.append_layer(LayerAddition::new(gzip, diff_id)).unwrap();
    edit.config_mut().unwrap().label("text", text);
    edit.commit(store, tags).unwrap()
}

/// A stream whose bytes can be looked at when it is written.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

fn copy_all(from: &MemoryStore, to: &dyn Sink) -> oci_digest::Result<()> {
    for tag in from.tags()? {
        content::copy(from, &tag, to, &CopyOptions::default())?;
    }
    Ok(())
}

#[test]
fn an_oci_archive_is_a_source() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("a.tar");
    conformance::source(|store| {
        let writer = OciArchiveWriter::create(&path, &options())?;
        copy_all(store, &writer)?;
        writer.finish()?;
        Ok(OciArchive::open(&path, &options())?)
    })
    .unwrap();
    // And by a pipe, compressed as a whole.
    conformance::source(|store| {
        let shared = Shared::default();
        let writer = OciArchiveWriter::stream(shared.clone(), &options())?;
        copy_all(store, &writer)?;
        writer.finish()?;
        Ok(OciArchive::read(&*packed(&shared.bytes()), &options())?)
    })
    .unwrap();
}

#[test]
fn writers_keep_a_sinks_contract() {
    let scratch = tempfile::tempdir().unwrap();
    let n = AtomicUsize::new(0);
    let path = || scratch.path().join(n.fetch_add(1, Ordering::Relaxed).to_string());
    conformance::sink(|| Ok(OciArchiveWriter::create(path(), &options())?)).unwrap();
    conformance::sink(|| Ok(OciArchiveWriter::stream(std::io::sink(), &options())?)).unwrap();
    conformance::sink(|| Ok(DockerArchiveWriter::create(path(), &options())?)).unwrap();
    conformance::sink(|| Ok(FlatImage::create(path())?)).unwrap();
    let left = std::fs::read_dir(scratch.path()).unwrap().filter(|e| e.as_ref().unwrap().path().is_file());
    assert_eq!(left.count(), 0, "an archive that was not finished leaves nothing");
}

#[test]
fn an_index_with_its_referrers_goes_through_an_oci_archive() {
    let store = MemoryStore::new();
    let arm = image(&store, "arm", &["arm"]);
    let mut edit = IndexEdit::new(Family::Oci);
    edit.add_image(&content::image(&store, "arm", None).unwrap()).unwrap();
    let index = edit.commit(&store, &["multi"]).unwrap();
    let signature = Artifact::new("application/vnd.sig").subject(arm.clone()).commit(&store, &[]).unwrap();

    let scratch = tempfile::tempdir().unwrap();
    let layout = ImageLayout::create(scratch.path().join("l")).unwrap();
    content::copy(&store, "multi", &layout, &CopyOptions::default().referrers(true)).unwrap();
    let shared = Shared::default();
    let writer = OciArchiveWriter::stream(shared.clone(), &options()).unwrap();
    // Out of a layout, whose files go straight in.
    let report = content::copy(&layout, "multi", &writer, &CopyOptions::default().referrers(true)).unwrap();
    assert!(report.adopted > 0, "{report:?}");
    writer.finish().unwrap();
    let path = scratch.path().join("a.tar");
    std::fs::write(&path, shared.bytes()).unwrap();

    let archive = OciArchive::open(&path, &options()).unwrap();
    assert_eq!(archive.tags(), ["multi"]);
    let listed = archive.referrers(arm.digest(), None).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].digest(), signature.digest());
    let again = MemoryStore::new();
    content::copy(&archive, "multi", &again, &CopyOptions::default().referrers(true)).unwrap();
    assert_eq!(again.resolve("multi").unwrap().digest(), index.digest());
    assert_eq!(again.contents().len(), store.contents().len());
    // The same content gives the same bytes.
    let other = Shared::default();
    let writer = OciArchiveWriter::stream(other.clone(), &options()).unwrap();
    let one_job = CopyOptions::default().referrers(true).jobs(1);
    content::copy(&again, "multi", &writer, &one_job).unwrap();
    writer.finish().unwrap();
    let third = Shared::default();
    let writer = OciArchiveWriter::stream(third.clone(), &options()).unwrap();
    content::copy(&again, "multi", &writer, &one_job).unwrap();
    writer.finish().unwrap();
    assert_eq!(other.bytes(), third.bytes());
}

#[test]
fn what_stands_under_the_name_stays_until_the_archive_is_finished() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("a.tar");
    std::fs::write(&path, "before").unwrap();
    let store = MemoryStore::new();
    image(&store, "x", &["x"]);
    let writer = DockerArchiveWriter::create(&path, &options()).unwrap();
    content::copy(&store, "x", &writer, &CopyOptions::default()).unwrap();
    drop(writer);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
    let writer = OciArchiveWriter::create(&path, &options()).unwrap();
    writer.finish().unwrap();
    assert!(OciArchive::open(&path, &options()).unwrap().tags().is_empty());
}

#[test]
fn images_go_through_a_docker_archive_and_come_out_uncompressed() {
    let store = MemoryStore::new();
    image(&store, "one", &["one"]);
    image(&store, "two", &["two"]);
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("d.tar");
    let writer = DockerArchiveWriter::create(&path, &options()).unwrap();
    let named = |tags: &[&str]| CopyOptions::default().tags(tags.iter().copied());
    content::copy(&store, "one", &writer, &named(&["example.org/one:1", "moves"])).unwrap();
    content::copy(&store, "two", &writer, &named(&["two", "moves:latest"])).unwrap();
    writer.finish().unwrap();

    let archive = DockerArchive::open(&path, &options()).unwrap();
    assert_eq!(
        archive.tags(),
        ["docker.io/library/moves:latest", "docker.io/library/two:latest", "example.org/one:1"]
    );
    assert_eq!(archive.roots().count(), 2);
    let second = archive.resolve("@1").unwrap();
    for name in ["two", "docker.io/library/two:latest", "moves", second.digest().as_ref()] {
        assert_eq!(archive.resolve(name).unwrap(), second, "{name}");
    }
    for name in ["", "none", "@2", "@x", "two:1", &format!("sha256:{}", "0".repeat(64))] {
        assert!(archive.resolve(name).unwrap_err().is_not_found(), "{name}");
    }
    let out = MemoryStore::new();
    content::copy(&archive, "two", &out, &CopyOptions::default().tags(["t"])).unwrap();
    let before = content::image(&store, "two", None).unwrap();
    let after = content::image(&out, "t", None).unwrap();
    assert_eq!(before.config.bytes(), after.config.bytes(), "the config stays its bytes");
    for (layer, expected) in after.layers().unwrap().iter().zip(before.layers().unwrap()) {
        assert_eq!(layer.diff_id, expected.diff_id);
        assert_eq!(*layer.descriptor.digest(), expected.diff_id);
        let plain = Kind::Layer(Layer { compression: Compression::None, distributable: true });
        assert_eq!(Kind::of(layer.descriptor.media_type()), plain);
    }
    // Without decompression the layers stay as they are, and come back as the same blobs.
    let shared = Shared::default();
    let writer = DockerArchiveWriter::stream(shared.clone(), &ArchiveOptions::default());
    content::copy(&store, "one", &writer, &named(&[])).unwrap();
    writer.finish().unwrap();
    let archive = DockerArchive::read(&*shared.bytes(), &ArchiveOptions::default()).unwrap();
    let out = MemoryStore::new();
    content::copy(&archive, "", &out, &CopyOptions::default().tags(["t"])).unwrap();
    let image = content::image(&out, "t", None).unwrap();
    let before = content::image(&store, "one", None).unwrap();
    assert_eq!(image.manifest.view().layers(), before.manifest.view().layers());
}

#[test]
fn a_docker_archive_holds_images_only() {
    let store = MemoryStore::new();
    image(&store, "a", &["a"]);
    let mut index = IndexEdit::new(Family::Oci);
    index.add_image(&content::image(&store, "a", None).unwrap()).unwrap();
    index.commit(&store, &["index"]).unwrap();
    Artifact::new("application/vnd.x").commit(&store, &["artifact"]).unwrap();
    let writer = DockerArchiveWriter::stream(std::io::sink(), &options());
    for name in ["index", "artifact"] {
        let error = content::copy(&store, name, &writer, &CopyOptions::default()).unwrap_err();
        assert!(matches!(error, oci_digest::Error::UnsupportedMediaType { .. }), "{name}: {error}");
    }
    // A config that speaks of other layers.
    let mut edit = ImageEdit::open(&store, "a", None).unwrap();
    let other = digest_of(Algorithm::Sha256, b"other");
    edit.config_mut().unwrap().set("/rootfs/diff_ids/1", other.as_ref().into()).unwrap();
    edit.commit(&store, &["lies"]).unwrap();
    let error = content::copy(&store, "lies", &writer, &CopyOptions::default()).unwrap_err();
    assert!(error.to_string().contains("/rootfs/diff_ids/1"), "{error}");
}

#[test]
fn a_flat_folder_holds_one_image_or_index() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("dir");
    let store = MemoryStore::new();
    image(&store, "a", &["a"]);
    let mut index = IndexEdit::new(Family::Oci);
    index.add_image(&content::image(&store, "a", None).unwrap()).unwrap();
    let root = index.commit(&store, &["index"]).unwrap();
    for name in ["a", "index"] {
        let flat = FlatImage::create(&path).unwrap();
        content::copy(&store, name, &flat, &CopyOptions::default()).unwrap();
        let flat = FlatImage::open(&path).unwrap();
        let again = MemoryStore::new();
        content::copy(&flat, "", &again, &CopyOptions::default().tags(["t"])).unwrap();
        assert_eq!(again.resolve("t").unwrap().digest(), store.resolve(name).unwrap().digest());
    }
    let flat = FlatImage::open(&path).unwrap();
    assert_eq!(flat.resolve("").unwrap().digest(), root.digest());
    for descriptor in store.contents() {
        let named = flat.resolve(descriptor.digest().as_ref()).unwrap();
        assert_eq!(named.size(), descriptor.size());
        assert_eq!(flat.read(&named, 1 << 20).unwrap(), store.read(&descriptor, 1 << 20).unwrap());
    }
    // Its files are adopted by a layout as those of another layout are.
    let layout =
        oci_layout::LayoutOptions::default().hard_links(true).create(scratch.path().join("l")).unwrap();
    let report = content::copy(&flat, "", &layout, &CopyOptions::default().tags(["t"])).unwrap();
    assert!(report.adopted > 0, "{report:?}");

    let version = std::fs::read_to_string(path.join("version")).unwrap();
    assert_eq!(version, "Directory Transport Version: 1.1\n");
    let other = scratch.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("mine"), "x").unwrap();
    assert!(FlatImage::create(&other).is_err());
    assert!(FlatImage::open(&other).is_err());
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
}

// What follows are archives that nobody should trust.

struct Member<'m> {
    name: &'m str,
    kind: tar::EntryType,
    data: &'m [u8],
    link: &'m str,
}

fn file<'m>(name: &'m str, data: &'m [u8]) -> Member<'m> {
    Member { name, kind: tar::EntryType::Regular, data, link: "" }
}

fn link<'m>(name: &'m str, target: &'m str) -> Member<'m> {
    Member { name, kind: tar::EntryType::Symlink, data: b"", link: target }
}

fn tar_of(members: &[Member<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for member in members {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(member.kind);
        header.set_size(member.data.len() as u64);
        header.set_mode(0o644);
        if member.link.is_empty() {
            builder.append_data(&mut header, member.name, member.data).unwrap();
        } else {
            builder.append_link(&mut header, member.name, member.link).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn docker(bytes: &[u8]) -> Result<DockerArchive, oci_layout::Error> {
    DockerArchive::read(Cursor::new(bytes), &options())
}

const CONFIG: &[u8] = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"]}}"#;

#[test]
fn archives_of_every_docker_are_read() {
    let manifest = |config: &str, layer: &str| {
        format!(
            r#"[{{"Config":"{config}","RepoTags":null,"Layers":["{layer}"],"Parent":"x","LayerSources":{{}}}}]"#
        )
    };
    let old = manifest("c.json", "aa/layer.tar");
    let new = manifest("blobs/sha256/c", "blobs/sha256/l");
    let long = format!("{}/layer.tar", "x".repeat(180));
    let long_name = manifest("c.json", &long);
    for (what, members) in [
        (
            "1.10",
            vec![file("aa/layer.tar", b"foo"), file("c.json", CONFIG), file("manifest.json", old.as_bytes())],
        ),
        (
            "a layer that is a link",
            vec![
                link("aa/layer.tar", "../bb/layer.tar"),
                file("./bb/layer.tar", b"foo"),
                file("c.json", CONFIG),
                file("manifest.json", old.as_bytes()),
            ],
        ),
        (
            "25",
            vec![
                file("blobs/sha256/c", CONFIG),
                file("blobs/sha256/l", b"foo"),
                file("index.json", b"{}"),
                file("manifest.json", new.as_bytes()),
                file("oci-layout", b"{}"),
            ],
        ),
        (
            "a long name, and the same member twice over",
            vec![file(&long, b"foo"), file("c.json", CONFIG), file("manifest.json", long_name.as_bytes())],
        ),
    ] {
        let archive = docker(&tar_of(&members)).unwrap_or_else(|e| panic!("{what}: {e}"));
        let out = MemoryStore::new();
        content::copy(&archive, "", &out, &CopyOptions::default().tags(["t"])).unwrap();
        let image = content::image(&out, "t", None).unwrap();
        assert_eq!(out.read(&image.layers().unwrap()[0].descriptor, 10).unwrap(), b"foo", "{what}");
        assert_eq!(image.config.bytes(), CONFIG, "{what}");
    }
}

#[test]
fn archives_that_can_be_read_in_two_ways_or_lead_out_are_refused() {
    let manifest = br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l.tar"]}]"#;
    let with = |members: Vec<Member<'_>>| {
        let mut all = vec![file("c.json", CONFIG), file("manifest.json", manifest)];
        all.extend(members);
        tar_of(&all)
    };
    let good = with(vec![file("l.tar", b"foo")]);
    let mut cut = good.clone();
    cut.truncate(512 * 5 + 1);
    let mut wrong_sum = good.clone();
    wrong_sum[1024 + 3] ^= 1;
    let mut endless = with(vec![file("l.tar", b"foo")]);
    // The last member claims 8 GiB.
    let at = endless.len() - 1024 - 1024;
    endless[at + 124..at + 136].copy_from_slice(b"77777777777\0");
    let sum: u32 = endless[at..at + 512]
        .iter()
        .enumerate()
        .map(|(n, byte)| if (148..156).contains(&n) { 32 } else { u32::from(*byte) })
        .sum();
    endless[at + 148..at + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let long_name = "n/".repeat(1 << 20);
    for (what, bytes, reason) in [
        ("no tar", b"what is this, surely not a tar archive".repeat(40), "no tar archive"),
        ("empty", Vec::new(), "manifest.json: it is missing"),
        ("cut off", cut, "it ends within"),
        ("a damaged header", wrong_sum, "damaged after 1 members"),
        ("a size beyond the end", endless, "it ends within l.tar"),
        ("no layer", with(vec![]), "l.tar: manifest.json names it, and it is missing"),
        ("a member twice", with(vec![file("l.tar", b"foo"), file("./l.tar", b"bar")]), "more than once"),
        (
            "the manifest twice",
            with(vec![file("l.tar", b"foo"), file("manifest.json", b"[]")]),
            "more than once",
        ),
        ("a link out", with(vec![link("l.tar", "../../etc/passwd")]), "not a plain file"),
        ("a link to nothing", with(vec![link("l.tar", "/etc/passwd")]), "link to what is not in the archive"),
        ("a circle", with(vec![link("l.tar", "m.tar"), link("m.tar", "l.tar")]), "in a circle"),
        (
            "a device",
            with(vec![Member { name: "l.tar", kind: tar::EntryType::Char, data: b"", link: "" }]),
            "not a plain file",
        ),
        ("an endless name", with(vec![file(&long_name, b"foo")]), "too long"),
        ("xz", [&b"\xfd7zXZ\0"[..], &[0; 600]].concat(), "compressed with xz"),
        ("an xz layer", with(vec![file("l.tar", b"\xfd7zXZ\0")]), "l.tar: it is compressed with xz"),
        ("no JSON", tar_of(&[file("manifest.json", b"{}")]), "not what docker writes"),
        (
            "fewer layers than diff ids",
            tar_of(&[file("c.json", CONFIG), file("manifest.json", br#"[{"Config":"c.json"}]"#)]),
            "0 layers and 1 diff ids",
        ),
        ("before 1.10", tar_of(&[file("repositories", b"{}")]), "docker before 1.10"),
    ] {
        let error = docker(&bytes).err().unwrap_or_else(|| panic!("{what} was taken")).to_string();
        assert!(error.contains(reason), "{what}: {error}");
    }
    docker(&good).unwrap();

    // A layer that is not what the config says is the sink's to refuse.
    let archive = docker(&with(vec![file("l.tar", b"bar")])).unwrap();
    let out = MemoryStore::new();
    let error = content::copy(&archive, "a:1", &out, &CopyOptions::default().tags(["t"])).unwrap_err();
    assert!(matches!(error, oci_digest::Error::DigestMismatch { .. }), "{error}");
    assert!(out.resolve("t").is_err());

    // Names are kept, so that they are limited together, too.
    let half = "n".repeat(400_000);
    let names: Vec<String> = (0..200).map(|n| format!("{n}/{half}")).collect();
    let many: Vec<Member<'_>> = names.iter().map(|name| file(name, b"")).collect();
    assert!(docker(&tar_of(&many)).unwrap_err().to_string().contains("bytes of names"));

    let few = ArchiveOptions::default().max_members(2);
    assert!(DockerArchive::read(&*good, &few).unwrap_err().to_string().contains("limit of 2 members"));
    let small = ArchiveOptions::default().max_spool_bytes(1000);
    assert!(DockerArchive::read(&*good, &small).unwrap_err().to_string().contains("limit of 1000 bytes"));
    let packed = packed(&good);
    assert!(DockerArchive::read(&*packed, &options()).is_ok());
    let error = DockerArchive::read(&*packed, &ArchiveOptions::default()).unwrap_err();
    assert!(error.to_string().contains("compressed with gzip"), "{error}");
}

#[test]
fn what_is_no_oci_archive_says_why() {
    let version = br#"{"imageLayoutVersion":"1.0.0"}"#;
    for (members, reason) in [
        (vec![], "oci-layout: it is missing"),
        (vec![file("oci-layout", b"{}")], "has image layout version"),
        (vec![file("oci-layout", b"x")], "oci-layout: it is not JSON"),
        (vec![file("oci-layout", br#"{"imageLayoutVersion":"2"}"#)], "version \"2\""),
        (vec![file("oci-layout", version)], "index.json: it is missing"),
        (vec![file("oci-layout", version), file("index.json", b"[]")], "not an object"),
    ] {
        let error = OciArchive::read(&*tar_of(&members), &options()).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
    assert!(OciArchive::open("/nonexistent/a.tar", &options()).is_err());
    assert!(OciArchive::open(Path::new("/"), &options()).is_err());
}

#[test]
fn a_cut_stream_is_no_archive() {
    let store = MemoryStore::new();
    image(&store, "x", &["x"]);
    let shared = Shared::default();
    let writer = OciArchiveWriter::stream(shared.clone(), &options()).unwrap();
    content::copy(&store, "x", &writer, &CopyOptions::default()).unwrap();
    writer.finish().unwrap();
    let whole = shared.bytes();
    // Whatever is cut off, there is an error or the same image, never another or a panic.
    for end in (0..whole.len()).step_by(97) {
        let Ok(archive) = OciArchive::read(&whole[..end], &options()) else { continue };
        let out = MemoryStore::new();
        content::copy(&archive, "x", &out, &CopyOptions::default()).unwrap();
        assert_eq!(out.resolve("x").unwrap(), store.resolve("x").unwrap());
    }
    // Whichever byte is changed.
    for at in (0..whole.len()).step_by(31) {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        let Ok(archive) = OciArchive::read(&*changed, &options()) else { continue };
        let out = MemoryStore::new();
        if content::copy(&archive, "x", &out, &CopyOptions::default()).is_ok() {
            assert_eq!(out.resolve("x").unwrap().digest(), store.resolve("x").unwrap().digest());
        }
    }
}
