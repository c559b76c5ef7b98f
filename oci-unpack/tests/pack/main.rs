//! Layers that are made here: the same bytes every time, and read by everybody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod by_hand;
mod folder;
mod peers;
mod recorded;

use std::io::Read as _;

use oci_digest::{Algorithm, digest_of};
use oci_unpack::compression::Decoder;
use oci_unpack::framing::{ArchiveReader, Entry, FramingLimits};
use oci_unpack::pack::PackedLayer;

/// The uncompressed archive of a blob whose report is true.
fn archive(blob: &[u8], layer: &PackedLayer) -> Vec<u8> {
    assert_eq!((blob.len() as u64, digest_of(Algorithm::Sha256, blob)), (layer.size, layer.digest.clone()));
    let mut archive = Vec::new();
    let mut decoder = Decoder::new(blob, Some(layer.compression)).unwrap();
    decoder.read_to_end(&mut archive).unwrap();
    assert_eq!(decoder.notices(), []);
    assert_eq!(archive.len() as u64, layer.uncompressed_size);
    assert_eq!(digest_of(Algorithm::Sha256, &archive), layer.diff_id);
    archive
}

/// The entries of an archive, with their content.
fn entries(archive: &[u8]) -> Vec<(Entry, Vec<u8>)> {
    let mut reader = ArchiveReader::new(archive, &FramingLimits::default());
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut content = Vec::new();
        while let Some(chunk) = reader.data().unwrap() {
            content.extend_from_slice(chunk.bytes);
        }
        entries.push((entry, content));
    }
    assert_eq!(reader.warnings().count(), 0);
    entries
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
