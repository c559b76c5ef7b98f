//! Type changes, parents, and the attributes of directories: everything but a directory over a directory replaces.

use super::layer::{Item, chr, dir, fifo, file, hard, item, symlink, wh};
use super::{row, run, run_over};

fn base() -> Vec<Item> {
    vec![
        dir("d/"),
        file("d/in", "in"),
        file("f", "f").mode(0o600),
        symlink("s", "d"),
        symlink("sf", "f"),
        symlink("dang", "/nope"),
    ]
}

#[test]
fn replacing() {
    let rest = "dang -> /nope
                f =f 0600";
    let over = |row_number, why, new: Item, line: &'static str| {
        let want = format!("{}\n{rest}\ns -> d\nsf -> f", line);
        row(row_number, why, vec![vec![new]], want.leak())
    };
    run_over(
        &base(),
        vec![
            row(
                "41",
                "a file over a directory",
                vec![vec![file("d", "now a file")]],
                "d =now a file
                 dang -> /nope
                 f =f 0600
                 s -> d
                 sf -> f",
            ),
            over("41b", "a link over a directory", symlink("d", "f"), "d -> f"),
            over("41c", "a pipe over a directory", fifo("d"), "d |"),
            over("41d", "a device over a directory", chr("d", 1, 3), "d c1:3").root(),
            row(
                "41e",
                "a hard link over a directory",
                vec![vec![hard("d", "f")]],
                "d =f 0600
                 dang -> /nope
                 f == d
                 s -> d
                 sf -> f",
            ),
            row(
                "41f",
                "a hard link over the directory that holds its target",
                vec![vec![hard("d", "d/in")]],
                "d =in
                 dang -> /nope
                 f =f 0600
                 s -> d
                 sf -> f",
            ),
            row(
                "42",
                "a directory over a file, over a link to nowhere, and over a link to a directory",
                vec![vec![dir("f/"), dir("dang/"), dir("s/")]],
                "d/
                 d/in =in
                 dang/
                 f/
                 s/
                 sf -> f",
            ),
            row(
                "55",
                "the same name twice in one layer: the later entry wins",
                vec![vec![
                    file("x", "x"),
                    dir("x/"),
                    file("x/y", "y"),
                    dir("z/"),
                    file("z/y", "y"),
                    file("z", "z"),
                ]],
                "d/
                 d/in =in
                 dang -> /nope
                 f =f 0600
                 s -> d
                 sf -> f
                 x/
                 x/y =y
                 z =z",
            )
            .warnings(2),
            row(
                "55b",
                "what goes with a directory that no entry names is told, too",
                vec![vec![file("z/y", "y"), file("z", "z")]],
                "d/
                 d/in =in
                 dang -> /nope
                 f =f 0600
                 s -> d
                 sf -> f
                 z =z",
            )
            .warnings(1),
        ],
    );
}

#[test]
fn parents() {
    run_over(
        &base(),
        vec![
            row(
                "44",
                "through a link to a directory",
                vec![vec![file("s/new", "new")]],
                "d/
                 d/in =in
                 d/new =new
                 dang -> /nope
                 f =f 0600
                 s -> d
                 sf -> f",
            ),
            row(
                "45",
                "through an absolute link to nowhere: made inside the root",
                vec![vec![file("dang/new", "new")]],
                "d/
                 d/in =in
                 dang -> /nope
                 f =f 0600
                 nope/ @0
                 nope/new =new
                 s -> d
                 sf -> f",
            ),
            row(
                "46",
                "below a file of a lower layer: replaced by a directory with a directory's mode",
                vec![vec![file("f/child", "c")]],
                "d/
                 d/in =in
                 dang -> /nope
                 f/ @0
                 f/child =c
                 s -> d
                 sf -> f",
            )
            .warnings(1),
            row(
                "46b",
                "the same through a link to the file",
                vec![vec![file("sf/child", "c")]],
                "d/
                 d/in =in
                 dang -> /nope
                 f/ @0
                 f/child =c
                 s -> d
                 sf -> f",
            )
            .warnings(1),
            row(
                "47",
                "below a file of the same layer",
                vec![vec![file("p", "p"), file("p/child", "c")]],
                "d/
                 d/in =in
                 dang -> /nope
                 f =f 0600
                 p/ @0
                 p/child =c
                 s -> d
                 sf -> f",
            )
            .warnings(1),
        ],
    );
}

