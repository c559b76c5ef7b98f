//! Whiteouts hide what lower layers hold, and only that, wherever in their layer they stand.

use super::layer::{Item, chr, dir, fifo, file, hard, item, symlink, wh};
use super::{Mode, row, run, run_over};

fn base() -> Vec<Item> {
    vec![
        dir("a/"),
        file("a/x", "x"),
        file("a/y", "y"),
        dir("a/sub/"),
        file("a/sub/z", "z"),
        file("top", "top"),
    ]
}

#[test]
fn single_names() {
    run_over(
        &base(),
        vec![
            row(
                "1",
                "the name goes, the time of its directory stays; the marker's attributes mean nothing",
                vec![vec![wh("a/.wh.x").mode(0o777).owner(7, 8).time("5")]],
                "a/
                 a/sub/
                 a/sub/z =z
                 a/y =y
                 top =top",
            ),
            row(
                "2",
                "marker, then the name anew",
                vec![vec![wh("a/.wh.x"), file("a/x", "new")]],
                "a/
                 a/sub/
                 a/sub/z =z
                 a/x =new
                 a/y =y
                 top =top",
            ),
            row(
                "3",
                "the name anew, then its marker",
                vec![vec![file("a/x", "new"), wh("a/.wh.x")]],
                "a/
                 a/sub/
                 a/sub/z =z
                 a/x =new
                 a/y =y
                 top =top",
            ),
            row(
                "3b",
                "new directories, links and pipes survive a later marker, too",
                vec![vec![
                    dir("a/x/"),
                    file("a/x/in", "in"),
                    wh("a/.wh.x"),
                    symlink("a/y", "x"),
                    wh("a/.wh.y"),
                    fifo("top"),
                    wh(".wh.top"),
                    dir("a/sub/"),
                    wh("a/.wh.sub"),
                ]],
                "a/
                 a/sub/
                 a/x/
                 a/x/in =in
                 a/y -> x
                 top |",
            ),
            row(
                "4",
                "a whole subtree",
                vec![vec![wh("a/.wh.sub")]],
                "a/
                 a/x =x
                 a/y =y
                 top =top",
            ),
            row(
                "6",
                "a directory made over its own marker holds nothing of the lower one",
                vec![vec![wh("a/.wh.sub"), dir("a/sub/"), file("a/sub/new", "new")]],
                "a/
                 a/sub/
                 a/sub/new =new
                 a/x =x
                 a/y =y
                 top =top",
            ),
            row(
                "6b",
                "the same, the marker last, and the directory itself not listed",
                vec![vec![file("a/sub/new", "new"), wh("a/.wh.sub")]],
                "a/
                 a/sub/ @0
                 a/sub/new =new
                 a/x =x
                 a/y =y
                 top =top",
            ),
            row(
                "14",
                "nothing of that name below",
                vec![vec![wh(".wh.nope"), wh("a/.wh.nope")]],
                "a/
                 a/sub/
                 a/sub/z =z
                 a/x =x
                 a/y =y
                 top =top",
            ),
            row(
                "15",
                "no such directory",
                vec![vec![wh("nodir/.wh.nope")]],
                "a/
                 a/sub/
                 a/sub/z =z
                 a/x =x
                 a/y =y
                 top =top",
            ),
            row(
                "21",
                "bookkeeping of AUFS is never a whiteout",
                vec![vec![
                    wh("a/.wh..wh.x"),
                    wh(".wh..wh.aufs"),
                    dir(".wh..wh.orph/"),
                    wh(".wh..wh.orph/top"),
                ]],
                "a/
                 a/sub/
                 a/sub/z =z
                 a/x =x
                 a/y =y
                 top =top",
            ),
            row(
                "25",
                "a marker of any type, with content, slash or link target, is a marker by its name",
                vec![vec![
                    dir("a/.wh.sub/"),
                    symlink("a/.wh.x", "/nowhere"),
                    hard("a/.wh.y", "not/there"),
                    file(".wh.top", "content that is skipped"),
                    chr(".wh.nope", 1, 3),
                    fifo("a/.wh.nope"),
                    item("a/.wh..wh..opq/", b'5'),
                    file("a/last", "last"),
                ]],
                "a/
                 a/last =last",
            ),
        ],
    );
}

