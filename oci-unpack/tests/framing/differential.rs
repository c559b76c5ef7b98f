//! The same bytes, read by others: what other programs write, and what is built byte by byte. Every difference that is
//! accepted stands in one table, with its reason; one that is not there fails, and so does one that is gone.

use std::path::Path;
use std::process::Command;

use crate::builder::*;
use crate::readers::{self, READERS};

/// A tree with what archives differ in.
fn tree(dir: &Path) {
    use std::os::unix::fs::symlink;
    std::fs::create_dir_all(dir.join("d/e")).unwrap();
    std::fs::write(dir.join("d/empty"), "").unwrap();
    std::fs::write(dir.join("d/file"), "content").unwrap();
    std::fs::write(dir.join("d/large"), vec![7; 1_000_003]).unwrap();
    std::fs::hard_link(dir.join("d/file"), dir.join("d/hard")).unwrap();
    symlink("d/file", dir.join("soft")).unwrap();
    let holes = std::fs::File::create(dir.join("holes")).unwrap();
    for i in 0..40 {
        use std::os::unix::fs::FileExt;
        holes.write_all_at(b"island", i * 100_000).unwrap();
    }
    holes.set_len(5_000_000).unwrap();
}

/// What only newer formats can hold.
fn long_names(dir: &Path) {
    std::os::unix::fs::symlink("t".repeat(300), dir.join("softer")).unwrap();
    std::fs::write(dir.join("d/grün"), "utf-8").unwrap();
    let deep = dir.join("x".repeat(90)).join("y".repeat(90)).join("z".repeat(200));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("f"), "deep").unwrap();
}

/// The writers: a name, whether it takes long names, and the command, to which the folder is added.
const WRITERS: [(&str, bool, &[&str]); 17] = [
    ("GNU tar, gnu", true, &["tar", "--format=gnu", "-cf", "-", "-C"]),
    ("GNU tar, gnu, sparse", true, &["tar", "--format=gnu", "--sparse", "-cf", "-", "-C"]),
    ("GNU tar, oldgnu, sparse", true, &["tar", "--format=oldgnu", "--sparse", "-cf", "-", "-C"]),
    ("GNU tar, posix", true, &["tar", "--format=posix", "-cf", "-", "-C"]),
    ("GNU tar, posix, sparse 1.0", true, &["tar", "--format=posix", "--sparse", "-cf", "-", "-C"]),
    (
        "GNU tar, posix, sparse 0.0",
        true,
        &["tar", "--format=posix", "--sparse", "--sparse-version=0.0", "-cf", "-", "-C"],
    ),
    (
        "GNU tar, posix, sparse 0.1",
        true,
        &["tar", "--format=posix", "--sparse", "--sparse-version=0.1", "-cf", "-", "-C"],
    ),
    ("GNU tar, ustar", false, &["tar", "--format=ustar", "-cf", "-", "-C"]),
    ("GNU tar, v7", false, &["tar", "--format=v7", "-cf", "-", "-C"]),
    (
        "GNU tar, large numbers",
        true,
        &[
            "tar",
            "--format=gnu",
            "--owner=:3000000000",
            "--group=:3000000001",
            "--mtime=@-5",
            "-cf",
            "-",
            "-C",
        ],
    ),
    (
        "GNU tar, large numbers by PAX",
        true,
        &[
            "tar",
            "--format=posix",
            "--owner=:3000000000",
            "--group=:3000000001",
            "--mtime=@5000000000.25",
            "-cf",
            "-",
            "-C",
        ],
    ),
    ("bsdtar, pax", true, &["bsdtar", "--format=pax", "-cf", "-", "-C"]),
    ("bsdtar, ustar", false, &["bsdtar", "--format=ustar", "-cf", "-", "-C"]),
    ("bsdtar, gnutar", true, &["bsdtar", "--format=gnutar", "-cf", "-", "-C"]),
    ("busybox", true, &["busybox", "tar", "-cf", "-", "-C"]),
    ("python, PAX", true, &["python3", "-c", PYTHON, "2"]),
    ("python, GNU", true, &["python3", "-c", PYTHON, "1"]),
];

const PYTHON: &str = "import sys, tarfile
tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=int(sys.argv[1])).__enter__().add(sys.argv[2], '.')
";