#[test]
fn directories() {
    run(vec![
        row(
            "49",
            "listed again: all attributes are replaced and the children kept",
            vec![
                vec![
                    dir("d/").mode(0o700).xattr("user.old", "1").xattr("user.both", "1"),
                    file("d/f", "f").xattr("user.old", "1"),
                ],
                vec![dir("d/").mode(0o711).time("2000").xattr("user.both", "2"), file("d/f", "g")],
            ],
            "d/ 0711 @2000 {user.both=2}
             d/f =g",
        ),
        row(
            "49b",
            "the owner, too",
            vec![vec![dir("d/").owner(5, 6), file("d/f", "f").owner(7, 8)], vec![dir("d/").owner(9, 0)]],
            "d/ 9:0
             d/f =f 7:8",
        )
        .root(),
        row(
            "50",
            "its own time, although children come later, also in a layer that does not list it",
            vec![
                vec![dir("d/").time("1234.5"), file("d/a", "a"), dir("d/e/").time("77"), file("d/e/b", "b")],
                vec![file("d/c", "c"), wh("d/e/.wh.b")],
            ],
            "d/ @1234.500000000
             d/a =a
             d/c =c
             d/e/ @77",
        ),
        row(
            "51",
            "directories nobody may write to take children, whiteouts and replacements",
            vec![
                vec![
                    dir("ro/").mode(0o555),
                    file("ro/a", "a"),
                    file("ro/b", "b"),
                    dir("no/").mode(0),
                    dir("no/in/").mode(0),
                ],
                vec![wh("ro/.wh.a"), file("ro/b", "new"), file("no/in/c", "c"), wh(".wh.none")],
                vec![wh("no/.wh.in"), file("ro/d", "d")],
            ],
            "no/ 0000
             ro/ 0555
             ro/b =new
             ro/d =d",
        ),
        row(
            "52",
            "the root's own entry",
            vec![vec![dir("./").mode(0o711).time("5"), file("a", "a")]],
            "./ 0711 @5
             a =a",
        ),
        row("52b", "under its other names", vec![vec![dir("/").mode(0o750), dir(".").time("6")]], "./ @6"),
        row("52c", "with an owner", vec![vec![dir("./").owner(12, 34)]], "./ 12:34").root(),
        row(
            "53",
            "the root as a link",
            vec![vec![symlink(".", "canary")]],
            "error: root can only be a directory",
        ),
        row(
            "53b",
            "the root as a file",
            vec![vec![item("./.", b'0')]],
            "error: root can only be a directory",
        ),
        row("53c", "the root as a pipe", vec![vec![fifo("/")]], "error: root can only be a directory"),
        row(
            "53d",
            "the root as a hard link",
            vec![vec![file("a", "a"), hard("/.", "a")]],
            "error: root can only be a directory",
        ),
        row(
            "57",
            "one name of an inode anew: the other stays as it was",
            vec![vec![file("x", "x"), hard("y", "x")], vec![file("x", "x").mode(0o600)]],
            "x =x 0600
             y =x",
        ),
        row("58", "two names that differ in case", vec![vec![file("A", "1"), file("a", "2")]], "A =1\na =2"),
        row(
            "89",
            "a parent that no entry names has nothing of its own parent",
            vec![vec![dir("g/").mode(0o2775), file("g/i/j/f", "f")]],
            "g/ 2775
             g/i/ @0
             g/i/j/ @0
             g/i/j/f =f",
        ),
    ]);
}
