//! Names and paths.

use super::layer::{Item, dir, fifo, file, hard, item, symlink};
use super::{Mode, row, run};

#[test]
fn spellings() {
    let odd: &[u8] = b"new\nline \x01 \xff\xfe \\ ";
    run(vec![
        row("73", "above the root", vec![vec![file("../x", "")]], "error: ../x…out of the root"),
        row("73b", "with a name below", vec![vec![file("../a/x", "")]], "error: out of the root"),
        row("73c", "after a way down", vec![vec![file("a/../../x", "")]], "error: out of the root"),
        row("73d", "as a directory", vec![vec![dir("../")]], "error: out of the root"),
        row("74", "`..` inside", vec![vec![file("a/../b", "b")]], "b =b"),
        row(
            "75",
            "absolute, doubled and dotted",
            vec![vec![file("/abs/x", "1"), file("//x//./y", "2"), file("././z//", "3")]],
            "abs/ @0
             abs/x =1
             x/ @0
             x/y =2
             z =3",
        ),
        row("82", "an empty name", vec![vec![file("", "")]], "error: name"),
        row("82b", "of a directory", vec![vec![dir("")]], "error: name"),
        row(
            "84",
            "bytes are kept as they are",
            vec![vec![file(odd, "1"), file("-dash", "2"), file("\u{e9}", "3"), file("e\u{301}", "4")]],
            r"-dash =2
              e\xcc\x81 =4
              new\nline \x01 \xff\xfe \\  =1
              \xc3\xa9 =3",
        ),
        row(
            "85",
            "a component of 256 bytes",
            vec![vec![file("n".repeat(256), "")]],
            "error: longer than 255 bytes…nnnn",
        ),
        row(
            "85b",
            "a path of more than 4096 bytes",
            vec![vec![file("directory/".repeat(410) + "x", "")]],
            "error: directory/directory…4096",
        ),
        row(
            "86",
            "a link's target of 4095 bytes",
            vec![vec![symlink("l", "t".repeat(4095))]],
            "l -> [4095 bytes]",
        ),
        row(
            "86b",
            "of 4096 bytes",
            vec![vec![symlink("l", "t".repeat(4096))]],
            "error: longer than 4095 bytes",
        ),
        row("86c", "of none", vec![vec![symlink("l", "")]], "error: \"l\"…target"),
        row(
            "87",
            "a slash after a regular file's name, with and without the magic of a format that knows types",
            vec![vec![item("reg/", b'0'), item("d/", 0).magic(b"").names(b"").mode(0o755)]],
            "d/
             reg =",
        ),
        row("93", "names of users mean nothing", vec![vec![file("f", "").names(b"daemon")]], "f ="),
        row("95", "types that nobody knows", vec![vec![item("f", b'Z')]], "error: type"),
        row("95b", "reserved file types", vec![vec![item("7", b'7'), item("0", 0)]], "0 =\n7 ="),
    ]);
}

#[test]
fn long_names() {
    let deep = format!("{}/{}", vec!["d".repeat(250); 11].join("/"), "f".repeat(255));
    let many = format!("{}x", "d/".repeat(2000));
    for (mode, openat2) in Mode::runs().iter().filter(|(mode, _)| *mode != Mode::Trusted) {
        let room = super::Room::of(*mode);
        let mut options = oci_unpack::UnpackOptions::default();
        if !openat2 {
            options = options.without_openat2();
        }
        let lower = super::layer::archive(&[file(&deep, "deep"), file(&many, "many")]);
        let upper = super::layer::archive(&[file(format!("{many}2"), "more")]);
        let (result, _) = room.unpack(&[lower, upper], options);
        result.unwrap();
        let (lower, upper) = match mode {
            Mode::Rootfs => (room.destination(), room.destination()),
            _ => (room.destination().join("0"), room.destination().join("1")),
        };
        assert_eq!(std::fs::read(lower.join(&deep)).unwrap(), b"deep", "row 85, 3,000 bytes");
        assert_eq!(std::fs::read(lower.join(&many)).unwrap(), b"many", "row 85, 2,000 directories");
        assert_eq!(std::fs::read(upper.join(format!("{many}2"))).unwrap(), b"more");
    }
}

