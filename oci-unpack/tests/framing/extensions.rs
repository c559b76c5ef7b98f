//! PAX and GNU extension headers.

use oci_unpack::framing::{Timestamp, Warning};

use crate::builder::*;
use crate::{first, names, read, refused};

#[test]
fn names_and_targets() {
    let long = "long/".repeat(60);
    let link = || Header::new("short", b'2').link("target").block();
    for (extensions, name, target) in [
        (vec![pax(&[("path", &long)])], &long[..], "target"),
        (vec![pax(&[("linkpath", &long)])], "short", &long[..]),
        (vec![extension(b'L', format!("{long}\0"))], &long, "target"),
        (vec![extension(b'L', &long)], &long, "target"),
        (vec![extension(b'K', format!("{long}\0"))], "short", &long),
        (vec![extension(b'K', &long), extension(b'L', &long)], &long, &long),
        // Both spellings, equal.
        (vec![extension(b'L', "n\0"), pax(&[("path", "n")])], "n", "target"),
        (vec![pax(&[("path", "n")]), extension(b'L', "n\0")], "n", "target"),
        // Later ones replace and add.
        (vec![pax(&[("path", "a"), ("linkpath", "b")]), pax(&[("path", "c")])], "c", "b"),
        (vec![pax(&[("path", "a"), ("path", "b")])], "b", "target"),
        (vec![extension(b'L', "a"), extension(b'L', "b")], "b", "target"),
        // An empty value deletes.
        (vec![pax(&[("path", "a"), ("path", "")])], "short", "target"),
        (vec![pax(&[("path", "a")]), pax(&[("path", "")])], "short", "target"),
        // Values may hold any byte but NUL.
        (vec![pax(&[("path", "a\nb = c"), ("comment", "\0\n=")])], "a\nb = c", "target"),
    ] {
        let entry = first(&[extensions.concat(), link(), next(), end()].concat());
        assert_eq!(String::from_utf8_lossy(&entry.path), name);
        assert_eq!(String::from_utf8_lossy(&entry.link), target);
    }
}

#[test]
fn readers_must_not_see_two_files() {
    for extensions in
        [[extension(b'L', "gnu"), pax(&[("path", "pax")])], [pax(&[("path", "pax")]), extension(b'L', "gnu")]]
    {
        refused("names", &[extensions.concat(), file("x", "")].concat(), &["differs", "pax", "gnu"]);
    }
    let targets =
        [extension(b'K', "gnu"), pax(&[("linkpath", "pax")]), Header::new("x", b'2').block()].concat();
    refused("targets", &targets, &["link target", "differs"]);
}

#[test]
fn numbers_and_times() {
    let with =
        |records: &[(&str, &str)]| first(&[pax(records), Header::new("n", b'0').block(), next()].concat());
    let entry = with(&[("uid", "4294967294"), ("gid", "3000000000"), ("mtime", "1.25")]);
    assert_eq!((entry.uid, entry.gid), (4_294_967_294, 3_000_000_000));
    assert_eq!(entry.mtime, Timestamp { seconds: 1, nanos: 250_000_000 });
    assert_eq!(with(&[("mtime", "4611686018427387904")]).mtime.seconds, 1 << 62);
    assert_eq!(with(&[("mtime", "-1.0000000019")]).mtime, Timestamp { seconds: -2, nanos: 999_999_999 });
    // A record makes the field behind it of no importance.
    let broken = Header::new("n", b'0').put(108, "garbage!").block();
    assert_eq!(first(&[pax(&[("uid", "7")]), broken, next()].concat()).uid, 7);
    for (key, value) in [
        ("uid", "4294967295"),
        ("uid", "4294967296"),
        ("gid", "18446744073709551616"),
        ("gid", "-1"),
        ("size", "-1"),
        ("size", "9223372036854775808"),
        ("size", "12a"),
        ("mtime", "now"),
        ("mtime", "99999999999999999999"),
        ("SCHILY.devmajor", "4294967296"),
        ("path", "a\0b"),
        ("linkpath", "a\0b"),
        ("LIBARCHIVE.xattr.user.x", "***"),
        ("SCHILY.xattr.", "x"),
    ] {
        let archive = [file("before", ""), pax(&[(key, value)]), file("x", "")].concat();
        refused(key, &archive, &["after entry before"]);
    }
}

