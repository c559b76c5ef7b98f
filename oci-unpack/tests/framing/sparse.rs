//! Sparse files, all four kinds.

use oci_unpack::framing::Segment;

use crate::builder::*;
use crate::{read, refused};

/// Segments of 3 bytes at every tenth, and the data for them.
fn segments(n: u64) -> (Vec<(u64, u64)>, Vec<u8>, Vec<u8>) {
    let map: Vec<_> = (0..n).map(|i| (i * 10, 3)).collect();
    let data: Vec<u8> = (0..n * 3).map(|i| b'a' + (i % 26) as u8).collect();
    let mut whole = vec![0; 10 * n as usize];
    for (i, part) in data.chunks(3).enumerate() {
        whole[i * 10..i * 10 + 3].copy_from_slice(part);
    }
    (map, data, whole)
}

fn gnu_pairs(map: &[(u64, u64)]) -> Vec<u8> {
    map.iter().flat_map(|(offset, len)| format!("{offset:011o}\0{len:011o}\0").into_bytes()).collect()
}

/// Old GNU: four pairs in the header, 21 in each block after it.
fn old_gnu(map: &[(u64, u64)], size: u64, data: &[u8]) -> Vec<u8> {
    let (head, rest) = map.split_at(map.len().min(4));
    let header = Header::new("sparse", b'S')
        .put(257, GNU)
        .size(data.len() as u64)
        .put(386, gnu_pairs(head))
        .put(482, [u8::from(!rest.is_empty())])
        .put(483, format!("{size:011o}\0"));
    let mut archive = header.block();
    let mut blocks = rest.chunks(21).peekable();
    while let Some(pairs) = blocks.next() {
        let mut block = gnu_pairs(pairs);
        block.resize(512, 0);
        block[504] = u8::from(blocks.peek().is_some());
        archive.extend(block);
    }
    [archive, padded(data), next(), end()].concat()
}

fn pax_0_0(map: &[(u64, u64)], size: u64, data: &[u8]) -> Vec<u8> {
    let mut body =
        [record("GNU.sparse.size", size.to_string()), record("GNU.sparse.numblocks", map.len().to_string())]
            .concat();
    for (offset, len) in map {
        body.extend(record("GNU.sparse.offset", offset.to_string()));
        body.extend(record("GNU.sparse.numbytes", len.to_string()));
    }
    [extension(b'x', body), Header::new("sparse", b'0').with(data), next(), end()].concat()
}

fn pax_0_1(map: &[(u64, u64)], size: u64, data: &[u8]) -> Vec<u8> {
    let list: Vec<_> = map.iter().flat_map(|(offset, len)| [offset.to_string(), len.to_string()]).collect();
    let records = [
        ("GNU.sparse.size", &size.to_string()[..]),
        ("GNU.sparse.numblocks", &map.len().to_string()),
        ("GNU.sparse.map", &list.join(",")),
        ("GNU.sparse.name", "sparse"),
    ];
    [pax(&records), Header::new("GNUSparseFile.0/sparse", b'0').with(data), next(), end()].concat()
}

fn pax_1_0(map: &[(u64, u64)], size: u64, data: &[u8]) -> Vec<u8> {
    let mut lines = format!("{}\n", map.len());
    for (offset, len) in map {
        lines += &format!("{offset}\n{len}\n");
    }
    pax_1_0_lines(&lines, size, data)
}

fn pax_1_0_lines(lines: &str, size: u64, data: &[u8]) -> Vec<u8> {
    let records = [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "sparse"),
        ("GNU.sparse.realsize", &size.to_string()[..]),
        ("path", "GNUSparseFile.0/sparse"),
    ];
    let stored = [padded(lines.as_bytes()), data.to_vec()].concat();
    [pax(&records), Header::new("GNUSparseFile.0/sparse", b'0').with(stored), next(), end()].concat()
}

type Format = fn(&[(u64, u64)], u64, &[u8]) -> Vec<u8>;
const FORMATS: [(&str, Format); 4] =
    [("old GNU", old_gnu), ("PAX 0.0", pax_0_0), ("PAX 0.1", pax_0_1), ("PAX 1.0", pax_1_0)];

#[test]
fn every_format_is_expanded() {
    for (name, format) in FORMATS {
        for n in [1, 3, 4, 5, 25, 26, 100, 2000] {
            let (mut map, data, whole) = segments(n);
            // The size as an empty segment at the end, as GNU tar writes it.
            map.push((10 * n, 0));
            let mut read = read(&format(&map, 10 * n, &data)).unwrap();
            let (entry, content) = read.entries.remove(0);
            assert_eq!((entry.path.as_slice(), entry.size), (&b"sparse"[..], 10 * n), "{name} {n}");
            assert!(content == whole, "{name} {n}");
            let segments = entry.segments.unwrap();
            assert_eq!(segments.len() as u64, n);
            assert_eq!(segments[0], Segment { offset: 0, len: 3 });
            assert_eq!(read.entries[0].0.path, b"next", "{name} {n}");
        }
    }
}

#[test]
fn nothing_but_a_hole() {
    for (name, format) in FORMATS {
        let read = read(&format(&[(1 << 32, 0)], 1 << 32, b"")).unwrap();
        let (entry, content) = &read.entries[0];
        assert_eq!((entry.size, entry.segments.as_deref()), (1 << 32, Some(&[][..])), "{name}");
        assert_eq!((content.len(), entry.stored_size()), (0, 0));
        assert_eq!(read.entries[1].0.path, b"next");
    }
}

#[test]
fn maps_that_do_not_add_up() {
    for (name, format) in FORMATS {
        for (what, map, size) in [
            ("overlap", &[(0, 6), (5, 4)][..], 20),
            ("order", &[(10, 5), (0, 5)], 20),
            ("outside", &[(0, 5), (16, 5)], 20),
            ("beyond", &[(0, 5), (1 << 62, 5)], 20),
            ("too little", &[(0, 5)], 20),
            ("too much", &[(0, 11)], 20),
        ] {
            refused(&format!("{name} {what}"), &format(map, size, &[b'd'; 10]), &["sparse", "entry sparse"]);
        }
        let many: Vec<_> = (0..10_001).map(|i| (i * 2, 1)).collect();
        refused(name, &format(&many, 30_000, &[b'd'; 10_001]), &["sparse segments", "10000"]);
    }
}

#[test]
fn maps_that_are_none() {
    for lines in ["", "x\n", "-1\n", "1\n0\n", "1\n0\nx\n", "99999999999999999999999\n", "2\n0\n5\n"] {
        refused(lines, &pax_1_0_lines(lines, 20, b""), &["in entry sparse"]);
    }
    let records = |records: &[(&str, &str)]| [pax(records), file("sparse", "data")].concat();
    for broken in [
        &[("GNU.sparse.map", "0,4")][..],
        &[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0")],
        &[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,4"), ("GNU.sparse.numblocks", "2")],
        &[("GNU.sparse.major", "2"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "9")],
        &[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")],
        &[("GNU.sparse.name", "other")],
    ] {
        refused("records", &records(broken), &["sparse"]);
    }
    let directory = [pax(&[("GNU.sparse.size", "9")]), Header::new("d/", b'5').block()].concat();
    refused("directory", &directory, &["sparse map on something else"]);
    // A map cut by the end of the archive.
    let archive = pax_1_0(&segments(100).0, 1000, &segments(100).1);
    refused("cut", &archive[..archive.len() - 2048 - 512 - 512], &["ends inside"]);
}