#[test]
fn opaque_directories() {
    run_over(
        &base(),
        vec![
            row(
                "7",
                "the directory holds only what its layer brings",
                vec![vec![dir("a/").mode(0o700), wh("a/.wh..wh..opq"), file("a/n", "n")]],
                "a/ 0700
                 a/n =n
                 top =top",
            ),
            row(
                "7b",
                "also when the marker comes last, and below",
                vec![vec![file("a/n", "n"), file("a/sub/n", "n"), dir("a/"), wh("a/.wh..wh..opq")]],
                "a/
                 a/n =n
                 a/sub/ @0
                 a/sub/n =n
                 top =top",
            ),
            row(
                "9",
                "no entry for the directory: its attributes stay",
                vec![vec![wh("a/.wh..wh..opq")]],
                "a/
                 top =top",
            ),
            row(
                "9b",
                "whatever they are, and whatever the marker's own are",
                vec![
                    vec![dir("a/").mode(0o1711).time("77.5").xattr("user.a", "1")],
                    vec![wh("a/.wh..wh..opq").mode(0o777).time("5").xattr("user.b", "2")],
                ],
                "a/ 1711 @77.500000000 {user.a=1}
                 top =top",
            ),
            row(
                "10",
                "no such directory",
                vec![vec![wh("none/.wh..wh..opq")]],
                "a/
                 a/sub/
                 a/sub/z =z
                 a/x =x
                 a/y =y
                 top =top",
            ),
            row(
                "11",
                "at the root everything lower goes",
                vec![vec![file("new", "new"), wh(".wh..wh..opq"), file("new2", "new2")]],
                "new =new
                 new2 =new2",
            ),
            row(
                "11b",
                "and the root stays as it is",
                vec![
                    vec![dir("./").mode(0o711).time("77").xattr("user.a", "1"), file("more", "more")],
                    vec![wh("./.wh..wh..opq")],
                ],
                "./ 0711 @77 {user.a=1}",
            ),
            row(
                "17",
                "of a file: nothing",
                vec![vec![wh("top/.wh..wh..opq")]],
                "a/
                 a/sub/
                 a/sub/z =z
                 a/x =x
                 a/y =y
                 top =top",
            ),
        ],
    );
}

#[test]
fn refused_markers() {
    run_over(
        &base(),
        vec![
            row("18", "a whiteout of nothing", vec![vec![wh("a/.wh.")]], "error: a/.wh.…nothing"),
            row("18b", "the same as a directory", vec![vec![dir(".wh./")]], "error: .wh.…nothing"),
            row("19", "a whiteout of `.`", vec![vec![wh("a/.wh..")]], "error: a/.wh..…own name"),
            row("20", "a whiteout of `..`", vec![vec![wh("a/.wh...")]], "error: the one above"),
            row(
                "20b",
                "the same by PAX and as a directory",
                vec![vec![dir("plain").pax("path", "a/sub/.wh.../")]],
                "error: the one above",
            ),
            row(
                "24",
                "no directory has such a name",
                vec![vec![file("a/.wh.sub/foo", "")]],
                "error: a/.wh.sub/foo",
            ),
            row("24b", "nor a new one", vec![vec![dir("a/.wh.new/sub/")]], "error: a/.wh.new/sub"),
            row("73", "a marker above the root", vec![vec![wh("../.wh.canary")]], "error: out of the root"),
            row(
                "23",
                "hard links into the bookkeeping of AUFS: the content is theirs, and the bookkeeping is not kept",
                vec![
                    vec![
                        wh(".wh.a"),
                        hard("early", ".wh..wh.plnk/123"),
                        dir(".wh..wh.plnk/"),
                        file(".wh..wh.plnk/123", "data").mode(0o600),
                        file(".wh..wh.plnk/unused", "unused"),
                        hard("new/hl", ".wh..wh.plnk/123"),
                        hard("new/other", "new/hl"),
                        fifo(".wh..wh.plnk/pipe"),
                        wh(".wh.top"),
                        wh(".wh..wh..opq"),
                    ],
                    vec![file("upper", "")],
                ],
                "early =data 0600
                 new/ @0
                 new/hl == early
                 new/other == early
                 upper =",
            ),
            row(
                "23b",
                "they are their own layer's only",
                vec![
                    vec![file(".wh..wh.plnk/123", "data"), hard("hl", ".wh..wh.plnk/123")],
                    vec![hard("again", ".wh..wh.plnk/123")],
                ],
                "error: again…does not exist",
            ),
        ],
    );
}

