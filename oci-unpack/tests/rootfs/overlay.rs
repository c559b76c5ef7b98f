//! The layers' folders themselves, as overlayfs reads them.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use oci_unpack::UnpackOptions;

use super::layer::{Item, archive, chr, dir, fifo, file, hard, symlink, wh};
use super::mode::Mode;
use super::{Room, is_root, lines, tree};

/// What the folder of the upper of two layers holds, for each format: `WH` stands for a whiteout there, `OPQ` for
/// the mark of an opaque directory, `HAS` for that of a directory with whiteouts that are attributes.
fn upper_is(row: &str, lower: &[Item], upper: &[Item], want: &str) {
    for (mode, openat2) in Mode::runs() {
        let (whiteout, namespace) = match mode {
            Mode::Rootfs => continue,
            Mode::Trusted => (" c0:0 0000 @0", "trusted"),
            Mode::User | Mode::Beside => (" c0:0 0000 @0", "user"),
            Mode::Xattrs => (" = 0600 @0 {user.overlay.whiteout=y}", "user"),
        };
        let has = if *mode == Mode::Xattrs { " {user.overlay.opaque=x}" } else { "" };
        let want = lines(want)
            .replace(" WH", whiteout)
            .replace(" OPQ", &format!(" {{{namespace}.overlay.opaque=y}}"))
            .replace(" HAS", has);
        let want: Vec<_> = want.lines().filter(|line| *line != "./ @0").map(attributes_sorted).collect();
        let mut options = UnpackOptions::default();
        if !openat2 {
            options = options.without_openat2();
        }
        let room = Room::of(*mode);
        let (report, warnings) = room.unpack(&[archive(lower), archive(upper)], options);
        report.unwrap();
        assert_eq!(warnings, [], "row {row}");
        let shown = tree::show(&room.destination().join("1"), is_root());
        assert_eq!(shown, want.join("\n"), "row {row}, {mode:?}, openat2: {openat2}");
    }
}

fn attributes_sorted(line: &str) -> String {
    let mut parts = line.split(" {");
    let mut sorted = vec![parts.next().unwrap_or_default()];
    sorted.extend(parts);
    sorted[1..].sort_unstable();
    sorted.join(" {")
}

fn base() -> Vec<Item> {
    vec![
        dir("./").mode(0o750).time("77"),
        dir("a/").mode(0o711).time("78").xattr("user.a", "1"),
        file("a/x", "x"),
        file("a/y", "y"),
        dir("a/sub/").mode(0o700),
        file("a/sub/z", "z"),
        file("top", "top"),
        symlink("l", "a"),
    ]
}

#[test]
fn whiteouts() {
    upper_is(
        "30, 31",
        &base(),
        &[wh("a/.wh.x").mode(0o777).owner(7, 8).time("9")],
        "./ 0750 @77
         a/ 0711 @78 {user.a=1} HAS
         a/x WH",
    );
    upper_is("31", &base(), &[file("new", "n"), wh(".wh.top")], "./ 0750 @77 HAS\nnew =n\ntop WH");
    upper_is(
        "31b",
        &base(),
        &[file("a/sub/n", "n")],
        "./ 0750 @77\na/ 0711 @78 {user.a=1}\na/sub/ 0700\na/sub/n =n",
    );
    upper_is("33", &base(), &[file("top", "new"), wh(".wh.top")], "./ 0750 @77\ntop =new");
    upper_is("33b", &base(), &[wh(".wh.top"), file("top", "new")], "./ 0750 @77\ntop =new");
    // A whiteout that nothing backs would be listed.
    for ghost in ["a/.wh.none", ".wh.none", "none/.wh.x", "a/sub/.wh.x", "top/.wh.x", "none/.wh..wh..opq"] {
        upper_is("14", &base(), &[wh(ghost)], "./ 0750 @77");
    }
    upper_is("14b", &base(), &[dir("fresh/"), wh("fresh/.wh.x")], "./ 0750 @77\nfresh/");
    upper_is(
        "26",
        &base(),
        &[wh("l/.wh.x"), wh(".wh.l")],
        "./ 0750 @77 HAS
         a/ 0711 @78 {user.a=1} HAS
         a/x WH
         l WH",
    );
}

