//! The archive's format: names, numbers, extension headers, sparse files and ends, down to the tree they come to.

use super::layer::{Item, cut, dir, extension, file, hard, padded, raw, record, records, symlink};
use super::{Row, row, run};

const GNU: &[u8] = b"ustar  \0";

/// What stands behind the odd part of an archive, so that nothing of it is swallowed.
fn next() -> Item {
    file("next", "n")
}

/// Base-256 of a field, as GNU tar writes what octal digits cannot hold.
fn base256(value: i128, len: usize) -> Vec<u8> {
    let mut bytes = value.to_be_bytes()[16 - len..].to_vec();
    bytes[0] |= 0x80;
    bytes
}

#[test]
fn long_names_and_targets() {
    let name = "n".repeat(150);
    let target = "t/".repeat(45) + &"u".repeat(20);
    let prefix = "p".repeat(120);
    let (nul_name, nul_target) = (format!("{name}\0"), format!("{target}\0"));
    let link = || symlink("short", "short");
    let want = |lines: String| -> &'static str { lines.leak() };
    // Texts of more than a hundred bytes are shown by their length, names in full.
    let both = want(format!("next =n\n{name} -> [110 bytes]"));
    let only_target = "next =n
                       short -> [110 bytes]";
    run(vec![
        row("114", "PAX", vec![vec![symlink(&name, &target), next()]], both),
        row(
            "114b",
            "GNU long name and long target",
            vec![vec![extension(b'L', &nul_name), extension(b'K', &nul_target), link(), next()]],
            both,
        ),
        row(
            "114c",
            "the other way round, without NUL bytes at their ends",
            vec![vec![extension(b'K', &target), extension(b'L', &name), link(), next()]],
            both,
        ),
        row(
            "114d",
            "a long target alone",
            vec![vec![extension(b'x', records(&[("linkpath", &target)])), link(), next()]],
            only_target,
        ),
        row(
            "114e",
            "the same in GNU's way",
            vec![vec![extension(b'K', &nul_target), link(), next()]],
            only_target,
        ),
        row(
            "114f",
            "the prefix of ustar",
            vec![vec![file("name", "x").at(345, &prefix), next()]],
            want(format!("next =n\n{prefix}/ @0\n{prefix}/name =x")),
        ),
        row(
            "114g",
            "a hard link with both ends long",
            vec![vec![file(&name, "x"), hard(format!("{name}2"), &name), next()]],
            want(format!("next =n\n{name} =x\n{name}2 == {name}")),
        ),
        row(
            "115",
            "a GNU name and a PAX name that differ",
            vec![vec![extension(b'L', "gnu\0"), file("x", "").pax("path", "pax")]],
            "error: the PAX name \"pax\" differs from the GNU one \"gnu\"",
        ),
        row(
            "115b",
            "in the other order",
            vec![vec![extension(b'x', record(b"path", b"pax")), extension(b'L', "gnu\0"), file("x", "")]],
            "error: differs",
        ),
        row(
            "115c",
            "targets that differ",
            vec![vec![extension(b'K', "gnu\0"), symlink("x", "h").pax("linkpath", "pax")]],
            "error: link target…differs",
        ),
        row(
            "115d",
            "equal ones",
            vec![vec![extension(b'L', "same\0"), file("x", "s").pax("path", "same"), next()]],
            "next =n\nsame =s",
        ),
        row(
            "116",
            "only `ustar` and a NUL has a prefix: with GNU's magic, or none, the bytes are other things",
            vec![vec![
                file("gnu", "1").magic(GNU).at(345, "prefix"),
                file("old", "2").at(257, [0; 8]).at(345, "prefix"),
                file("star", "3").at(345, [b'p'; 155]).at(508, "tar\0"),
            ]],
            want(format!("gnu =1\nold =2\n{0}/ @0\n{0}/star =3", "p".repeat(131))),
        ),
    ]);
}

