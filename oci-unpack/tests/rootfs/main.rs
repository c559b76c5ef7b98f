//! Images to one root file system and to layers for overlayfs, case by case.
//!
//! The cases are rows of a table of expected behaviour: each has a stable number, the layers, and the whole tree
//! that must come of them, or the error. Every row runs in every [`Mode`]: as one tree, and as layers that overlayfs
//! then shows as one; and each with `openat2`, and with it missing. Each run has a folder beside the destination that
//! must not change, and nothing else may be left there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attributes;
mod commit;
mod escape;
mod format;
mod image;
mod layer;
mod limits;
mod links;
mod mode;
mod mount;
mod names;
mod overlay;
mod owners;
mod policies;
mod race;
mod random;
mod stats;
mod streams;
mod syscalls;
mod tree;
mod types;
mod userns;
mod whiteouts;

use std::error::Error as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use layer::Item;
use mode::Mode;
use oci_unpack::{Error, Event, Report, UnpackOptions, Warning};

/// A case. `want`: the tree's lines, or `error: ` and parts of the message, separated by `…`.
struct Row {
    /// The row's number, with a letter for further cases of it.
    row: &'static str,
    /// What it shows.
    why: &'static str,
    layers: Vec<Vec<Item>>,
    want: &'static str,
    /// How many warnings come; with any, the strict mode must refuse.
    warnings: usize,
    /// Whether it needs the privileges of root.
    root: bool,
    /// What is not as by default.
    options: UnpackOptions,
    /// What layers for overlayfs show where that is something else, and how many warnings come of them.
    overlay: Option<(&'static str, usize)>,
}

fn row(row: &'static str, why: &'static str, layers: Vec<Vec<Item>>, want: &'static str) -> Row {
    let options = UnpackOptions::default();
    Row { row, why, layers, want, warnings: 0, root: false, options, overlay: None }
}

impl Row {
    fn warnings(mut self, warnings: usize) -> Self {
        self.warnings = warnings;
        self
    }

    fn root(mut self) -> Self {
        self.root = true;
        self
    }

    fn options(mut self, options: UnpackOptions) -> Self {
        self.options = options;
        self
    }

    fn overlay(mut self, want: &'static str, warnings: usize) -> Self {
        self.overlay = Some((want, warnings));
        self
    }
}

/// Runs rows whose layers go over the same base.
fn run_over(base: &[Item], rows: Vec<Row>) {
    run(rows
        .into_iter()
        .map(|mut row| {
            row.layers.insert(0, base.to_vec());
            row
        })
        .collect());
}

fn run(rows: Vec<Row>) {
    for row in rows {
        if row.root && !is_root() {
            eprintln!("SKIP row {}: needs root", row.row);
            continue;
        }
        for (mode, openat2) in Mode::runs() {
            check(&row, *mode, *openat2);
        }
    }
}

fn check(row: &Row, mode: Mode, openat2: bool) {
    let what = format!("row {} ({}), {mode:?}, openat2: {openat2}", row.row, row.why);
    let archives: Vec<Vec<u8>> = row.layers.iter().map(|items| layer::archive(items)).collect();
    let room = Room::of(mode);
    let mut options = row.options.clone();
    if !openat2 {
        options = options.without_openat2();
    }
    let (result, warnings) = room.unpack(&archives, options.clone());
    let (want, expected_warnings) = match row.overlay {
        Some((want, warnings)) if mode != Mode::Rootfs => (lines(want), warnings),
        _ => (lines(row.want), row.warnings),
    };
    match (result, want.strip_prefix("error: ")) {
        (Ok(report), None) => {
            if let Some(shown) = room.show(&report) {
                assert_eq!(shown, want, "{what}");
            }
        }
        (Ok(report), Some(_)) => panic!("{what}: no error, but\n{:?}", room.show(&report)),
        (Err(error), None) => panic!("{what}: {}", message(&error)),
        (Err(error), Some(parts)) => {
            let message = message(&error);
            for part in parts.split('…') {
                assert!(message.contains(part), "{what}: {message:?} lacks {part:?}");
            }
            assert!(!room.destination().exists(), "{what}: the destination exists after an error");
        }
    }
    room.check_neighbours(&what);
    assert_eq!(warnings.len(), expected_warnings, "{what}: {warnings:?}");
    if expected_warnings > 0 {
        let room = Room::of(mode);
        let (result, _) = room.unpack(&archives, options.strict(true));
        let error = result.expect_err(&what);
        assert!(message(&error).contains(&warnings[0].to_string()), "{what}: {}", message(&error));
        room.check_neighbours(&what);
    }
}

/// A folder with a destination in it that is absent, and a folder beside that that must not change.
struct Room {
    folder: tempfile::TempDir,
    canary: stats::Stats,
    mode: Mode,
}

impl Room {
    fn new() -> Self {
        Self::of(Mode::Rootfs)
    }

    fn of(mode: Mode) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let canary = folder.path().join("canary");
        std::fs::create_dir(&canary).unwrap();
        std::fs::write(canary.join("file"), "untouched").unwrap();
        std::fs::create_dir(canary.join("folder")).unwrap();
        stats::stats(&canary);
        Self { canary: stats::stats(&canary), folder, mode }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn destination(&self) -> std::path::PathBuf {
        self.folder.path().join("root")
    }

    /// Unpacks uncompressed layers, and gives the warnings with the result.
    fn unpack(&self, archives: &[Vec<u8>], options: UnpackOptions) -> (Result<Report, Error>, Vec<Warning>) {
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&warnings);
        let options = options.observer(move |event| match event {
            Event::Warning { warning: Warning::XattrExcluded { .. }, .. } => {}
            Event::Warning { warning, .. } => heard.lock().unwrap().push(warning.clone()),
            _ => {}
        });
        let result = self.unpack_image(&image::Image::plain(archives), &options);
        let warnings = warnings.lock().unwrap().clone();
        (result, warnings)
    }

    fn unpack_image(&self, image: &image::Image, options: &UnpackOptions) -> Result<Report, Error> {
        image.unpack_as(self.mode, &self.destination(), options)
    }

    /// What was unpacked, as text. `None` where this machine does not mount overlays for us.
    fn show(&self, report: &Report) -> Option<String> {
        if self.mode == Mode::Rootfs {
            return Some(tree::show(&self.destination(), is_root()));
        }
        if self.mode == Mode::Xattrs && !mount::knows_xattr_whiteouts() {
            return mount::skip("whiteouts that are attributes (Linux 6.8)");
        }
        mount::show(&self.destination(), report)
    }

    fn check_neighbours(&self, what: &str) {
        let mut names: Vec<_> =
            std::fs::read_dir(self.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.retain(|name| name != "root");
        assert_eq!(names, ["canary"], "{what}: something was left beside the destination");
        assert_eq!(stats::stats(&self.path().join("canary")), self.canary, "{what}: outside changed");
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Directories without permissions are in the way of an ordinary user's removal.
        open_up(&self.destination());
    }
}

fn open_up(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700));
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            open_up(&entry.path());
        }
    }
}

/// An error with its sources, as a program would print it.
fn message(error: &Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        message += &format!(": {error}");
        source = error.source();
    }
    message
}

/// The lines of a table's cell, without its indentation.
fn lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
