//! Hard links.

use super::layer::{Item, dir, file, hard, padded, raw, symlink, wh};
use super::{row, run, run_over};

fn base() -> Vec<Item> {
    vec![dir("d/"), file("d/t", "t"), symlink("s", "d/t"), symlink("sd", "d")]
}

#[test]
fn made() {
    run_over(
        &base(),
        vec![
            row(
                "59",
                "several names in several directories of one layer",
                vec![vec![file("a", "a"), hard("b", "a"), hard("e/c", "b"), hard("f", "a")]],
                "a =a
                 b == a
                 d/
                 d/t =t
                 e/ @0
                 e/c == a
                 f == a
                 s -> d/t
                 sd -> d",
            ),
            row(
                "60",
                "before their targets, in a chain, and through a link",
                vec![vec![hard("a", "b"), hard("b", "sd/c"), hard("d/c", "e"), file("e", "e")]],
                "a =e
                 b == a
                 d/
                 d/c == a
                 d/t =t
                 e == a
                 s -> d/t
                 sd -> d",
            ),
            row(
                "60b",
                "the target never comes",
                vec![vec![hard("a", "b")]],
                "error: entry \"a\"…does not exist: \"b\"",
            ),
            row(
                "60c",
                "links in a circle",
                vec![vec![hard("a", "b"), hard("b", "a")]],
                "error: does not exist",
            ),
            row(
                "60d",
                "a later entry of the name wins over a link that waits",
                vec![vec![hard("a", "never"), file("a", "a")]],
                "a =a
                 d/
                 d/t =t
                 s -> d/t
                 sd -> d",
            ),
            row(
                "61",
                "the target is in a lower layer",
                vec![vec![hard("y", "d/t")]],
                "d/
                 d/t =t
                 s -> d/t
                 sd -> d
                 y == d/t",
            ),
            row(
                "64",
                "the target is hidden before",
                vec![vec![wh("d/.wh.t"), hard("y", "d/t")]],
                "error: does not exist",
            ),
            row(
                "65",
                "names from the root of the image, however spelt",
                vec![vec![hard("a", "/d/t"), hard("b", "./d/t"), hard("c", "d//./t"), hard("e", "sd/t")]],
                "a =t
                 b == a
                 c == a
                 d/
                 d/t == a
                 e == a
                 s -> d/t
                 sd -> d",
            ),
            row("66", "above the root", vec![vec![hard("y", "../x/f")]], "error: does not exist"),
            row(
                "66b",
                "absolute, as if on the host",
                vec![vec![hard("y", "/etc/passwd")]],
                "error: does not exist",
            ),
            row(
                "66c",
                "through a link that leads out",
                vec![vec![symlink("out", "../canary"), hard("y", "out/file")]],
                "error: does not exist",
            ),
            row(
                "68",
                "to itself, or to a name of the same inode",
                vec![vec![hard("d/t", "d/t"), hard("sd/t", "./d//t"), hard("y", "d/t"), hard("y", "sd/t")]],
                "d/
                 d/t =t
                 s -> d/t
                 sd -> d
                 y == d/t",
            ),
            row("69", "to a directory", vec![vec![hard("y", "d")]], "error: entry \"y\"…directory"),
            row("69b", "to the root", vec![vec![hard("y", "/")]], "error: entry \"y\"…root"),
            row(
                "69d",
                "to a directory that comes later",
                vec![vec![hard("y", "z"), dir("z/")]],
                "error: entry \"y\"…directory",
            ),
            row(
                "69e",
                "to one through a link that waits",
                vec![vec![hard("x", "y"), hard("y", "d")]],
                "error: directory",
            ),
            row("69c", "to nothing", vec![vec![hard("y", "")]], "error: y…empty name"),
            row(
                "70",
                "a size in the header and no data",
                vec![vec![hard("y", "d/t").size(1), file("z", "z")]],
                "d/
                 d/t =t
                 s -> d/t
                 sd -> d
                 y == d/t
                 z =z",
            ),
            row(
                "71",
                "data that hangs on a link is not taken for the next header, nor skipped",
                vec![vec![hard("y", "d/t").size(5), raw(padded(b"hello")), file("z", "z")]],
                "error: an entry whose kind has no data has a size, and is not followed by a header, after entry y",
            ),
            row(
                "72",
                "attributes of the link's entry mean nothing",
                vec![vec![hard("y", "d/t").mode(0o777).owner(5, 6).time("7")]],
                "d/
                 d/t =t
                 s -> d/t
                 sd -> d
                 y == d/t",
            ),
            row(
                "59b",
                "to a symbolic link: the link itself, which is not followed",
                vec![vec![hard("y", "s")]],
                "d/
                 d/t =t
                 s -> d/t
                 sd -> d
                 y == s",
            ),
            row(
                "59c",
                "over a file",
                vec![vec![file("e", "e")], vec![hard("e", "d/t")]],
                "d/
                 d/t =t
                 e == d/t
                 s -> d/t
                 sd -> d",
            ),
        ],
    );
}

/// Row 60: the cost of a long chain of links that wait is not its square.
#[test]
fn a_long_chain() {
    let count = 20_000;
    let mut items: Vec<Item> = (0..count).map(|i| hard(format!("n{i}"), format!("n{}", i + 1))).collect();
    items.push(file(format!("n{count}"), "end"));
    let archive = super::layer::archive(&items);
    let room = super::Room::new();
    let (result, _) = room.unpack(&[archive], Default::default());
    result.unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(room.destination().join("n0").metadata().unwrap().nlink(), count + 1);
}

#[test]
fn a_link_beside_late_ones() {
    run(vec![
        row(
            "60e",
            "to a name that a link is waiting for waits, too, although a lower layer has that name",
            vec![
                vec![file("b", "lower"), file("c0", "c0")],
                vec![hard("b", "c"), hard("a", "b"), file("c", "c")],
            ],
            "a =c
         b == a
         c == a
         c0 =c0",
        ),
        row(
            "60f",
            "a later entry below the name of a link that waits: as if the link had been there",
            vec![
                vec![dir("p/"), file("p/lower", "lower"), file("t", "t")],
                vec![hard("p", "new"), file("p/child", "c"), file("new", "new")],
            ],
            "new =new
         p/ @0
         p/child =c
         t =t",
        )
        .warnings(1),
        row(
            "60g",
            "a link that waits comes in the place of what its own layer brought before",
            vec![vec![file("p", "p"), file("q", "q"), hard("p", "new"), file("new", "new")]],
            "new =new
         p == new
         q =q",
        )
        .warnings(1),
    ]);
}
