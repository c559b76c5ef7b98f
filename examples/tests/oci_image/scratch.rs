//! A folder with layouts and bundles, and the program at work in it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use oci_digest::{Descriptor, MediaType};
use oci_layout::ImageLayout;
use oci_unpack::pack::{LayerWriter, PackOptions};
use serde_json::{Value, json};

use crate::peers;

pub(crate) type Fill = fn(&mut LayerWriter<Vec<u8>>);

pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(peers::scratch())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oci-image"));
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command.env_remove("SOURCE_DATE_EPOCH");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs and expects success without a word on standard error; gives standard output.
    pub(crate) fn prints(&self, arguments: &[&str]) -> String {
        let (out, err) = self.warns(arguments);
        assert_eq!(err, "", "{arguments:?}");
        out
    }

    /// Runs and expects success; gives standard output and standard error, of which every line is a warning.
    pub(crate) fn warns(&self, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{out}{err}");
        assert!(err.lines().all(|line| line.starts_with("warning: ")), "{arguments:?}\n{err}");
        (out, err)
    }

    /// Runs and expects a failure: exit status 1, nothing on standard output, one `error:` line that is exactly
    /// this, `caused by:` lines of which one holds the cause, and no file anywhere made, changed or removed.
    pub(crate) fn fails(&self, arguments: &[&str], error: &str, cause: &str) {
        let before = self.everything();
        let output = self.run(arguments);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}\n{err}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        let mut lines = err.lines().filter(|line| !line.starts_with("warning: "));
        assert_eq!(lines.next(), Some(format!("error: {error}").as_str()), "{arguments:?}\n{err}");
        let causes: Vec<&str> = lines.collect();
        assert!(causes.iter().all(|line| line.starts_with("caused by: ")), "{arguments:?}\n{err}");
        assert!(
            cause.is_empty() || causes.iter().any(|line| line.contains(cause)),
            "{arguments:?}: no {cause:?} in\n{err}"
        );
        assert_eq!(before, self.everything(), "{arguments:?} left something behind");
    }

    /// Runs and expects exit status 2 and words about the usage.
    pub(crate) fn misused(&self, arguments: &[&str], words: &str) {
        let before = self.everything();
        let output = self.run(arguments);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}\n{err}");
        assert!(err.starts_with("error: ") && err.contains(words), "{arguments:?}: no {words:?} in\n{err}");
        assert_eq!(before, self.everything(), "{arguments:?} left something behind");
    }

    /// Every name with what its inode holds, without the lock and work files that a layout has for itself.
    pub(crate) fn everything(&self) -> BTreeMap<PathBuf, (u64, u32, u64, i64)> {
        let mut found = BTreeMap::new();
        let mut todo = vec![self.0.path().to_owned()];
        while let Some(folder) = todo.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries {
                let entry = entry.unwrap();
                if entry.file_name() == ".oci-layout" {
                    continue;
                }
                let meta = entry.metadata().unwrap();
                if meta.is_dir() {
                    todo.push(entry.path());
                }
                // Of folders not the size and time: a temporary file beside may have come and gone.
                let (size, time) = if meta.is_dir() { (0, 0) } else { (meta.size(), meta.mtime_nsec()) };
                found.insert(entry.path(), (meta.ino(), meta.mode(), size, time));
            }
        }
        found
    }

    pub(crate) fn layout(&self, name: &str) -> ImageLayout {
        ImageLayout::open_or_create(self.path(name)).unwrap()
    }

    /// An image of these layers in the layout `images`, with members added to its config.
    pub(crate) fn image(&self, tag: &str, layers: &[Fill], config: Value) -> Descriptor {
        let layout = self.layout("images");
        let image = put_image(&layout, layers, config);
        layout.tag(&image, tag).unwrap();
        image
    }

    /// An image with a folder, files, links and a whiteout, whose command is `sh`.
    pub(crate) fn small(&self, tag: &str) -> Descriptor {
        self.image(tag, &[base, change], json!({"config": {"Cmd": ["sh"]}}))
    }
}

fn base(layer: &mut LayerWriter<Vec<u8>>) {
    layer.add_dir("etc", 0o755).unwrap();
    layer.add_file("etc/motd", 0o644, 6, &b"hello\n"[..]).unwrap();
    layer.add_file("etc/gone", 0o600, 3, &b"bye"[..]).unwrap();
    layer.add_hard_link("etc/motd.too", "etc/motd").unwrap();
    layer.add_symlink("motd", "etc/motd").unwrap();
    layer.add_dir("tmp", 0o1777).unwrap();
}

fn change(layer: &mut LayerWriter<Vec<u8>>) {
    layer.add_whiteout("etc/gone").unwrap();
    layer.add_dir("opt", 0o750).unwrap();
    layer.add_file("opt/new", 0o755, 4, &b"new\n"[..]).unwrap();
}

/// Stores an image of these layers, without a tag.
pub(crate) fn put_image(layout: &ImageLayout, layers: &[Fill], members: Value) -> Descriptor {
    let mut descriptors = Vec::new();
    let mut diff_ids = Vec::new();
    for fill in layers {
        let mut layer = LayerWriter::new(Vec::new(), &PackOptions::default()).unwrap();
        fill(&mut layer);
        let (blob, packed) = layer.finish().unwrap();
        descriptors.push(layout.put(MediaType::ImageLayerGzip, blob.as_slice()).unwrap());
        diff_ids.push(packed.diff_id.to_string());
    }
    let mut config = json!({"architecture": "amd64", "os": "linux", "created": "2024-02-29T12:00:00Z",
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    for (name, value) in members.as_object().unwrap() {
        config[name] = value.clone();
    }
    put_manifest(layout, &config, &descriptors)
}

pub(crate) fn put_manifest(layout: &ImageLayout, config: &Value, layers: &[Descriptor]) -> Descriptor {
    let config = layout.put(MediaType::ImageConfig, config.to_string().as_bytes()).unwrap();
    let manifest = json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": config, "layers": layers});
    layout.put(MediaType::ImageManifest, manifest.to_string().as_bytes()).unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A document of JSON.
pub(crate) fn json_of(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path.as_ref()).unwrap()).unwrap()
}
