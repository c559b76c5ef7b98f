//! Header blocks: names, numbers, types, ends.

use oci_unpack::framing::{EntryKind, Timestamp, Warning};

use crate::builder::*;
use crate::{first, names, read, refused};

#[test]
fn every_type() {
    let device = |flag| Header::new("n", flag).put(329, "0000010\0").put(337, "0000020\0").block();
    for (header, kind) in [
        (file("n", "data"), EntryKind::Regular),
        (Header::new("n", 0).with("data"), EntryKind::Regular),
        (Header::new("n", b'7').with("data"), EntryKind::Regular),
        (Header::new("n", b'1').link("t").block(), EntryKind::HardLink),
        (Header::new("n", b'2').link("t").block(), EntryKind::Symlink),
        (device(b'3'), EntryKind::CharDevice { major: 8, minor: 16 }),
        (device(b'4'), EntryKind::BlockDevice { major: 8, minor: 16 }),
        (Header::new("n", b'5').block(), EntryKind::Directory),
        (Header::new("n", b'6').block(), EntryKind::Fifo),
    ] {
        let entry = first(&[header, next(), end()].concat());
        assert_eq!(entry.kind, kind);
        assert_eq!(entry.size, if kind == EntryKind::Regular { 4 } else { 0 });
        let is_link = matches!(kind, EntryKind::HardLink | EntryKind::Symlink);
        assert_eq!(entry.link, if is_link { &b"t"[..] } else { b"" });
    }
    for flag in [b's', b'Z', b'8', b'D', b'M', b'V', b'N', b'X', b' ', 0xff] {
        refused("unknown type", &Header::new("odd", flag).block(), &["unknown entry type", "in entry odd"]);
    }
}

#[test]
fn kinds_without_data_have_none() {
    for flag in *b"123456" {
        let claims = Header::new("n", flag).link("t").size(700).block();
        let archive = [claims.clone(), next(), end()].concat();
        assert_eq!(first(&archive).size, 0, "type {}", char::from(flag));
        assert_eq!(names(&claims).unwrap(), ["n"]);
        let data = [claims, padded(&[b'd'; 700]), next(), end()].concat();
        refused("data after it", &data, &["kind has no data", "after entry n", "at byte 1024"]);
    }
    // A PAX size is for files, too.
    let archive = [pax(&[("size", "5")]), Header::new("n/", b'5').block(), next(), end()].concat();
    assert_eq!(first(&archive).size, 0);
}

#[test]
fn directories_of_old_archives() {
    let old = |name: &str, flag| Header::new(name, flag).put(257, [0; 8]);
    assert_eq!(first(&[old("d/", 0).block(), next()].concat()).kind, EntryKind::Directory);
    assert_eq!(first(&[old("f", 0).block(), next()].concat()).kind, EntryKind::Regular);
    assert_eq!(first(&[file("reg/", "x"), next()].concat()).kind, EntryKind::Regular);
    refused("with data", &old("d/", 0).with("x"), &["directory with data"]);
}

#[test]
fn prefixes() {
    let with = |magic: &[u8]| Header::new("name", b'0').put(257, magic).put(345, "prefix");
    for (header, name) in [
        (with(USTAR), "prefix/name"),
        (with(GNU), "name"),
        (with(&[0; 8]), "name"),
        // star: a shorter prefix, and times behind it.
        (
            Header::new("name", b'0').put(345, [b'p'; 155]).put(508, "tar\0"),
            &format!("{}/name", "p".repeat(131)),
        ),
        (
            Header::new([b'n'; 100], b'0').put(345, [b'p'; 155]),
            &format!("{}/{}", "p".repeat(155), "n".repeat(100)),
        ),
    ] {
        assert_eq!(names(&[header.block(), end()].concat()).unwrap(), [name]);
    }
}

#[test]
fn numbers() {
    let base256 = |value: i128, len: usize| {
        let mut bytes = value.to_be_bytes()[16 - len..].to_vec();
        bytes[0] |= 0x80;
        bytes
    };
    let owned = |uid: &[u8]| Header::new("n", b'0').put(108, uid).block();
    for (field, uid) in [
        (&b"0001750\0"[..], 1000),
        (b"   1750 ", 1000),
        (b"\0\0\0\0\0\0\0\0", 0),
        (&base256(3_000_000_000, 8), 3_000_000_000),
        (&base256(4_294_967_294, 8), 4_294_967_294),
    ] {
        assert_eq!(first(&[owned(field), next()].concat()).uid, uid);
    }
    for field in [
        &b"99999999"[..],
        b"-0000001",
        b"0x00000\0",
        &base256(-1, 8),
        &base256((1 << 32) - 1, 8),
        &base256(1 << 32, 8),
        &base256(1 << 40, 8),
    ] {
        refused("uid", &owned(field), &["uid", "entry n"]);
    }
    let sized = |size: &[u8]| Header::new("n", b'0').put(124, size).block();
    for size in [
        &b"-00000000001"[..],
        b"1234567890a\0",
        &base256(-5, 12),
        &base256(1 << 63, 12),
        &base256(1 << 80, 12),
    ] {
        refused("size", &sized(size), &["size", "entry n"]);
    }
    assert_eq!(read(&[sized(b"          3 "), padded(b"abc")].concat()).unwrap().entries[0].1, b"abc");
    refused("cut", &sized(&base256(9 << 30, 12)), &["ends inside the data", "in entry n"]);
    let device = Header::new("n", b'3').put(329, base256(1 << 32, 8));
    refused("device", &device.block(), &["device number"]);
}