#[test]
fn sizes() {
    let sized = |field: &[u8]| file("f", "").at(124, field);
    let refused = |number, why, field: &[u8]| row(number, why, vec![vec![sized(field)]], "error: size");
    let pax =
        |number, value| row(number, "by PAX", vec![vec![file("f", "").pax("size", value)]], "error: size");
    run(vec![
        row(
            "118",
            "a size by PAX on what has no data",
            vec![vec![
                file("t", "t"),
                dir("d/").pax("size", "700"),
                symlink("l", "t").pax("size", "700"),
                hard("h", "t").pax("size", "700"),
                next(),
            ]],
            "d/
             h =t
             l -> t
             next =n
             t == h",
        ),
        row(
            "118b",
            "a size by PAX is the file's, not that of an extension header between them",
            vec![vec![
                extension(b'x', record(b"size", b"600")),
                extension(b'L', "name\0"),
                file("x", vec![b'd'; 600]).size(0),
                next(),
            ]],
            "name =[600 bytes]
             next =n",
        ),
        refused("120", "negative", b"-0000000001\0"),
        refused("120b", "not a number", b"0000000012a\0"),
        refused("120c", "negative in base-256", &base256(-5, 12)),
        refused("120d", "beyond 63 bits", &base256(1 << 63, 12)),
        pax("120e", "-1"),
        pax("120f", "9223372036854775808"),
        pax("120g", "12a"),
        row(
            "120h",
            "blanks before it",
            vec![vec![
                file("f", "abc").at(124, b"          3 "),
                file("g", "abcd").size(0).pax("size", " 4"),
                next(),
            ]],
            "f =abc
             g =abcd
             next =n",
        ),
        row(
            "91b",
            "owners in base-256",
            vec![vec![file("f", "").at(108, base256(3_000_000_000, 8)).at(116, base256(4_294_967_294, 8))]],
            "f = 3000000000:4294967294",
        )
        .root(),
        row("92e", "2^32 in base-256", vec![vec![file("f", "").at(108, base256(1 << 32, 8))]], "error: uid"),
        row("92f", "2^32-1", vec![vec![file("f", "").at(116, base256((1 << 32) - 1, 8))]], "error: gid"),
        row("92g", "negative", vec![vec![file("f", "").at(108, base256(-2, 8))]], "error: uid"),
        row(
            "94f",
            "a device number of more than 32 bits",
            vec![vec![file("d", "").flag(b'3').at(329, base256(1 << 32, 8))]],
            "error: device number",
        ),
    ]);
}

#[test]
fn pax_records() {
    let with = |body: &[u8]| vec![vec![extension(b'x', body), file("f", "x"), next()]];
    let broken = |number, why, body: &[u8]| row(number, why, with(body), "error: PAX record");
    run(vec![
        row(
            "121",
            "a key twice: the last counts",
            with(&records(&[("path", "one"), ("path", "two"), ("mtime", "1"), ("mtime", "2")])),
            "next =n
             two =x @2",
        ),
        row(
            "121b",
            "an empty value deletes the key, and is the value of an extended attribute",
            with(&records(&[
                ("path", "one"),
                ("path", ""),
                ("SCHILY.xattr.user.a", "1"),
                ("SCHILY.xattr.user.a", ""),
            ])),
            "f =x {user.a=}
             next =n",
        ),
        row(
            "121c",
            "values hold any byte",
            with(&[record(b"path", b"a\nb = c"), record(b"comment", b"\0\n=\n")].concat()),
            r"a\nb = c =x
              next =n",
        ),
        broken("121d", "a length too large", b"999 path=a\n"),
        broken("121e", "a length too small", b"6 path=a\n"),
        broken("121f", "no length", b"path=a\n"),
        broken("121g", "no equals sign", b"6 ab\n\n"),
        broken("121h", "no newline", b"9 path=ab"),
        broken("121i", "a sign", b"-10 path=a\n"),
        row(
            "122",
            "a global header is no file; unknown keys say nothing; times hold for what follows",
            vec![vec![
                file("before", ""),
                extension(b'g', records(&[("comment", "c0ffee"), ("unknown", "x"), ("mtime", "9.5")])),
                file("one", "1"),
                file("two", "2").time("7"),
                extension(b'g', records(&[("mtime", "")])),
                file("three", "3"),
            ]],
            "before =
             one =1 @9.500000000
             three =3
             two =2 @7",
        ),
        row(
            "122b",
            "and owners",
            vec![vec![
                extension(b'g', records(&[("uid", "5"), ("gid", "6")])),
                file("one", "1"),
                file("two", "2").pax("uid", "7"),
            ]],
            "one =1 5:6
             two =2 7:6",
        )
        .root(),
        row(
            "122c",
            "what makes sense for one file alone is not applied, and told",
            vec![vec![
                extension(b'g', records(&[("path", "evil"), ("size", "0"), ("linkpath", "evil")])),
                file("one", "1"),
                symlink("l", "one"),
            ]],
            "l -> one
             one =1",
        )
        .warnings(3),
        row(
            "123",
            "two in a row: the later replaces and adds",
            vec![vec![
                extension(b'x', records(&[("path", "one"), ("mtime", "5")])),
                extension(b'x', records(&[("path", "two")])),
                file("f", "x"),
                next(),
            ]],
            "next =n
             two =x @5",
        ),
    ]);
}

