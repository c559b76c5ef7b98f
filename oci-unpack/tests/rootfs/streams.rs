//! Compressed streams, down to the tree: what is odd is told, what is not supported is named.

use std::io::Write as _;

use oci_unpack::UnpackOptions;
use oci_unpack::compression::Compression;

use super::image::{Image, compressed};
use super::layer::{archive, file};
use super::{Room, message, tree};

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

fn layer() -> Vec<u8> {
    archive(&[file("f", "content")])
}

fn image(media_type: &str, blob: Vec<u8>) -> Image {
    let mut image = Image::new();
    image.add(media_type, blob, &layer());
    image
}

/// Unpacks as it should be, with so many warnings; with any, strict mode refuses.
fn accepted(what: &str, image: &Image, warnings: u64) {
    let room = Room::new();
    let report = image.unpack(&room.destination(), &UnpackOptions::default()).expect(what);
    assert_eq!(tree::show(&room.destination(), super::is_root()), "f =content", "{what}");
    assert_eq!(report.warnings, warnings, "{what}");
    room.check_neighbours(what);
    let room = Room::new();
    let strict = image.unpack(&room.destination(), &UnpackOptions::default().strict(true));
    assert_eq!(strict.is_err(), warnings > 0, "{what}: {strict:?}");
    assert_eq!(room.destination().exists(), warnings == 0, "{what}");
    room.check_neighbours(what);
}

fn refused(what: &str, image: &Image, part: &str) {
    let room = Room::new();
    let error = image.unpack(&room.destination(), &UnpackOptions::default()).expect_err(what);
    assert!(message(&error).contains(part), "{what}: {}", message(&error));
    assert!(!room.destination().exists(), "{what}");
    room.check_neighbours(what);
}

/// Rows 135 and 137.
#[test]
fn gzip() {
    let mut every_field = flate2::GzBuilder::new()
        .extra(vec![7; 1000])
        .filename("name")
        .comment("comment")
        .write(Vec::new(), flate2::Compression::fast());
    every_field.write_all(&layer()).unwrap();
    accepted("extra, name and comment", &image(GZIP, every_field.finish().unwrap()), 0);

    let layer = layer();
    let (one, two) = layer.split_at(700);
    let gzip = |bytes: &[u8]| compressed(bytes, Compression::Gzip);
    accepted("two members", &image(GZIP, [gzip(one), gzip(two)].concat()), 0);
    accepted("zeros behind it", &image(GZIP, [gzip(&layer), vec![0; 5000]].concat()), 0);
    accepted("garbage behind it", &image(GZIP, [gzip(&layer), b"garbage".to_vec()].concat()), 1);
    refused("a cut trailer", &image(GZIP, gzip(&layer)[..gzip(&layer).len() - 1].to_vec()), "cut");
    let mut wrong = gzip(&layer);
    let sum = wrong.len() - 8;
    wrong[sum] ^= 1;
    refused("a wrong trailer", &image(GZIP, wrong), "gzip");
}

/// A frame with a window of a power of two, with the archive as one raw block.
fn zstd_frame(window_log: u8) -> Vec<u8> {
    let layer = layer();
    // RFC 8878, 3.1.1: magic, descriptor (no single segment, no size, no checksum), window; last block, raw.
    let block = ((layer.len() as u32) << 3 | 1).to_le_bytes();
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3][..], &block[..3], &layer].concat()
}

/// Row 140.
#[test]
fn zstd() {
    accepted("a window of 128 MiB", &image(ZSTD, zstd_frame(27)), 0);
    refused("a window of 2 GiB", &image(ZSTD, zstd_frame(31)), "zstd");
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"extra"].concat();
    let layer = layer();
    let (one, two) = layer.split_at(700);
    let zstd = |bytes: &[u8]| compressed(bytes, Compression::Zstd);
    let frames = [skippable.clone(), zstd(one), skippable.clone(), zstd(two), skippable].concat();
    accepted("frames, and frames to be skipped", &image(ZSTD, frames), 0);
    refused("garbage behind it", &image(ZSTD, [zstd(&layer), b"garbage".to_vec()].concat()), "zstd");
}

/// Row 142.
#[test]
fn others_are_named() {
    for (name, start) in [
        ("xz", &b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46"[..]),
        ("bzip2", b"BZh91AY&SY\x94\x99"),
        ("lz4", b"\x04\x22\x4d\x18\x64\x40"),
    ] {
        for media_type in [GZIP, ZSTD, super::image::PLAIN] {
            refused(name, &image(media_type, start.to_vec()), &format!("{name} is not supported"));
        }
    }
}