#[test]
fn a_size_is_that_of_the_file_and_of_nothing_between() {
    let archive = [
        pax(&[("size", "700")]),
        extension(b'L', "a long name"),
        Header::new("x", b'0').size(0).block(),
        padded(&[b'd'; 700]),
        next(),
        end(),
    ]
    .concat();
    let read = read(&archive).unwrap();
    assert_eq!(read.entries[0].1, [b'd'; 700]);
    assert_eq!(read.entries[1].0.path, b"next");
}

#[test]
fn broken_records() {
    for body in
        ["", "5 a=b\n", "a=b\n", "6 a=b", "6 a=b\n6 a=b", "6 ab\n\n", "-6 a=b\n", "6  a=b\n", "999 a=b\n"]
    {
        let archive = [extension(b'x', body), file("n", "")].concat();
        assert_eq!(read(&archive).is_ok(), body.is_empty(), "{body:?}");
    }
}

#[test]
fn xattrs() {
    let entry = first(
        &[
            pax(&[
                ("LIBARCHIVE.xattr.user.a", "bG9zZXM="),
                ("SCHILY.xattr.user.a", "wins"),
                ("LIBARCHIVE.xattr.user.%25%3D", "aGk"),
                ("SCHILY.xattr.user.empty", ""),
                ("SCHILY.xattr.user.nl", "a\nb=\0"),
            ]),
            file("n", ""),
            next(),
        ]
        .concat(),
    );
    let expected = [("user.%=", "hi"), ("user.a", "wins"), ("user.empty", ""), ("user.nl", "a\nb=\0")];
    assert_eq!(entry.xattrs, expected.map(|(name, value)| (name.into(), value.into())));

    let large = "v".repeat(64 << 10);
    let with = |value: &str| [pax(&[("SCHILY.xattr.user.x", value)]), file("n", ""), next()].concat();
    assert_eq!(first(&with(&large)).xattrs[0].1.len(), 64 << 10);
    refused("large", &with(&(large + "v")), &["xattr bytes", "65536"]);
}

#[test]
fn records_that_are_not_applied_are_told() {
    let archive = [pax(&[("SCHILY.acl.access", "user::rwx")]), file("n", "")].concat();
    let expected = [Warning::UnsupportedRecord { entry: "n".into(), key: "SCHILY.acl.access" }];
    assert_eq!(read(&archive).unwrap().warnings, expected);
}

#[test]
fn global_headers() {
    let global = |records: &[(&str, &str)]| {
        extension(b'g', records.iter().flat_map(|(key, value)| record(key, value)).collect::<Vec<_>>())
    };
    let archive = [
        global(&[("comment", "0123456789abcdef"), ("unknown", "x"), ("uid", "5"), ("mtime", "9")]),
        file("one", "1"),
        pax(&[("uid", "6"), ("mtime", "")]),
        file("two", "2"),
        global(&[("uid", "")]),
        file("three", "3"),
        global(&[("path", "evil"), ("size", "0")]),
        global(&[("path", "evil")]),
        file("four", "4"),
        global(&[]),
    ]
    .concat();
    let read = read(&archive).unwrap();
    let seen: Vec<_> = read
        .entries
        .iter()
        .map(|(entry, data)| {
            (std::str::from_utf8(&entry.path).unwrap(), entry.uid, entry.mtime.seconds, data.len())
        })
        .collect();
    assert_eq!(seen, [("one", 5, 9, 1), ("two", 6, 0, 1), ("three", 0, 9, 1), ("four", 0, 9, 1)]);
    let ignored = |key| Warning::IgnoredGlobalRecord { key };
    assert_eq!(read.warnings, [ignored("path"), ignored("size")]);
}

#[test]
fn extensions_need_an_entry() {
    for flag in *b"xLK" {
        let body = if flag == b'x' { record("path", "n") } else { b"n".to_vec() };
        for tail in [vec![], vec![0; 512], end()] {
            refused(
                "left over",
                &[next(), extension(flag, &body), tail].concat(),
                &["without its entry", "after entry next"],
            );
        }
    }
}

#[test]
fn large_and_many() {
    for flag in *b"xgLK" {
        for size in [(1 << 20) + 1, 256 << 20, (1 << 33) - 1] {
            let archive = Header::new("extension", flag).size(size).block();
            refused("large", &archive, &["extension header bytes", "1048576"]);
        }
    }
    let comment = "c".repeat((1 << 20) - 100);
    assert_eq!(names(&[pax(&[("comment", &comment)]), next()].concat()).unwrap(), ["next"]);
    let many = |n: usize| [pax(&[("uid", "1")]).repeat(n), next()].concat();
    assert_eq!(names(&many(16)).unwrap(), ["next"]);
    refused("many", &many(17), &["extension headers before one entry", "16"]);
}
