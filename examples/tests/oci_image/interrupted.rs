//! A command that is interrupted cleans up and ends by the signal.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oci_digest::MediaType;
use oci_unpack::pack::{LayerWriter, PackOptions};
use serde_json::json;

use crate::scratch::{Scratch, names, put_manifest};

/// An image whose layer takes long enough to be interrupted in.
fn long(scratch: &Scratch) {
    let layout = scratch.layout("images");
    let mut writer = layout.writer(oci_digest::Algorithm::Sha256).unwrap();
    let options = PackOptions::default().compression(oci_unpack::compression::Compression::None);
    let mut layer = LayerWriter::new(&mut writer, &options).unwrap();
    for n in 0..400 {
        layer.add_file(format!("file{n}"), 0o644, 1 << 20, std::io::repeat(7).take(1 << 20)).unwrap();
    }
    let (_, packed) = layer.finish().unwrap();
    let (digest, size) = writer.commit().unwrap();
    let layer = oci_digest::Descriptor::new(MediaType::ImageLayer, size, digest);
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [packed.diff_id.to_string()]}});
    layout.tag(&put_manifest(&layout, &config, &[layer]), "long").unwrap();
}

#[test]
fn an_interrupted_unpack_leaves_nothing() {
    let scratch = Scratch::new();
    long(&scratch);
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        for option in [&[][..], &["--rootfs-only"], &["--overlay"]] {
            let arguments = [&["unpack", "--json"], option, &["images:long", "bundle"]].concat();
            let mut child =
                scratch.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            // It is in the middle of a layer when it tells of progress.
            let progressed = lines.any(|line| line.unwrap().contains("\"progress\""));
            assert!(progressed, "the layer was done before it could be interrupted");
            kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
            let mut err = String::new();
            child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
            let status = child.wait().unwrap();
            assert_eq!(status.signal(), Some(signal as i32), "{status}: {err}");
            assert_eq!(err, format!("error: interrupted by {signal}\n"));
            assert_eq!(names(&scratch.path(".")), ["images"]);
        }
    }
}

#[test]
fn an_interrupted_append_leaves_no_blob() {
    let scratch = Scratch::new();
    scratch.small("v1");
    std::fs::create_dir(scratch.path("more")).unwrap();
    // It never ends, so whenever the signal comes, it is in the middle.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        scratch.path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let all = || scratch.everything().into_keys().collect::<Vec<_>>();
    let before = all();
    let mut child = scratch.command(&["append", "images:v1", "pipe"]).stderr(Stdio::piped()).spawn().unwrap();
    // Opening waits until the other side has opened it, too.
    let mut pipe = std::fs::OpenOptions::new().write(true).open(scratch.path("pipe")).unwrap();
    let feeding = std::thread::spawn(move || {
        let options = PackOptions::default().compression(oci_unpack::compression::Compression::None);
        let mut layer = LayerWriter::new(&mut pipe, &options).unwrap();
        // It ends when nobody reads any more.
        layer.add_file("endless", 0o644, 1 << 40, std::io::repeat(7).take(1 << 40)).is_err()
    });
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    let status = child.wait().unwrap();
    assert!(feeding.join().unwrap());
    assert_eq!((status.signal(), err.as_str()), (Some(15), "error: interrupted by SIGTERM\n"));
    assert_eq!(before, all());
}