#[test]
fn times() {
    let at = |field: &[u8]| first(&[Header::new("n", b'0').put(136, field).block(), next()].concat()).mtime;
    assert_eq!(at(b"00000000010\0"), Timestamp { seconds: 8, nanos: 0 });
    assert_eq!(at(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").seconds, -1);
    assert_eq!(at(b"\x80\0\0\0\0\0\0\x3a\xff\xf4\x41\x7f").seconds, 253_402_300_799);
    assert_eq!(at(b"\x80\0\0\0\x40\0\0\0\0\0\0\0").seconds, 1 << 62);
}

#[test]
fn modes_keep_their_special_bits() {
    let mode = |field: &str| first(&[Header::new("n", b'0').put(100, field).block(), next()].concat()).mode;
    assert_eq!(mode("0004755\0"), 0o4755);
    assert_eq!(mode("0107777\0"), 0o7777, "file type bits are not permissions");
}

#[test]
fn checksums() {
    let mut archive = [Header::new("\u{e9}", b'0').block(), next()].concat();
    archive[0] ^= 1;
    refused("broken", &archive, &["checksum", "byte 512"]);
    refused("garbage", &[b'x'; 1024], &["checksum"]);
    refused("second", &[file("one", "1"), vec![b'x'; 512]].concat(), &["checksum", "after entry one"]);
    // Summed as signed bytes, as old writers did.
    let mut signed = Header::new([0xff, 0xfe], b'0').block();
    let sum = u32::from_str_radix(std::str::from_utf8(&signed[148..154]).unwrap(), 8).unwrap() - 512;
    signed[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    assert_eq!(read(&signed).unwrap().entries[0].0.path, [0xff, 0xfe]);
}

#[test]
fn ends() {
    let one = file("one", "1");
    for (tail, warned) in [
        (vec![], false),
        (vec![0; 512], false),
        (vec![0; 1024], false),
        (vec![0; 100], false),
        (vec![0; 300_000], false),
        ([vec![0; 1024], vec![b'x'; 5000]].concat(), false),
        ([vec![0; 512], next()].concat(), true),
    ] {
        let read = read(&[one.clone(), tail].concat()).unwrap();
        assert_eq!(read.entries.len(), 1);
        let expected = if warned { vec![Warning::DataAfterZeroBlock { offset: 1536 }] } else { vec![] };
        assert_eq!(read.warnings, expected);
    }
    assert_eq!(names(&[]).unwrap(), [""; 0]);
    assert_eq!(names(&end()).unwrap(), [""; 0]);
}

#[test]
fn cuts() {
    let archive = [file("one", &"1".repeat(600)), pax(&[("path", "two")]), file("x", "2")].concat();
    let extension_at = 512 + 1024;
    let second_at = extension_at + 1024;
    for cut in 0..archive.len() {
        let result = names(&archive[..cut]);
        let fine = match cut {
            0 => true,
            // In the padding of the first file.
            cut if (512 + 600..=extension_at).contains(&cut) => true,
            cut => cut > second_at + 512,
        };
        assert_eq!(result.is_ok(), fine, "cut at {cut}: {result:?}");
    }
}

#[test]
fn names_that_are_no_names() {
    refused("empty", &Header::new("", b'0').block(), &["no name"]);
    refused("empty directory", &Header::new("", b'5').block(), &["no name"]);
    for (len, fine) in [(255, true), (256, false)] {
        let path = format!("d/{}/f", "c".repeat(len));
        let archive = [pax(&[("path", &path)]), file("x", ""), next()].concat();
        assert_eq!(names(&archive).is_ok(), fine, "{len}");
    }
    for (len, fine) in [(3000, true), (4096, true), (4097, false), (100_000, false)] {
        let path = "p/".repeat(len / 2) + if len % 2 == 1 { "q" } else { "" };
        for extension in [pax(&[("path", &path)]), extension(b'L', &path)] {
            let archive = [extension, file("x", ""), next()].concat();
            let result = names(&archive);
            assert_eq!(result.is_ok(), fine, "{len}: {result:?}");
            if let Err(message) = result {
                assert!(message.contains("p/p/p") && message.len() < 500, "{message}");
            }
        }
    }
    let odd = b"-\n\x01\\\xff\xcc\x81e";
    assert_eq!(read(&Header::new(odd, b'0').block()).unwrap().entries[0].0.path, odd);
}
