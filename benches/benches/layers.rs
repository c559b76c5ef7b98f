//! A layer of 5,000 small files: its framing, the way into a folder, and the way back; each beside its floor.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::fs::{self, File};
use std::io;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use oci_digest::content::{self, MemoryStore};
use oci_unpack::compression::{Compression, Decoder};
use oci_unpack::framing::{ArchiveReader, FramingLimits};
use oci_unpack::pack::{PackOptions, pack};
use oci_unpack::{UnpackOptions, unpack};
use tempfile::TempDir;

const FILES: u32 = 5_000;

fn framing(c: &mut Criterion) {
    let (archive, layer) = benches::small_files(FILES, Compression::None).unwrap();
    let mut group = c.benchmark_group("framing of 5,000 files");
    group.throughput(Throughput::Bytes(archive.len() as u64));
    group.bench_function("entries and data", |b| {
        b.iter(|| {
            let mut reader = ArchiveReader::new(&archive[..], &FramingLimits::default());
            let (mut entries, mut bytes) = (0, 0);
            while reader.next_entry().unwrap().is_some() {
                entries += 1;
                while let Some(chunk) = reader.data().unwrap() {
                    bytes += chunk.bytes.len();
                }
            }
            assert_eq!(entries, layer.entries);
            bytes
        });
    });
    group.finish();
}

fn unpacking(c: &mut Criterion) {
    let store = MemoryStore::new();
    let layer = benches::small_files(FILES, Compression::Gzip).unwrap();
    benches::add_image(&store, "latest", std::slice::from_ref(&layer)).unwrap();
    let mut group = c.benchmark_group("unpack 5,000 files");
    group.throughput(Throughput::Elements(FILES.into())).sample_size(20);
    group.bench_function("inflating alone", |b| {
        b.iter(|| {
            io::copy(&mut Decoder::new(&layer.0[..], Some(Compression::Gzip)).unwrap(), &mut io::sink())
                .unwrap()
        });
    });
    group.bench_function("creating the files alone", |b| {
        b.iter_batched(scratch, create_files, BatchSize::PerIteration);
    });
    group.bench_function("unpack", |b| {
        b.iter_batched(
            scratch,
            |folder| {
                unpack_to(&store, &folder.path().join("rootfs"));
                folder // Removed after the clock was stopped.
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn packing(c: &mut Criterion) {
    let store = MemoryStore::new();
    let layer = benches::small_files(FILES, Compression::None).unwrap();
    benches::add_image(&store, "latest", &[layer]).unwrap();
    let folder = scratch();
    let tree = folder.path().join("rootfs");
    unpack_to(&store, &tree);
    let mut group = c.benchmark_group("pack 5,000 files");
    group.throughput(Throughput::Elements(FILES.into())).sample_size(20);
    group.bench_function("reading alone", |b| b.iter(|| read_files(&tree)));
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let options = PackOptions::default().compression(compression);
        group.bench_function(compression.to_string(), |b| {
            b.iter(|| pack(&tree, io::sink(), &options).unwrap());
        });
    }
    group.finish();
}

fn unpack_to(store: &MemoryStore, destination: &Path) {
    let image = content::image(store, "latest", None).unwrap();
    let options = UnpackOptions::default();
    unpack(store, image.manifest.view(), image.config.view(), destination, &options).unwrap();
}

/// As many files of about the same size in as many folders, without owners, modes or times.
fn create_files(folder: TempDir) -> TempDir {
    let bytes = [b'x'; 3 << 10];
    for parent in 0..FILES / 100 {
        let parent = folder.path().join(parent.to_string());
        fs::create_dir(&parent).unwrap();
        for index in 0..100 {
            fs::write(parent.join(index.to_string()), bytes).unwrap();
        }
    }
    folder
}

fn read_files(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.file_type().unwrap() {
            kind if kind.is_dir() => read_files(&entry.path()),
            _ => io::copy(&mut File::open(entry.path()).unwrap(), &mut io::sink()).unwrap(),
        })
        .sum()
}

fn scratch() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

criterion_group!(benches, framing, unpacking, packing);
criterion_main!(benches);
