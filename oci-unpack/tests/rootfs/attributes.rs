//! Modes, owners, devices, extended attributes and times.

use super::layer::{chr, dir, fifo, file, item, symlink};
use super::{Mode, is_root, row, run};

#[test]
fn modes() {
    run(vec![
        row(
            "89",
            "suid, sgid and sticky, whoever unpacks",
            vec![vec![
                file("suid", "").mode(0o4755),
                file("sgid", "").mode(0o2711),
                dir("sticky/").mode(0o1777),
                file("all", "").mode(0o7777),
                file("none", "").mode(0),
                fifo("pipe").mode(0o4751),
            ]],
            "all = 7777
             none =PLACEHOLDER 0000
             pipe | 4751
             sgid = 2711
             sticky/ 1777
             suid = 4755",
        ),
        row(
            "89b",
            "the same with owners: a change of owner clears them, so that it comes first",
            vec![vec![
                file("suid", "content").mode(0o4755).owner(1, 2),
                file("all", "").mode(0o7777).owner(1000, 1000),
                dir("d/").mode(0o3777).owner(5, 6),
                fifo("pipe").mode(0o6751).owner(7, 8),
                symlink("l", "x").owner(9, 10),
            ]],
            "all = 7777 1000:1000
             d/ 3777 5:6
             l -> x 9:10
             pipe | 6751 7:8
             suid =content 4755 1:2",
        )
        .root(),
        row(
            "89c",
            "children of a sgid directory inherit neither its group nor the bit",
            vec![
                vec![dir("g/").mode(0o2775).owner(0, 77)],
                vec![file("g/f", "").mode(0o644), dir("g/d/"), symlink("g/l", "x"), fifo("g/p")],
            ],
            "g/ 2775 0:77
             g/d/
             g/f =
             g/l -> x
             g/p |",
        )
        .root(),
        row(
            "91",
            "large owners",
            vec![vec![file("a", "").owner(3_000_000_000, 4_294_967_294)]],
            "a = 3000000000:4294967294",
        )
        .root(),
        row("92", "2^32", vec![vec![file("a", "").owner(1 << 32, 0)]], "error: uid"),
        row("92b", "2^32-1", vec![vec![file("a", "").owner(0, (1 << 32) - 1)]], "error: gid"),
        row(
            "92c",
            "2^64 and negative",
            vec![vec![file("a", "").pax("uid", "18446744073709551616")]],
            "error: uid",
        ),
        row("92d", "negative", vec![vec![file("a", "").pax("gid", "-1")]], "error: gid"),
    ]
    .into_iter()
    .map(|mut row| {
        // A file without permissions can be read by root alone.
        let content = if is_root() { "" } else { "Permission denied (os error 13)" };
        row.want = row.want.replace("PLACEHOLDER", content).leak();
        row
    })
    .collect());
}

#[test]
fn devices() {
    run(vec![
        row(
            "94",
            "with their exact modes",
            vec![vec![
                chr("null", 1, 3).mode(0o666),
                chr("big", 4095, 1_048_575).owner(0, 5).mode(0o620),
                chr("zero", 0, 0),
                {
                    let mut disk = item("disk", b'4').mode(0o4660).owner(0, 6);
                    disk = disk.pax("comment", "as it is");
                    disk
                },
            ]],
            "big c4095:1048575 0620 0:5
             disk b0:0 4660 0:6
             null c1:3 0666
             zero c0:0",
        )
        .root()
        // Row 37: in an overlay's layer it would hide something.
        .overlay(
            "big c4095:1048575 0620 0:5
             disk b0:0 4660 0:6
             null c1:3 0666",
            1,
        ),
        row("94b", "a major number the kernel has not", vec![vec![chr("d", 4096, 0)]], "error: \"d\"…4096:0"),
        row(
            "94c",
            "a minor number the kernel has not",
            vec![vec![chr("d", 1, 1 << 20)]],
            "error: \"d\"…1:1048576",
        ),
    ]);
    if is_root() {
        return;
    }
    run(vec![
        row(
            "94d",
            "without privileges: left out with a warning, and what it replaces goes",
            vec![vec![file("null", "lower"), file("a", "a")], vec![chr("null", 1, 3)]],
            "a =a",
        )
        .warnings(1),
        row(
            "94e",
            "a hard link to a device that was left out is left out, too",
            vec![vec![chr("null", 1, 3), super::layer::hard("n2", "null"), file("a", "a")]],
            "a =a",
        )
        .warnings(2),
    ]);
}

