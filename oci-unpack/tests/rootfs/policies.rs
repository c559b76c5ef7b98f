//! What a loss leads to, kind by kind.

use std::sync::{Arc, Mutex};

use oci_unpack::{Devices, Error, Event, OnLoss, Ownership, Policies, UnpackOptions, Warning};

use super::image::Image;
use super::layer::{Item, archive, chr, dir, file, hard, symlink};
use super::{Room, message, row, run, tree};

/// A layer with one loss of each kind that happens on every machine, and to root, too.
fn lossy() -> Vec<Item> {
    vec![
        file("f", "").xattr("com.apple.quarantine", "1"),
        chr("null", 1, 3),
        symlink("l", "f").owner(1, 1),
        file("twice", "1"),
        file("twice", "2"),
        file("p", ""),
        file("p/child", "c"),
        file("g", ""),
    ]
}

type Set = fn(Policies, OnLoss) -> Policies;
type Is = fn(&Warning) -> bool;

const KINDS: [(&str, Set, Is); 6] = [
    ("xattrs", Policies::xattrs, |w| matches!(w, Warning::XattrRefused { .. })),
    ("devices", Policies::devices, |w| matches!(w, Warning::DeviceSkipped)),
    ("owners", Policies::owners, |w| matches!(w, Warning::OwnerDropped { .. })),
    ("duplicates", Policies::duplicates, |w| matches!(w, Warning::Duplicate)),
    ("parents", Policies::parents, |w| matches!(w, Warning::ParentReplaced)),
    ("format", Policies::format, |w| matches!(w, Warning::Format { .. })),
];

/// The archive ends with one block of zeros and an entry after it: an oddity of the format.
fn bytes() -> Vec<u8> {
    let mut bytes = archive(&lossy());
    bytes.truncate(bytes.len() - 512);
    bytes.extend(file("behind", "").bytes());
    bytes
}

#[test]
fn each_kind_of_loss_has_its_own() {
    let options = UnpackOptions::default().ownership(Ownership::RootlessContainers);
    for (name, set, is) in KINDS {
        let policies = set(Policies::default(), OnLoss::Error);
        let room = Room::new();
        let (result, _) = room.unpack(&[bytes()], options.clone().policies(policies));
        let error = result.expect_err(name);
        let Error::Layer { index: 0, source } = error else { panic!("{name}: {error:?}") };
        assert!(matches!(&*source, Error::Strict { warning, .. } if is(warning)), "{name}: {source:?}");
        room.check_neighbours(name);

        let policies = set(Policies::all(OnLoss::Error), OnLoss::Ignore);
        let room = Room::new();
        let (result, _) = room.unpack(&[bytes()], options.clone().policies(policies));
        let error = message(&result.expect_err(name));
        room.check_neighbours(&error);

        let policies = set(Policies::all(OnLoss::Ignore), OnLoss::Warn);
        let room = Room::new();
        let (result, warnings) = room.unpack(&[bytes()], options.clone().policies(policies));
        assert_eq!(result.expect(name).warnings, 1, "{name}");
        assert!(warnings.len() == 1 && is(&warnings[0]), "{name}: {warnings:?}");
    }
}

#[test]
fn all_ignored_is_silence_and_strict_stands_above() {
    let options = UnpackOptions::default().ownership(Ownership::RootlessContainers);
    let ignoring = options.policies(Policies::all(OnLoss::Ignore));
    let room = Room::new();
    let (result, warnings) = room.unpack(&[bytes()], ignoring.clone());
    assert_eq!((result.unwrap().warnings, warnings.len()), (0, 0));
    assert_eq!(tree::show(&room.destination(), false), "f =\ng =\nl -> f\np/ @0\np/child =c\ntwice =2");
    let room = Room::new();
    let (result, _) = room.unpack(&[bytes()], ignoring.strict(true));
    assert!(message(&result.unwrap_err()).contains("com.apple.quarantine"));
}

#[test]
fn a_time_that_cannot_be_kept() {
    // 2^62 seconds are beyond every file system.
    let layer = archive(&[file("f", "").time("4611686018427387904")]);
    for (on_loss, fails) in [(OnLoss::Warn, false), (OnLoss::Ignore, false), (OnLoss::Error, true)] {
        let room = Room::new();
        let options = UnpackOptions::default().policies(Policies::default().times(on_loss));
        let (result, warnings) = room.unpack(std::slice::from_ref(&layer), options);
        if result.is_ok() && warnings.is_empty() && on_loss == OnLoss::Warn {
            eprintln!("SKIP a_time_that_cannot_be_kept: needs a file system with limits");
            return;
        }
        assert_eq!(result.is_err(), fails, "{on_loss:?}");
        assert_eq!(warnings.len(), usize::from(on_loss == OnLoss::Warn));
    }
}

/// Attributes of directories are applied at the very end, and a loss is still told of the layer that asked for them.
#[test]
fn events_name_entry_and_layer() {
    let odd = |item: Item| item.xattr("com.apple.quarantine", "1");
    let layers = [
        archive(&[odd(dir("d/")), odd(dir("both/")), odd(file("d/f", ""))]),
        archive(&[odd(dir("both/")), odd(symlink("d/l", "x")), file("d/g", "")]),
        archive(&[file("last", "")]),
    ];
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let options = UnpackOptions::default().observer(move |event| {
        if let Event::Warning { layer, path, .. } = event {
            heard.lock().unwrap().push((*layer, path.clone()));
        }
    });
    let room = Room::new();
    Image::plain(&layers).unpack(&room.destination(), &options).unwrap();
    let mut told = told.lock().unwrap().clone();
    told.sort();
    let expected = [(0, "d"), (0, "d/f"), (1, "both"), (1, "d/l")];
    assert_eq!(told, expected.map(|(layer, path)| (layer, path.to_string())));
}

/// What a policy leaves out is never an error, but can be passed over.
#[test]
fn excluded_attributes() {
    let layer = archive(&[file("f", "").xattr("trusted.a", "1")]);
    for (options, count) in [
        (UnpackOptions::default(), 1),
        (UnpackOptions::default().strict(true), 1),
        (UnpackOptions::default().policies(Policies::default().xattrs(OnLoss::Ignore)), 0),
    ] {
        let room = Room::new();
        let (result, _) = room.unpack(std::slice::from_ref(&layer), options);
        assert_eq!(result.unwrap().warnings, count);
    }
}

#[test]
fn files_in_place_of_devices() {
    let options = UnpackOptions::default().ownership(Ownership::Drop).devices(Devices::EmptyFile);
    run(vec![
        row(
            "94, as a file",
            "an empty file with the device's mode, and links to it",
            vec![
                vec![dir("null/"), file("null/f", "")],
                vec![chr("null", 1, 3).mode(0o666).xattr("user.a", "1"), hard("n2", "null")],
            ],
            "n2 = 0666 {user.a=1}
             null == n2",
        )
        .options(options.clone())
        .warnings(1),
        row("94, as a file", "not one the kernel has not", vec![vec![chr("d", 4096, 0)]], "error: 4096:0")
            .options(options),
    ]);
}