#[test]
fn links_and_markers() {
    run(vec![
        row(
            "26",
            "the link goes and its target stays",
            vec![vec![dir("d/"), file("d/f", "f"), symlink("s", "d")], vec![wh(".wh.s")]],
            "d/
             d/f =f",
        ),
        row(
            "26b",
            "a marker in a directory that a link names",
            vec![
                vec![dir("d/"), file("d/f", "f"), file("d/g", "g"), symlink("s", "d")],
                vec![wh("s/.wh.f"), file("s/new", "new")],
            ],
            "d/
             d/g =g
             d/new =new
             s -> d",
        ),
        row(
            "26c",
            "what came through a link is of this layer under the directory's own name, too",
            vec![
                vec![dir("d/"), file("d/f", "f"), symlink("s", "d")],
                vec![file("s/new", "new"), wh("d/.wh..wh..opq"), wh("d/.wh.new")],
            ],
            "d/
             d/new =new
             s -> d",
        ),
        row(
            "28",
            "a marker, the link in its place, and an entry through that",
            vec![
                vec![dir("lib/"), dir("t/"), file("t/old", "old")],
                vec![wh(".wh.t"), symlink("t", "lib"), file("t/new", "new")],
            ],
            "lib/
             lib/new =new
             t -> lib",
        ),
        row(
            "76f",
            "markers through links that lead out hide nothing there, and what they would name inside",
            vec![
                vec![
                    symlink("up", "../canary"),
                    symlink("abs", "/canary"),
                    file("canary/file", "mine"),
                    file("canary/kept", "mine"),
                    file("canary/folder/f", "mine"),
                ],
                vec![wh("up/.wh.file"), wh("abs/folder/.wh..wh..opq")],
            ],
            "abs -> /canary
             canary/ @0
             canary/folder/ @0
             canary/kept =mine
             up -> ../canary",
        ),
    ]);
}

/// Row 13: the cost of a thousand markers over thousands of new files is not their product. What is tested is the
/// result; a sweep per marker would make this test take minutes.
#[test]
fn repeated_markers() {
    let lower: Vec<Item> = (0..500).map(|i| file(format!("p/q/r/old{i}"), "o")).collect();
    let mut upper = Vec::new();
    for i in 0..3000 {
        upper.push(file(format!("p/q/r/new{i}"), ""));
        upper.push(wh("p/q/r/.wh..wh..opq"));
        upper.push(wh("p/q/.wh..wh..opq"));
        upper.push(wh("p/q/.wh.r"));
        upper.push(wh("p/.wh.q"));
        upper.push(wh(".wh.p"));
        upper.push(wh(".wh..wh..opq"));
    }
    for (mode, openat2) in Mode::runs() {
        let mut options = oci_unpack::UnpackOptions::default();
        if !openat2 {
            options = options.without_openat2();
        }
        let room = super::Room::of(*mode);
        let archives = [&lower, &upper].map(|items| super::layer::archive(items));
        let (report, warnings) = room.unpack(&archives, options);
        let report = report.unwrap();
        assert_eq!(report.entries(), 500 + 7 * 3000);
        assert_eq!(warnings, []);
        let Some(shown) = room.show(&report) else { continue };
        let mut names: Vec<_> = (0..3000).map(|i| format!("p/q/r/new{i} =")).collect();
        names.extend(["p/ @0".into(), "p/q/ @0".into(), "p/q/r/ @0".into()]);
        names.sort();
        assert_eq!(shown, names.join("\n"), "{mode:?}");
    }
}
