//! Compressed streams, down to the tree: what is odd is told, what is not supported is named.

use std::io::Write as _;

use oci_unpack::compression::Compression;
use oci_unpack::{Limits, UnpackOptions};

use super::image::{Image, compressed};
use super::layer::{archive, file};
use super::{Mode, Room, message};

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
    for mode in Mode::EACH {
        let room = Room::of(mode);
        let report = room.unpack_image(image, &UnpackOptions::default()).expect(what);
        assert_eq!(room.show(&report).unwrap_or("f =content".into()), "f =content", "{what}");
        assert_eq!(report.warnings, warnings, "{what}");
        room.check_neighbours(what);
        let room = Room::of(mode);
        let strict = room.unpack_image(image, &UnpackOptions::default().strict(true));
        assert_eq!(strict.is_err(), warnings > 0, "{what}: {strict:?}");
        assert_eq!(room.destination().exists(), warnings == 0, "{what}");
        room.check_neighbours(what);
    }
}

fn refused(what: &str, image: &Image, part: &str) {
    for mode in Mode::EACH {
        let room = Room::of(mode);
        let error = room.unpack_image(image, &UnpackOptions::default()).expect_err(what);
        assert!(message(&error).contains(part), "{what}: {}", message(&error));
        assert!(!room.destination().exists(), "{what}");
        room.check_neighbours(what);
    }
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
    refused(
        "a window of 2 GiB",
        &image(ZSTD, zstd_frame(31)),
        "limit exceeded: bytes of a compression window",
    );
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"extra"].concat();
    let layer = layer();
    let (one, two) = layer.split_at(700);
    let zstd = |bytes: &[u8]| compressed(bytes, Compression::Zstd);
    let frames = [skippable.clone(), zstd(one), skippable.clone(), zstd(two), skippable].concat();
    accepted("frames, and frames to be skipped", &image(ZSTD, frames), 0);
    refused("garbage behind it", &image(ZSTD, [zstd(&layer), b"garbage".to_vec()].concat()), "zstd");
    // The format has frames to be skipped for this; zeros are none.
    refused("zeros behind it", &image(ZSTD, [zstd(&layer), vec![0; 512]].concat()), "zstd");
    refused("a cut frame", &image(ZSTD, zstd(&layer)[..zstd(&layer).len() - 1].to_vec()), "cut");
}

/// The limit of windows, met and exceeded.
#[test]
fn windows() {
    for (limit, log, fits) in [
        (1 << 20, 20, true),
        (1 << 20, 21, false),
        ((1 << 21) - 1, 21, false),
        (1 << 31, 31, true),
        (0, 12, false),
        (1 << 12, 12, true),
    ] {
        let room = Room::new();
        let options = UnpackOptions::default().limits(Limits::default().window(limit));
        let result = image(ZSTD, zstd_frame(log)).unpack(&room.destination(), &options);
        match result {
            Ok(_) => assert!(fits, "{limit} {log}"),
            Err(error) => {
                assert!(!fits, "{limit} {log}: {}", message(&error));
                assert!(message(&error).contains(&format!("window of {limit}")), "{}", message(&error));
            }
        }
        room.check_neighbours("windows");
    }
}

/// No media type names them, so that there is always a warning; and zeros behind them are no padding.
#[cfg(all(feature = "xz", feature = "bzip2"))]
#[test]
fn xz_and_bzip2() {
    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }
    fn bzip2(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }
    let layer = layer();
    let (one, two) = layer.split_at(700);
    for (name, encode) in [("xz", xz as fn(&[u8]) -> Vec<u8>), ("bzip2", bzip2)] {
        for media_type in [GZIP, ZSTD, super::image::PLAIN] {
            accepted(name, &image(media_type, encode(&layer)), 1);
        }
        accepted("many streams", &image(GZIP, [encode(one), encode(two)].concat()), 1);
        let good = encode(&layer);
        refused("garbage behind it", &image(GZIP, [&good[..], b"garbage"].concat()), name);
        for cut in [good.len() / 2, good.len() - 1] {
            refused("cut", &image(GZIP, good[..cut].to_vec()), &format!("the {name} stream is cut"));
        }
        for wrong in [good.len() / 2, good.len() - 1, good.len() - 5] {
            let mut broken = good.clone();
            broken[wrong] ^= 0x55;
            refused("damaged", &image(GZIP, broken), name);
        }
    }
    // What xz asks for is the size of its dictionary: 8 MiB at this level.
    for (window, fits) in [(8 << 20, true), (4 << 20, false)] {
        let room = Room::new();
        let options = UnpackOptions::default().limits(Limits::default().window(window));
        let result = image(GZIP, xz(&layer)).unpack(&room.destination(), &options);
        assert_eq!(result.is_ok(), fits, "{window}: {result:?}");
        assert!(
            fits || message(&result.unwrap_err()).contains("limit exceeded: bytes of a compression window")
        );
    }
}

/// Row 142.
#[test]
fn others_are_named() {
    for (name, start) in [
        ("xz", &b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46"[..]),
        ("bzip2", b"BZh91AY&SY\x94\x99"),
        ("lz4", b"\x04\x22\x4d\x18\x64\x40"),
    ] {
        if cfg!(feature = "xz") && name == "xz" || cfg!(feature = "bzip2") && name == "bzip2" {
            continue;
        }
        for media_type in [GZIP, ZSTD, super::image::PLAIN] {
            refused(name, &image(media_type, start.to_vec()), &format!("{name} is not supported"));
        }
    }
}