#[test]
fn opaque_directories() {
    upper_is(
        "7",
        &base(),
        &[wh("a/.wh..wh..opq"), file("a/n", "n")],
        "./ 0750 @77\na/ 0711 @78 {user.a=1} OPQ\na/n =n",
    );
    upper_is(
        "35",
        &base(),
        &[wh(".wh.a"), file("a/sub/n", "n")],
        "./ 0750 @77\na/ @0 OPQ\na/sub/ @0\na/sub/n =n",
    );
    upper_is(
        "35b",
        &base(),
        &[file("a/sub/n", "n"), wh(".wh.a")],
        "./ 0750 @77\na/ @0 OPQ\na/sub/ @0\na/sub/n =n",
    );
    upper_is(
        "6",
        &base(),
        &[wh("a/.wh.sub"), dir("a/sub/")],
        "./ 0750 @77\na/ 0711 @78 {user.a=1}\na/sub/ OPQ",
    );
    // Whiteouts in a directory that is opaque would be listed.
    upper_is(
        "7b",
        &base(),
        &[wh("a/.wh.x"), wh("a/.wh..wh..opq")],
        "./ 0750 @77\na/ 0711 @78 {user.a=1} OPQ",
    );
    upper_is(
        "7c",
        &base(),
        &[wh("a/sub/.wh.z"), wh("a/.wh..wh..opq")],
        "./ 0750 @77\na/ 0711 @78 {user.a=1} OPQ",
    );
    upper_is(
        "11",
        &base(),
        &[file("new", "n"), file("a/n", "n"), wh(".wh..wh..opq"), dir("later/")],
        "./ 0750 @77 HAS
         a/ @0 OPQ
         a/n =n
         l WH
         later/
         new =n
         top WH",
    );
    // Below a file that a directory takes the place of, nothing is to be hidden.
    upper_is("42", &base(), &[dir("top/"), wh("top/.wh..wh..opq")], "./ 0750 @77\ntop/");
    // A directory that was replaced and came back shows nothing of the lower one.
    upper_is_with_duplicates();
}

fn upper_is_with_duplicates() {
    for mode in [Mode::User, Mode::Xattrs] {
        let room = Room::of(mode);
        let upper = archive(&[file("a", "file"), dir("a/"), file("a/n", "n")]);
        let (report, _) = room.unpack(&[archive(&base()), upper], UnpackOptions::default());
        report.unwrap();
        let shown = tree::show(&room.destination().join("1"), false);
        assert_eq!(shown, "./ 0750 @77\na/ {user.overlay.opaque=y}\na/n =n", "row 55, {mode:?}");
    }
}

#[test]
fn through_links() {
    upper_is("39", &base(), &[file("l/n", "n")], "./ 0750 @77\na/ 0711 @78 {user.a=1}\na/n =n");
    upper_is(
        "28",
        &[dir("lib/"), dir("t/"), file("t/old", "old")],
        &[wh(".wh.t"), symlink("t", "lib"), file("t/new", "new")],
        "lib/
         lib/new =new
         t -> lib",
    );
}

/// A hard link to what a lower layer has makes a copy of it, in the link's layer, with all it is.
#[test]
fn copies() {
    let lower = [
        dir("d/"),
        file("d/f", "content").mode(0o4755).time("5.5").xattr("user.a", "1"),
        file("closed", "c").mode(0).xattr("user.b", "2"),
        symlink("l", "nowhere").time("6"),
        fifo("p").mode(0o600).time("7"),
        file("other", ""),
    ];
    // What nobody may read is seen by root only.
    let denied = "Permission denied (os error 13)";
    let (content, value) = if is_root() { ("c", "2") } else { (denied, denied) };
    for (mode, openat2) in Mode::runs().iter().filter(|(mode, _)| *mode != Mode::Rootfs) {
        let upper =
            [hard("f2", "d/f"), hard("f3", "f2"), hard("c2", "closed"), hard("l2", "l"), hard("p2", "p")];
        let mut options = UnpackOptions::default();
        if !openat2 {
            options = options.without_openat2();
        }
        let room = Room::of(*mode);
        let (report, warnings) = room.unpack(&[archive(&lower), archive(&upper)], options);
        report.unwrap();
        assert_eq!(warnings, []);
        let shown = tree::show(&room.destination().join("1"), is_root());
        let want = format!(
            "c2 ={content} 0000 {{user.b={value}}}
             closed == c2
             d/
             d/f =content 4755 @5.500000000 {{user.a=1}}
             f2 == d/f
             f3 == d/f
             l -> nowhere @6
             l2 == l
             p | 0600 @7
             p2 == p"
        );
        assert_eq!(shown, lines(&want), "{mode:?}, openat2: {openat2}");
        let mode_below = room.destination().join("0/closed").metadata().unwrap().mode();
        assert_eq!(mode_below & 0o7777, 0, "a file that had to be opened for it is closed again");
        let copy = room.destination().join("1/c2");
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(std::fs::read(&copy).unwrap(), b"c");
    }
}

/// A copy is not what the layer brings: a whiteout of its name still hides it, before and after.
#[test]
fn a_copy_does_not_survive_a_whiteout() {
    let lower = [dir("d/"), file("d/f", "f")];
    upper_is("61", &lower, &[hard("g", "d/f"), wh("d/.wh.f")], "d/ HAS\nd/f WH\ng =f");
    upper_is("61b", &lower, &[hard("g", "d/f"), wh(".wh.d")], "./ @0 HAS\nd WH\ng =f");
    upper_is("61c", &lower, &[hard("g", "d/f"), wh("d/.wh..wh..opq")], "d/ OPQ\ng =f");
    let lower = [file("f", "f")];
    upper_is("61d", &lower, &[hard("g/h", "f"), wh(".wh..wh..opq")], "./ @0 HAS\nf WH\ng/ @0\ng/h =f");
}