#[test]
fn what_others_write() {
    let (plain, long) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree(plain.path());
    tree(long.path());
    long_names(long.path());
    let mut found = Vec::new();
    for (name, takes_long, command) in WRITERS {
        let folder = if takes_long { long.path() } else { plain.path() };
        let mut writer = Command::new(command[0]);
        writer.args(&command[1..]).arg(folder);
        if !command.contains(&"python3") {
            writer.arg(".");
        }
        let Ok(output) = writer.output() else {
            eprintln!("SKIP what_others_write ({name}): needs {}", command[0]);
            continue;
        };
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let mut archive = output.stdout;
        if name.starts_with("python") && archive.len() % 512 == 0 && !archive.ends_with(&[0; 1024]) {
            archive.extend([0; 1024]);
        }
        let read = crate::read(&archive).unwrap();
        assert_eq!(read.warnings, [], "{name}");
        let (holes, content) = read.entries.iter().find(|(e, _)| e.path.ends_with(b"holes")).unwrap();
        assert_eq!((holes.size, &content[3_900_000..3_900_006]), (5_000_000, &b"island"[..]), "{name}");
        assert_eq!(holes.segments.is_some(), name.contains("sparse") || name == "bsdtar, pax", "{name}");
        compare(name, &archive, &mut found);
    }
    check(&WRITERS.map(|writer| writer.0), found);
}

/// A name for what it shows, and the bytes.
pub(crate) type Case = (&'static str, Vec<u8>);

pub(crate) fn cases() -> Vec<Case> {
    let base256 = |value: i128, len: usize| {
        let mut bytes = value.to_be_bytes()[16 - len..].to_vec();
        bytes[0] |= 0x80;
        bytes
    };
    let link = || Header::new("short", b'2').link("target").block();
    let old = |name: &str| Header::new(name, 0).put(257, [0; 8]);
    let sparse = |size: &str, map: &str| {
        [
            pax(&[
                ("GNU.sparse.size", size),
                ("GNU.sparse.numblocks", &map.split(',').count().div_ceil(2).to_string()),
                ("GNU.sparse.map", map),
                ("GNU.sparse.name", "s"),
            ]),
            file("0/s", "abc"),
        ]
        .concat()
    };
    let cases: Vec<(&'static str, Vec<u8>)> = vec![
        ("a file", file("f", "x")),
        ("a hard link", [file("f", "x"), Header::new("h", b'1').link("f").block()].concat()),
        ("a symbolic link", link()),
        ("a directory", Header::new("d/", b'5').block()),
        ("a pipe", Header::new("p", b'6').block()),
        ("a device", Header::new("c", b'3').put(329, "0000010\0").put(337, "0000020\0").block()),
        ("reserved type 7", Header::new("f", b'7').with("x")),
        ("type NUL", Header::new("f", 0).with("x")),
        ("an old directory", old("d/").block()),
        ("a regular file with a slash", file("f/", "x")),
        ("an unknown type", Header::new("f", b'Z').with("x")),
        ("prefix of ustar", Header::new("name", b'0').put(345, "prefix").block()),
        ("bytes at the prefix of GNU", Header::new("name", b'0').put(257, GNU).put(345, "prefix").block()),
        (
            "long name and target, PAX",
            [pax(&[("path", &"p/".repeat(70)), ("linkpath", "l")]), link()].concat(),
        ),
        ("long name and target, GNU", [extension(b'L', "long\0"), extension(b'K', "far\0"), link()].concat()),
        (
            "GNU and PAX names that differ",
            [extension(b'L', "gnu\0"), pax(&[("path", "pax")]), file("x", "")].concat(),
        ),
        ("a key twice", [pax(&[("path", "a"), ("path", "b")]), file("x", "")].concat()),
        ("an empty value", [pax(&[("path", "a"), ("path", "")]), file("x", "")].concat()),
        ("two headers in a row", [pax(&[("path", "a")]), pax(&[("mtime", "7")]), file("x", "")].concat()),
        (
            "PAX numbers",
            [pax(&[("uid", "3000000000"), ("gid", "7"), ("mtime", "9.5")]), file("x", "")].concat(),
        ),
        ("PAX size", [pax(&[("size", "5")]), Header::new("x", b'0').block(), padded(b"12345")].concat()),
        ("PAX size of a directory", [pax(&[("size", "5")]), Header::new("d/", b'5').block()].concat()),
        ("size of a link", Header::new("l", b'2').link("t").size(700).block()),
        (
            "size of a hard link",
            [file("f", "x"), Header::new("h", b'1').link("f").size(700).block()].concat(),
        ),
        ("a record with a bad length", [extension(b'x', "99 path=a\n"), file("x", "")].concat()),
        ("a record without equals sign", [extension(b'x', "6 ab\n\n"), file("x", "")].concat()),
        ("a negative size by PAX", [pax(&[("size", "-1")]), file("x", "")].concat()),
        ("uid of 2^32", [pax(&[("uid", "4294967296")]), file("x", "")].concat()),
        ("uid in base-256", Header::new("f", b'0').put(108, base256(3_000_000_000, 8)).block()),
        ("a negative uid", Header::new("f", b'0').put(108, base256(-2, 8)).block()),
        ("a negative time", Header::new("f", b'0').put(136, base256(-5, 12)).block()),
        (
            "blanks around a number",
            Header::new("f", b'0').put(124, "          1 ").block().into_iter().chain(padded(b"x")).collect(),
        ),
        ("no number", Header::new("f", b'0').put(108, "garbage\0").block()),
        ("a global header", [extension(b'g', record("comment", "x")), file("f", "x")].concat()),
        ("a global owner", [extension(b'g', record("uid", "5")), file("f", "x")].concat()),
        (
            "old GNU sparse",
            Header::new("s", b'S')
                .put(257, GNU)
                .put(386, "00000000010\x0000000000003\x0000000000020\x0000000000000\0")
                .put(483, "00000000020\0")
                .with("abc"),
        ),
        (
            "old GNU sparse, without a part at the end",
            Header::new("s", b'S')
                .put(257, GNU)
                .put(386, "00000000010\x0000000000003\0")
                .put(483, "00000000020\0")
                .with("abc"),
        ),
        ("PAX sparse 0.1", sparse("20", "8,3,20,0")),
        ("a sparse map that overlaps", sparse("20", "8,2,9,1")),
        ("a sparse map beyond the end", sparse("9", "8,3")),
        ("a wrong checksum", {
            let mut bytes = file("f", "x");
            bytes[0] ^= 1;
            bytes
        }),
        ("an extension without an entry", pax(&[("path", "a")])),
        ("an empty name", file("", "x")),
        ("odd bytes in a name", file("-\n\\\u{e9}", "x")),
    ];
    let next = || file("next", "n");
    let mut all: Vec<Case> =
        cases.into_iter().map(|(name, bytes)| (name, [bytes, next(), end()].concat())).collect();
    all.extend([
        ("no end mark", file("f", "x")),
        ("one block of zeros, then an entry", [file("f", "x"), vec![0; 512], next(), end()].concat()),
        ("cut in the data", file("f", &"x".repeat(600))[..1000].to_vec()),
        ("cut in a header", [file("f", "x"), next()[..300].to_vec()].concat()),
        ("nothing but an extension", pax(&[("path", "a")])),
        ("no bytes", vec![]),
    ]);
    all
}

#[test]
fn what_is_built_by_hand() {
    let mut found = Vec::new();
    let cases = cases();
    for (name, archive) in &cases {
        compare(name, archive, &mut found);
    }
    check(&cases.iter().map(|case| case.0).collect::<Vec<_>>(), found);
}

/// A case, a reader, and both sides' accounts.
type Difference = (&'static str, &'static str, String);

fn compare(case: &'static str, archive: &[u8], found: &mut Vec<Difference>) {
    for (reader, read) in READERS {
        let Some(theirs) = read(archive) else {
            eprintln!("SKIP {case}, read by {reader}: needs the program");
            continue;
        };
        let ours =
            if reader == "GNU tar" { readers::as_gnu_tar_lists(archive) } else { readers::ours(archive) };
        let same = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => {
                // The columns of a listing are as wide as they must be.
                let words =
                    |line: &String| line.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
                ours.iter().map(words).eq(theirs.iter().map(words))
            }
            (Err(_), Err(_)) => true,
            _ => false,
        };
        if !same {
            found.push((case, reader, format!("ours: {ours:#?}\ntheirs: {theirs:#?}")));
        }
    }
}

