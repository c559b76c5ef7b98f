//! A layout beside what it is made of: a blob put beside hashing and writing it, got beside hashing and reading it;
//! many
//! small blobs and one tag; a tag found among a hundred thousand; and a check of every digest beside hashing alone.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Write};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use oci_digest::{Algorithm, MediaType, digest_of};
use oci_layout::fsck::FsckOptions;
use oci_layout::{ImageLayout, LayoutOptions, SyncPolicy};
use serde_json::{Value, json};
use tempfile::TempDir;

const BLOB: usize = 64 << 20;
const ENTRIES: u32 = 100_000;
const MANY: u64 = 200;

fn put(c: &mut Criterion) {
    let bytes = benches::noise(1, BLOB);
    let mut group = c.benchmark_group("put 64 MiB");
    group.throughput(Throughput::Bytes(BLOB as u64)).sample_size(10);
    group.bench_function("hashing alone", |b| b.iter(|| digest_of(Algorithm::Sha256, black_box(&bytes))));
    for (name, synced) in [("writing alone", false), ("writing and fsync alone", true)] {
        group.bench_function(name, |b| {
            b.iter_batched(
                scratch,
                |folder| {
                    let mut file = File::create(folder.path().join("blob")).unwrap();
                    file.write_all(&bytes).unwrap();
                    if synced {
                        file.sync_all().unwrap();
                    }
                    (file, folder)
                },
                BatchSize::PerIteration,
            );
        });
    }
    for (name, sync) in [("put, nothing synced", SyncPolicy::None), ("put", SyncPolicy::PerBlob)] {
        group.bench_function(name, |b| {
            b.iter_batched(
                || {
                    let folder = scratch();
                    let layout = LayoutOptions::default().sync(sync).create(folder.path().join("l")).unwrap();
                    (layout, folder)
                },
                |(layout, folder)| (layout.put(MediaType::ImageLayer, &bytes[..]).unwrap(), layout, folder),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Small blobs and then a tag: what the policies cost.
fn put_many(c: &mut Criterion) {
    let mut group = c.benchmark_group("put 200 blobs of 4 KiB and tag");
    group.throughput(Throughput::Elements(MANY)).sample_size(10);
    for (name, sync) in [
        ("nothing synced", SyncPolicy::None),
        ("one barrier", SyncPolicy::Group),
        ("each synced", SyncPolicy::PerBlob),
    ] {
        group.bench_function(name, |b| {
            b.iter_batched(
                || {
                    let folder = scratch();
                    let layout = LayoutOptions::default().sync(sync).create(folder.path().join("l")).unwrap();
                    (layout, folder)
                },
                |(layout, folder)| {
                    let put = |n| layout.put(MediaType::ImageLayer, &benches::noise(n, 4096)[..]).unwrap();
                    let last = (0..MANY).map(put).fold(None, |_, last| Some(last)).unwrap();
                    layout.tag(&last, "latest").unwrap();
                    (layout, folder)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn get(c: &mut Criterion) {
    let folder = scratch();
    let layout = ImageLayout::create(folder.path().join("layout")).unwrap();
    let blob = layout.put(MediaType::ImageLayer, &benches::noise(1, BLOB)[..]).unwrap();
    let path = layout.blob_path(blob.digest()).unwrap();
    let mut group = c.benchmark_group("get 64 MiB");
    group.throughput(Throughput::Bytes(BLOB as u64)).sample_size(10);
    let mut buffer = vec![0; 256 << 10];
    group.bench_function("reading alone", |b| b.iter(|| drain(File::open(&path).unwrap(), &mut buffer)));
    group.bench_function("get", |b| b.iter(|| drain(layout.get(&blob).unwrap(), &mut buffer)));
    group.finish();
}

fn resolve(c: &mut Criterion) {
    let folder = scratch();
    let path = folder.path().join("layout");
    let layout = ImageLayout::create(&path).unwrap();
    let manifest = layout.put(MediaType::ImageManifest, &br#"{"schemaVersion":2}"#[..]).unwrap();
    let entry = |index| {
        json!({
            "mediaType": manifest.media_type(),
            "digest": manifest.digest(),
            "size": manifest.size(),
            "annotations": { "org.opencontainers.image.ref.name": format!("v{index}") },
        })
    };
    let entries: Vec<Value> = (0..ENTRIES).map(entry).collect();
    let index = serde_json::to_vec(&json!({ "schemaVersion": 2, "manifests": entries })).unwrap();
    fs::write(path.join("index.json"), index).unwrap();
    let last = format!("v{}", ENTRIES - 1);
    assert_eq!(ImageLayout::open(&path).unwrap().resolve(&last).unwrap().digest(), manifest.digest());

    let mut group = c.benchmark_group("index of 100,000 tags");
    group.bench_function("open and resolve", |b| {
        b.iter(|| ImageLayout::open(&path).unwrap().resolve(black_box(&last)).unwrap());
    });
    group.bench_function("resolve", |b| b.iter(|| layout.resolve(black_box(&last)).unwrap()));
    group.finish();
}

/// Every digest of four blobs, on all cores, beside hashing as many bytes on one.
fn check(c: &mut Criterion) {
    let folder = scratch();
    let layout = ImageLayout::create(folder.path().join("layout")).unwrap();
    for n in 0..4 {
        layout.put(MediaType::ImageLayer, &benches::noise(n, BLOB)[..]).unwrap();
    }
    let bytes = benches::noise(1, BLOB);
    let mut group = c.benchmark_group("check 4 blobs of 64 MiB");
    group.throughput(Throughput::Bytes(4 * BLOB as u64)).sample_size(10);
    group.bench_function("hashing alone, one core", |b| {
        b.iter(|| (0..4).map(|_| digest_of(Algorithm::Sha256, black_box(&bytes))).collect::<Vec<_>>());
    });
    for (name, jobs) in [("fsck, one core", 1), ("fsck", 0)] {
        let options = FsckOptions::default().jobs(jobs);
        group.bench_function(name, |b| b.iter(|| layout.fsck(&options).unwrap()));
    }
    group.finish();
}

fn drain(mut from: impl io::Read, buffer: &mut [u8]) {
    while from.read(buffer).unwrap() > 0 {}
}

fn scratch() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

criterion_group!(benches, put, put_many, get, resolve, check);
criterion_main!(benches);