#[test]
fn holes_of_a_copy_stay_holes() {
    let map = "1\n1073741824\n3\n";
    let mut data = map.as_bytes().to_vec();
    data.resize(512, 0);
    data.extend(b"end");
    let sparse = file("GNUSparseFile.0/hole", &data)
        .pax("GNU.sparse.major", "1")
        .pax("GNU.sparse.minor", "0")
        .pax("GNU.sparse.name", "hole")
        .pax("GNU.sparse.realsize", "2147483648");
    let room = Room::of(Mode::User);
    let layers = [archive(&[sparse]), archive(&[hard("other", "hole")])];
    room.unpack(&layers, UnpackOptions::default()).0.unwrap();
    let copy = room.destination().join("1/other").metadata().unwrap();
    assert_eq!((copy.len(), copy.nlink()), (1 << 31, 2));
    assert!(copy.blocks() <= 64, "{} blocks", copy.blocks());
}

/// Directories that a finished layer closed to their owner are looked into, and closed again.
#[test]
fn closed_directories_below() {
    let lower = [dir("no/").mode(0), dir("no/in/").mode(0o200), file("no/in/x", "x"), file("no/in/y", "y")];
    upper_is(
        "51",
        &lower,
        &[wh("no/in/.wh.x"), wh("no/in/.wh.none")],
        if is_root() {
            "no/ 0000
             no/in/ 0200 HAS
             no/in/x WH"
        } else {
            "no/ 0000"
        },
    );
    let room = Room::of(Mode::User);
    let layers = [archive(&lower), archive(&[wh("no/in/.wh.x"), hard("y", "no/in/y")])];
    room.unpack(&layers, UnpackOptions::default()).0.unwrap();
    assert_eq!(room.destination().join("0/no").metadata().unwrap().mode() & 0o7777, 0);
    assert_eq!(std::fs::read(room.destination().join("1/y")).unwrap(), b"y");
}

/// Row 37, and what a layer brings of overlayfs' own format: none of it acts.
#[test]
fn nothing_of_a_layer_acts() {
    let lower = [dir("d/"), file("d/f", "f"), file("top", "top")];
    let upper = [
        dir("d/").xattr("trusted.overlay.opaque", "y").xattr("user.overlay.opaque", "y"),
        file("top", "").xattr("user.overlay.whiteout", "y").xattr("trusted.overlay.whiteout", "y"),
        dir("e/").xattr("user.overlay.redirect", "/d").xattr("user.other", "kept"),
        chr("c", 0, 0),
    ];
    for (mode, _) in Mode::runs().iter().filter(|(mode, _)| *mode != Mode::Rootfs) {
        for keep in [false, true] {
            let room = Room::of(*mode);
            let options = UnpackOptions::default().keep_trusted_xattrs(keep);
            let (report, warnings) = room.unpack(&[archive(&lower), archive(&upper)], options);
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            let report = report.unwrap();
            assert_eq!(report.warnings, 6, "each attribute is told, too");
            if let Some(shown) = room.show(&report) {
                assert_eq!(shown, "d/\nd/f =f\ne/ {user.other=kept}\ntop =", "{mode:?}");
            }
        }
    }
}

/// Trusted attributes are asked for where they cannot be had.
#[test]
fn a_format_that_cannot_be_written() {
    // Of this thread alone, also where root runs the tests.
    let mut sets = rustix::thread::capabilities(None).unwrap();
    sets.effective.remove(rustix::thread::CapabilitySet::SYS_ADMIN);
    rustix::thread::set_capabilities(None, sets).unwrap();
    let room = Room::of(Mode::User);
    let options = UnpackOptions::default().overlay_format(oci_unpack::OverlayFormat::Trusted);
    let error =
        super::image::Image::new().unpack_as(Mode::Trusted, &room.destination(), &options).unwrap_err();
    assert!(super::message(&error).contains("trusted.overlay"), "{}", super::message(&error));
    room.check_neighbours("trusted attributes");
}

/// The folder of all layers can be entered, whatever the umask; the layers' have the root's attributes.
#[test]
fn folders() {
    let room = Room::of(Mode::User);
    let layers =
        [archive(&[dir("./").mode(0o700)]), archive(&[file("f", "")]), archive(&[dir("./").mode(0o711)])];
    room.unpack(&layers, UnpackOptions::default()).0.unwrap();
    let mode = |name: &str| room.destination().join(name).metadata().unwrap().mode() & 0o7777;
    assert_eq!([mode(""), mode("0"), mode("1"), mode("2")], [0o755, 0o700, 0o700, 0o711]);
    let dirs = oci_unpack::overlay::lower_dirs(std::path::Path::new("x"), 3);
    assert_eq!(dirs, ["x/2", "x/1", "x/0"].map(std::path::PathBuf::from));
}
