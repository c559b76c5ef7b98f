//! Owners recorded in attributes, by users who may not set them.
//!
//! The tables run as whoever runs the tests: in these modes root's tree is an ordinary user's.

use oci_unpack::{Ownership, UnpackOptions};

use super::layer::{Item, chr, dir, fifo, file, hard, item, symlink, wh};
use super::{Row, row, run};

/// A row in one of the recording modes. Its `row` is where in the table it belongs: row 89, attributes.
fn recorded(why: &'static str, ownership: Ownership, layers: Vec<Vec<Item>>, want: &'static str) -> Row {
    row("89, recorded", why, layers, want).options(UnpackOptions::default().ownership(ownership))
}

#[test]
fn rootlesscontainers() {
    let mode = Ownership::RootlessContainers;
    run(vec![
        recorded(
            "files and directories; none for 0:0, and half a one where half of it is 0",
            mode,
            vec![vec![
                dir("d/").owner(1000, 5),
                file("d/f", "f").owner(300, 300),
                file("group", "").owner(0, 42),
                file("root", ""),
                file("user", "").owner(300, 0),
            ]],
            r"d/ {user.rootlesscontainers=\x08\xe8\x07\x10\x05}
              d/f =f {user.rootlesscontainers=\x08\xac\x02\x10\xac\x02}
              group = {user.rootlesscontainers=\x08\xff\xff\xff\xff\x0f\x10*}
              root =
              user = {user.rootlesscontainers=\x08\xac\x02\x10\xff\xff\xff\xff\x0f}",
        ),
        recorded(
            "the root, a mode without write permission, and suid",
            mode,
            vec![vec![
                dir("./").owner(1, 1).mode(0o750),
                file("f", "f").owner(1, 1).mode(0o444),
                file("s", "").owner(1, 1).mode(0o4555),
                dir("ro/").owner(1, 1).mode(0o500),
            ]],
            r"./ 0750 {user.rootlesscontainers=\x08\x01\x10\x01}
              f =f 0444 {user.rootlesscontainers=\x08\x01\x10\x01}
              ro/ 0500 {user.rootlesscontainers=\x08\x01\x10\x01}
              s = 4555 {user.rootlesscontainers=\x08\x01\x10\x01}",
        ),
        recorded(
            "the newest entry of a directory decides, and takes the record of the one before away",
            mode,
            vec![
                vec![dir("a/").owner(1, 1), dir("b/"), file("a/f", "")],
                vec![dir("a/"), dir("b/").owner(2, 2)],
            ],
            r"a/
              a/f =
              b/ {user.rootlesscontainers=\x08\x02\x10\x02}",
        ),
        recorded(
            "links and pipes cannot have one: a warning only where something is lost",
            mode,
            vec![vec![symlink("l", "x"), symlink("m", "x").owner(1, 0), fifo("p"), fifo("q").owner(0, 1)]],
            "l -> x
             m -> x
             p |
             q |",
        )
        .warnings(2),
        recorded(
            "the image's own are left out",
            mode,
            vec![vec![
                file("f", "").xattr("user.rootlesscontainers", b"\x08\x05\x10\x05").xattr("user.a", "1"),
            ]],
            "f = {user.a=1}",
        ),
        recorded(
            "one record for all names of a file",
            mode,
            vec![vec![file("a", "a").owner(1, 1), hard("b", "a")]],
            r"a =a {user.rootlesscontainers=\x08\x01\x10\x01}
              b == a",
        ),
        recorded("devices are left out", mode, vec![vec![chr("null", 1, 3).owner(0, 5)]], "").warnings(1),
    ]);
}

#[test]
fn override_stat() {
    let mode = Ownership::OverrideStat;
    run(vec![
        recorded(
            "every file and directory has one; modes on the disk give nobody anything, and lock nobody out",
            mode,
            vec![vec![
                dir("d/").owner(1000, 5).mode(0o1777),
                file("d/f", "f").owner(0, 42),
                dir("closed/").mode(0),
                file("closed/none", "none").mode(0),
                file("s", "").mode(0o6755).owner(3_000_000_000, 1),
            ]],
            "./ @0 {user.containers.override_stat=0:0:0755:dir}
             closed/ 0700 {user.containers.override_stat=0:0:0000:dir}
             closed/none =none 0600 {user.containers.override_stat=0:0:0000:file}
             d/ 0777 {user.containers.override_stat=1000:5:1777:dir}
             d/f =f {user.containers.override_stat=0:42:0644:file}
             s = 0755 {user.containers.override_stat=3000000000:1:6755:file}",
        ),
        recorded(
            "devices and pipes are empty files that stand for them, in place of what they replace",
            mode,
            vec![
                vec![dir("null/"), file("null/f", ""), file("disk", "old")],
                vec![
                    chr("null", 1, 3).owner(0, 5).mode(0o666),
                    item("disk", b'4').mode(0o4660).owner(0, 6),
                    fifo("p").mode(0o600).owner(7, 7),
                    hard("null2", "null"),
                ],
            ],
            "./ @0 {user.containers.override_stat=0:0:0755:dir}
             disk = 0660 {user.containers.override_stat=0:6:4660:block-0-0}
             null = 0666 {user.containers.override_stat=0:5:0666:char-1-3}
             null2 == null
             p = 0600 {user.containers.override_stat=7:7:0600:pipe}",
        ),
        recorded(
            "a number that the kernel has not stays an error",
            mode,
            vec![vec![chr("d", 4096, 0)]],
            "error: \"d\"…4096:0",
        ),
        recorded(
            "links cannot have one",
            mode,
            vec![vec![symlink("l", "x"), symlink("m", "x").owner(1, 0)]],
            "./ @0 {user.containers.override_stat=0:0:0755:dir}
             l -> x
             m -> x",
        )
        .warnings(1),
        recorded(
            "the image's own are left out, under both names",
            mode,
            vec![vec![
                file("f", "")
                    .xattr("user.containers.override_stat", "0:0:4755:file")
                    .xattr("user.fuseoverlayfs.override_stat", "0:0:4755:file"),
            ]],
            "./ @0 {user.containers.override_stat=0:0:0755:dir}
             f = {user.containers.override_stat=0:0:0644:file}",
        ),
        recorded(
            "whiteouts see them like other files; a directory that no entry names has one, too",
            mode,
            vec![vec![chr("dev/null", 1, 3), fifo("p")], vec![wh(".wh.p"), file("dev/null", "file")]],
            "./ @0 {user.containers.override_stat=0:0:0755:dir}
             dev/ @0 {user.containers.override_stat=0:0:0755:dir}
             dev/null =file {user.containers.override_stat=0:0:0644:file}",
        ),
    ]);
}

/// In other modes these attributes are like any others.
#[test]
fn not_a_record() {
    run(vec![row(
        "100",
        "an attribute that only looks like a record",
        vec![vec![
            file("f", "").xattr("user.rootlesscontainers", "x").xattr("user.containers.override_stat", "y"),
        ]],
        "f = {user.containers.override_stat=y} {user.rootlesscontainers=x}",
    )]);
}