/// Every difference is an accepted one, and every accepted one of these cases is there.
fn check(cases: &[&str], found: Vec<Difference>) {
    let mut wrong = Vec::new();
    for (case, reader, accounts) in &found {
        if !ACCEPTED.iter().any(|(c, r, _)| c == case && r == reader) {
            wrong.push(format!("{case:?}, {reader:?} differs:\n{accounts}"));
        }
    }
    for (case, reader, _) in ACCEPTED {
        let is_there = found.iter().any(|(c, r, _)| c == case && r == reader);
        if cases.contains(case) && !is_there {
            wrong.push(format!("{case:?}, {reader:?} does not differ any more"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The differences that are accepted: case, reader, and why ours is what it is.
pub(crate) const ACCEPTED: &[(&str, &str, &str)] = &[
    // What one of the others cannot read, or reads against its specification.
    ("GNU tar, posix, sparse 1.0", "tar (crate)", SPARSE),
    ("GNU tar, posix, sparse 0.0", "tar (crate)", SPARSE),
    ("GNU tar, posix, sparse 0.1", "tar (crate)", SPARSE),
    ("bsdtar, pax", "tar (crate)", SPARSE),
    ("PAX sparse 0.1", "tar (crate)", SPARSE),
    ("a sparse map that overlaps", "tar (crate)", SPARSE),
    ("a sparse map beyond the end", "tar (crate)", SPARSE),
    (
        "old GNU sparse, without a part at the end",
        "tar (crate)",
        "it wants the part; a hole at the end needs none",
    ),
    (
        "old GNU sparse, without a part at the end",
        "GNU tar",
        "without the part it leaves the hole at the end out",
    ),
    ("a global owner", "tar (crate)", GLOBAL),
    ("a global owner", "tar-core (crate)", GLOBAL),
    ("a global owner", "bsdtar", "it passes over global headers"),
    ("an old directory", "tar (crate)", OLD),
    ("an old directory", "tar-core (crate)", OLD),
    (
        "a regular file with a slash",
        "GNU tar",
        "it takes the old rule for directories for all formats, and loses the data",
    ),
    ("a regular file with a slash", "bsdtar", "the same, and then it takes the data for a header"),
    ("reserved type 7", "GNU tar", "it lists the type's own letter, and reads a file"),
    ("a key twice", "tar (crate)", "it takes the first; POSIX says the last"),
    ("an empty value", "tar (crate)", "the same; POSIX says that an empty value deletes"),
    ("an empty value", "tar-core (crate)", "it takes the empty value for the name"),
    ("an empty value", "GNU tar", "it takes the empty value for the name"),
    ("two headers in a row", "tar (crate)", "it refuses them"),
    ("two headers in a row", "tar-core (crate)", "it refuses them"),
    ("two headers in a row", "bsdtar", "it refuses them"),
    ("two headers in a row", "GNU tar", "it keeps what the second says and forgets the first"),
    ("PAX size of a directory", "tar (crate)", "it takes the next header for data of the directory"),
    ("PAX size of a directory", "GNU tar", "it lists the size, and skips nothing"),
    ("PAX size of a directory", "bsdtar", "it takes the next header for data of the directory"),
    (
        "size of a link",
        "tar (crate)",
        "it hands out what follows as content of the link, and then as entries",
    ),
    ("size of a hard link", "tar (crate)", "the same"),
    ("size of a link", "GNU tar", "it skips what is no data: the next entry is lost"),
    (
        "no bytes",
        "GNU tar",
        "it wants an end mark at least; no bytes are an empty layer if the digest says so",
    ),
    // What we refuse, since two readers would see two archives, or no file could have it.
    ("an unknown type", "tar (crate)", UNKNOWN),
    ("an unknown type", "GNU tar", UNKNOWN),
    ("an unknown type", "bsdtar", UNKNOWN),
    ("GNU and PAX names that differ", "tar (crate)", NAMES),
    ("GNU and PAX names that differ", "tar-core (crate)", NAMES),
    ("GNU and PAX names that differ", "GNU tar", NAMES),
    ("GNU and PAX names that differ", "bsdtar", NAMES),
    ("a negative size by PAX", "tar (crate)", "it passes over what it cannot parse, and takes the header's"),
    ("uid of 2^32", "tar (crate)", OWNER),
    ("uid of 2^32", "tar-core (crate)", OWNER),
    ("a negative uid", "tar (crate)", OWNER),
    ("a negative uid", "tar-core (crate)", OWNER),
    ("a sparse map that overlaps", "tar-core (crate)", "it leaves the check to its caller"),
    ("a sparse map that overlaps", "bsdtar", "it takes the parts as they come"),
    ("a sparse map beyond the end", "bsdtar", "it cuts at the end"),
    ("a sparse map beyond the end", "GNU tar", "it writes behind the end that it lists"),
    ("an empty name", "tar (crate)", "it leaves the check to its caller"),
    ("an empty name", "GNU tar", "it lists the entry; no file could have that name"),
    ("cut in a header", "GNU tar", "it takes a short last block for the end"),
    ("nothing but an extension", "GNU tar", "it forgets what was announced"),
    // What we do not read any more, since most others do not.
    (
        "one block of zeros, then an entry",
        "tar-core (crate)",
        "it goes on after one block; the others stop, and so do we",
    ),
];

const SPARSE: &str =
    "the crate `tar` knows no sparse files in PAX: it gives what is stored, under a name of its own";
const GLOBAL: &str = "both crates leave global headers to their callers";
const OLD: &str = "the rule that a slash makes a directory where there is no type is left to the caller";
const UNKNOWN: &str = "a file of an unknown type would be left out, or become another kind of file";
const NAMES: &str = "some take the one and some the other: the archive is two archives";
const OWNER: &str = "no such owner exists; cut to 32 bits it would be another one";