#[test]
fn parents_that_lead_out() {
    let targets = ["/", "..", "../..", "/canary", "../canary", "../../../../../../tmp", "/proc/self/root"];
    let mut rows = Vec::new();
    for target in targets {
        let through: Vec<Item> = vec![
            symlink("l", target),
            file("l/file", "mine"),
            dir("l/dir/"),
            symlink("l/link", "x"),
            fifo("l/fifo"),
            hard("l/hard", "l/file"),
        ];
        let place = match target {
            "/" | ".." | "../.." => "",
            "/canary" | "../canary" => "canary/",
            "/proc/self/root" => "proc/self/root/",
            _ => "tmp/",
        };
        let mut lines = Vec::new();
        for (depth, _) in place.match_indices('/') {
            lines.push(format!("{} @0", &place[..=depth]));
        }
        lines.push(format!("{place}dir/"));
        lines.push(format!("{place}fifo |"));
        lines.push(format!("{place}file =mine"));
        lines.push(format!("{place}hard == {place}file"));
        lines.push(format!("{place}link -> x"));
        lines.push(format!("l -> {target}"));
        lines.sort_by(|a, b| {
            let name = |line: &str| line.split([' ']).next().unwrap().trim_end_matches('/').to_owned();
            name(a).cmp(&name(b))
        });
        let want: &'static str = lines.join("\n").leak();
        rows.push(row("76", "through a link of the same layer", vec![through.clone()], want));
        let (lower, upper) = (vec![through[0].clone()], through[1..].to_vec());
        rows.push(row("76b", "through a link of a lower layer", vec![lower, upper], want));
    }
    run(rows);
}

#[test]
fn links_inside() {
    run(vec![
        row(
            "76c",
            "two hops out",
            vec![vec![symlink("a", "b"), symlink("b", "../canary"), file("a/file", "mine")]],
            "a -> b
             b -> ../canary
             canary/ @0
             canary/file =mine",
        ),
        row(
            "77",
            "a link with more `..` than its depth is stored as it is, and stops at the root",
            vec![vec![symlink("a/l", "../../../../x"), file("a/l/f", "f")]],
            "a/ @0
             a/l -> ../../../../x
             x/ @0
             x/f =f",
        ),
        row(
            "78",
            "var/run, and a hard link through it",
            vec![vec![
                dir("run/"),
                dir("var/"),
                symlink("var/run", "/run"),
                file("var/run/pid", "1"),
                hard("h", "var/run/pid"),
            ]],
            "h =1
             run/
             run/pid == h
             var/
             var/run -> /run",
        ),
        row(
            "78b",
            "`..` in a link's target is the directory's own parent, and not the link's",
            vec![vec![
                dir("a/b/"),
                dir("c/"),
                symlink("c/l", "../a/b"),
                symlink("m", "c/l/../up"),
                file("m/f", "f"),
            ]],
            "a/ @0
             a/b/
             a/up/ @0
             a/up/f =f
             c/
             c/l -> ../a/b
             m -> c/l/../up",
        ),
        row(
            "76d",
            "links in a circle",
            vec![vec![symlink("a", "b"), symlink("b", "a"), file("a/f", "f")]],
            "error: symbolic links of one name",
        ),
        row(
            "76e",
            "a replaced link is not remembered",
            vec![
                vec![
                    dir("one/"),
                    dir("two/"),
                    symlink("l", "one"),
                    file("l/a", "a"),
                    symlink("l", "two"),
                    file("l/b", "b"),
                ],
                vec![symlink("l", "one"), file("l/c", "c")],
            ],
            "l -> one
             one/
             one/a =a
             one/c =c
             two/
             two/b =b",
        )
        .warnings(1),
    ]);
}