#[test]
fn extensions_without_an_entry() {
    let mut rows = Vec::new();
    for (flag, body) in [(b'x', record(b"path", b"p")), (b'L', b"p\0".to_vec()), (b'K', b"p\0".to_vec())] {
        let ends = [extension(flag, &body), cut("")];
        rows.push(row(
            "124",
            "then the end mark",
            vec![vec![next(), ends[0].clone()]],
            "error: without its entry",
        ));
        rows.push(row(
            "124b",
            "then nothing",
            vec![[&[next()][..], &ends].concat()],
            "error: without its entry",
        ));
    }
    for flag in *b"xgLK" {
        let header = |size| cut(file("e", "").flag(flag).size(size).bytes());
        rows.push(row(
            "126",
            "of 2 MiB",
            vec![vec![header(2 << 20)]],
            "error: extension header bytes of 1048576",
        ));
        rows.push(row(
            "126b",
            "of 256 MiB",
            vec![vec![header(256 << 20)]],
            "error: extension header bytes of 1048576",
        ));
    }
    run(rows);
}

#[test]
fn checksums() {
    let with_sum = |sum: i64| {
        let mut bytes = file([0xff, 0xfe], "x").bytes();
        let digits = std::str::from_utf8(&bytes[148..154]).unwrap();
        let sum = i64::from_str_radix(digits, 8).unwrap() + sum;
        bytes[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
        raw(bytes)
    };
    run(vec![
        row(
            "127",
            "wrong",
            vec![vec![file("first", "1"), with_sum(1)]],
            "error: wrong header checksum, after entry first",
        ),
        row("127b", "garbage", vec![vec![cut([b'x'; 1024])]], "error: checksum"),
        row(
            "127c",
            "the sum of signed bytes",
            vec![vec![with_sum(-512), next()]],
            r"next =n
            \xff\xfe =x",
        ),
    ]);
}

/// (offset, length) of the parts that hold data: `abc` each, at every eighth byte.
type Map = Vec<(u64, u64)>;

fn old_gnu(map: &Map, size: u64, data: &[u8]) -> Vec<Item> {
    let pairs = |map: &[(u64, u64)]| -> Vec<u8> {
        map.iter().flat_map(|(offset, len)| format!("{offset:011o}\0{len:011o}\0").into_bytes()).collect()
    };
    let (head, rest) = map.split_at(map.len().min(4));
    let header = file("sparse", "")
        .flag(b'S')
        .magic(GNU)
        .size(data.len() as u64)
        .at(345, [0; 167])
        .at(386, pairs(head))
        .at(482, [u8::from(!rest.is_empty())])
        .at(483, format!("{size:011o}\0"));
    let mut items = vec![header];
    let mut blocks = rest.chunks(21).peekable();
    while let Some(chunk) = blocks.next() {
        let mut block = pairs(chunk);
        block.resize(512, 0);
        block[504] = u8::from(blocks.peek().is_some());
        items.push(raw(block));
    }
    items.push(raw(padded(data)));
    items
}

fn pax_0_0(map: &Map, size: u64, data: &[u8]) -> Vec<Item> {
    let mut body =
        records(&[("GNU.sparse.size", &size.to_string()), ("GNU.sparse.numblocks", &map.len().to_string())]);
    for (offset, len) in map {
        body.extend(records(&[
            ("GNU.sparse.offset", &offset.to_string()),
            ("GNU.sparse.numbytes", &len.to_string()),
        ]));
    }
    vec![extension(b'x', body), file("sparse", data)]
}

fn pax_0_1(map: &Map, size: u64, data: &[u8]) -> Vec<Item> {
    let list: Vec<_> = map.iter().map(|(offset, len)| format!("{offset},{len}")).collect();
    let item = file("GNUSparseFile.0/sparse", data)
        .pax("GNU.sparse.size", size.to_string())
        .pax("GNU.sparse.numblocks", map.len().to_string())
        .pax("GNU.sparse.map", list.join(","))
        .pax("GNU.sparse.name", "sparse");
    vec![item]
}

fn pax_1_0(map: &Map, size: u64, data: &[u8]) -> Vec<Item> {
    let mut lines = format!("{}\n", map.len());
    for (offset, len) in map {
        lines += &format!("{offset}\n{len}\n");
    }
    let item = file("GNUSparseFile.0/sparse", [padded(lines.as_bytes()), data.to_vec()].concat())
        .pax("GNU.sparse.major", "1")
        .pax("GNU.sparse.minor", "0")
        .pax("GNU.sparse.realsize", size.to_string())
        .pax("GNU.sparse.name", "sparse");
    vec![item]
}

type Format = fn(&Map, u64, &[u8]) -> Vec<Item>;
const SPARSE: [(&str, Format); 4] =
    [("128", old_gnu), ("129", pax_0_0), ("129b", pax_0_1), ("129c", pax_1_0)];

#[test]
fn sparse_files() {
    let mut rows: Vec<Row> = Vec::new();
    for (number, format) in SPARSE {
        let layer = |map: &Map, size, data: &[u8]| vec![[format(map, size, data), vec![next()]].concat()];
        // Seven parts: more than the four that old GNU has room for in the header.
        let map: Map = (0..7).map(|i| (i * 8, 3)).chain([(60, 0)]).collect();
        let island = r"abc\x00\x00\x00\x00\x00".repeat(6) + "abc" + &r"\x00".repeat(9);
        rows.push(row(
            number,
            "expanded",
            layer(&map, 60, &b"abc".repeat(7)),
            format!("next =n\nsparse ={island}").leak(),
        ));
        for (why, map, size) in [
            ("parts that overlap", vec![(0, 6), (5, 4)], 20),
            ("parts out of order", vec![(10, 5), (0, 5)], 20),
            ("a part beyond the end", vec![(0, 5), (16, 5)], 20),
            ("less than is stored", vec![(0, 5)], 20),
            ("more than is stored", vec![(0, 11)], 20),
        ] {
            rows.push(row(number, why, layer(&map, size, &[b'd'; 10]), "error: sparse…in entry sparse"));
        }
    }
    run(rows);
}

/// A hole of a gigabyte takes no room, in any of the four formats, at the front, in the middle, and at the end.
#[test]
fn holes_stay_holes() {
    use std::os::unix::fs::{FileExt, MetadataExt};
    for (number, format) in SPARSE {
        let (hole, size) = (1 << 30, 3 << 30);
        let items = format(&vec![(hole, 4096), (2 * hole, 4096), (size, 0)], size, &[b'd'; 8192]);
        let room = super::Room::new();
        room.unpack(&[super::layer::archive(&items)], Default::default()).0.unwrap();
        let sparse = std::fs::File::open(room.destination().join("sparse")).unwrap();
        let meta = sparse.metadata().unwrap();
        assert_eq!(meta.len(), size, "row {number}");
        assert!(meta.blocks() * 512 <= 1 << 20, "row {number}: {} blocks", meta.blocks());
        for (offset, byte) in
            [(hole - 1, 0), (hole, b'd'), (hole + 4096, 0), (2 * hole + 4095, b'd'), (size - 1, 0)]
        {
            let mut read = [1];
            sparse.read_exact_at(&mut read, offset).unwrap();
            assert_eq!(read, [byte], "row {number} at {offset}");
        }
    }
}

#[test]
fn ends() {
    let one = || file("one", "1");
    let want = "one =1";
    run(vec![
        row("131", "no end mark", vec![vec![one(), cut("")]], want),
        row("131b", "one block of zeros", vec![vec![one(), cut([0; 512])]], want),
        row("131c", "a long end mark", vec![vec![one(), cut([0; 10240])]], want),
        row("131d", "after the end mark nothing is read", vec![vec![one(), raw([0; 1024]), next()]], want),
        row("132", "one block of zeros, then an entry", vec![vec![one(), raw([0; 512]), next()]], want)
            .warnings(1),
        row(
            "134",
            "cut in the padding of the last file",
            vec![vec![cut(&file("one", "1").bytes()[..600])]],
            want,
        ),
        row(
            "134b",
            "cut in the data",
            vec![vec![cut(&file("one", "11").bytes()[..513])]],
            "error: ends inside the data",
        ),
        row(
            "134c",
            "cut in a header",
            vec![vec![one(), cut(&next().bytes()[..511])]],
            "error: ends inside a header",
        ),
        row(
            "134d",
            "cut in an extension header",
            vec![vec![one(), cut(&next().time("5").bytes()[..515])]],
            "error: ends inside an extension header",
        ),
        row(
            "134e",
            "in a later layer",
            vec![vec![one()], vec![cut(&next().bytes()[..512])]],
            "error: layer 1",
        ),
        row("130", "an archive of no bytes", vec![vec![one()], vec![cut("")]], want),
    ]);
}