#[test]
fn extended_attributes() {
    run(vec![
        row(
            "100",
            "user.* on files and directories, empty values, any byte",
            vec![vec![
                file("f", "").mode(0o444).xattr("user.a", "1").xattr("user.empty", "").xattr("user.bin", b"\0\xff=\n"),
                dir("d/").mode(0o555).xattr("user.d", "x"),
            ]],
            r"d/ 0555 {user.d=x}
              f = 0444 {user.a=1} {user.bin=\x00\xff=\n} {user.empty=}",
        ),
        row(
            "98",
            "user.* on a link: never set on its target",
            vec![vec![file("t", ""), symlink("l", "t").xattr("user.a", "1")]],
            "l -> t
             t =",
        )
        .warnings(1),
        row(
            "98b",
            "and on a pipe",
            vec![vec![fifo("p").xattr("user.a", "1")]],
            "p |",
        )
        .warnings(1),
        row("101", "trusted.* is left out", vec![vec![file("f", "").xattr("trusted.overlay.opaque", "y")]], "f ="),
        row("102", "labels are left out", vec![vec![file("f", "").xattr("security.selinux", "x:y:z")]], "f ="),
        row(
            "104",
            "the form of libarchive",
            vec![vec![
                file("f", "")
                    .pax("LIBARCHIVE.xattr.user.a%20b", "dmFsdWU=")
                    .pax("LIBARCHIVE.xattr.user.both", "bG9zZXM=")
                    .xattr("user.both", "wins"),
            ]],
            "f = {user.a b=value} {user.both=wins}",
        ),
        row(
            "104b",
            "names that are left out are left out in this form, too",
            vec![vec![
                file("f", "")
                    .pax("LIBARCHIVE.xattr.trusted.overlay.opaque", "eQ==")
                    .pax("LIBARCHIVE.xattr.security%2Eselinux", "eDp5OnoA")
                    .pax("LIBARCHIVE.xattr.user.a", "MQ"),
            ]],
            "f = {user.a=1}",
        ),
        row(
            "105",
            "a namespace that the kernel does not have",
            vec![vec![file("f", "").xattr("com.apple.quarantine", "1").xattr("user.a", "1")]],
            "f = {user.a=1}",
        )
        .warnings(1),
        row(
            "106",
            "more than 64 KiB",
            vec![vec![file("f", "").xattr("user.a", vec![b'x'; (64 << 10) + 1])]],
            "error: f",
        ),
        row(
            "97",
            "capabilities survive owner and mode",
            vec![vec![
                file("f", "data").mode(0o4755).owner(3, 4).xattr("security.capability", CAP_NET_RAW),
            ]],
            r"f =data 4755 3:4 {security.capability=\x01\x00\x00\x02\x00 \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00}",
        )
        .root(),
        row(
            "97b",
            "security.* on a link and a device",
            vec![vec![symlink("l", "x").xattr("security.test", "1"), chr("c", 1, 3).xattr("security.test", "2")]],
            "c c1:3 {security.test=2}
             l -> x {security.test=1}",
        )
        .root(),
    ]);
    if is_root() {
        return;
    }
    run(vec![
        row(
            "97c",
            "without privileges: a warning, and the file stays",
            vec![vec![file("f", "data").xattr("security.capability", CAP_NET_RAW)]],
            "f =data",
        )
        .warnings(1),
    ]);
}

/// `cap_net_raw=ep`, in version 2 of the format.
const CAP_NET_RAW: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

#[test]
fn kept_by_policy() {
    if !is_root() {
        eprintln!("SKIP row 101, kept by policy: needs root");
        return;
    }
    for mode in [Mode::Rootfs, Mode::Trusted, Mode::User] {
        let room = super::Room::of(mode);
        let archive = super::layer::archive(&[file("f", "").xattr("trusted.a", "1")]);
        let options = oci_unpack::UnpackOptions::default().keep_trusted_xattrs(true);
        let (result, _) = room.unpack(&[archive], options);
        let report = result.unwrap();
        assert_eq!(report.warnings, 0);
        assert_eq!(room.show(&report).unwrap(), "f = {trusted.a=1}");
    }
}

#[test]
fn times() {
    run(vec![
        row(
            "108",
            "nanoseconds on every kind of node, further digits cut",
            vec![vec![
                file("f", "").time("1.123456789987"),
                dir("d/").time("2.5"),
                symlink("l", "x").time("3.000000001"),
                fifo("p").time("4.999999999"),
            ]],
            "d/ @2.500000000
             f = @1.123456789
             l -> x @3.000000001
             p | @4.999999999",
        ),
        row(
            "110",
            "after 2038 and 2106, and before 1970",
            vec![vec![
                file("a", "").time("4102444800"),
                file("b", "").time("5000000000.5"),
                file("c", "").time("-1.5"),
            ]],
            "a = @4102444800
             b = @5000000000.500000000
             c = @-2.500000000",
        ),
    ]);
}

/// Rows 111 and 112: the latest time the file system keeps, whatever that is; never a wrapped one.
#[test]
fn times_beyond() {
    use std::os::unix::fs::MetadataExt;
    for time in ["253402300799", "4611686018427387904", "-4611686018427387904"] {
        let room = super::Room::new();
        let archive = super::layer::archive(&[
            file("f", "").time(time),
            dir("d/").time(time),
            symlink("l", "x").time(time),
        ]);
        let (result, warnings) = room.unpack(&[archive], Default::default());
        result.unwrap();
        let wanted: i64 = time.parse().unwrap();
        for name in ["f", "d", "l"] {
            let kept = room.destination().join(name).symlink_metadata().unwrap().mtime();
            assert_eq!(kept < 0, wanted < 0, "{time}: {kept}");
            assert!(kept.unsigned_abs() <= wanted.unsigned_abs());
            assert!(kept == wanted || !(0..=4_102_444_800).contains(&kept), "{time}: {kept}");
            if kept != wanted {
                assert_eq!(warnings.len(), 3, "{time} became {kept} without a warning");
            }
        }
    }
}
