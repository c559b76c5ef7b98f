//! An image of three layers from memory into the embedded registry and on into a layout, over loopback HTTP; beside
//! the copy that needs no network.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use oci_client::Reference;
use oci_client::blocking::{Client, Repository};
use oci_client::registry::{Registry, Server};
use oci_digest::content::{self, CopyOptions, MemoryStore, Sink, Source};
use oci_layout::{ImageLayout, LayoutOptions, SyncPolicy};
use tempfile::TempDir;

const LAYERS: u64 = 3;
const LAYER: usize = 8 << 20;

fn copy(c: &mut Criterion) {
    let built = MemoryStore::new();
    let layers: Vec<_> = (0..LAYERS).map(|seed| benches::noise_layer(seed, LAYER).unwrap()).collect();
    let bytes = layers.iter().map(|(blob, _)| blob.len() as u64).sum();
    benches::add_image(&built, "latest", &layers).unwrap();
    let mut group = c.benchmark_group("copy 3 layers of 8 MiB");
    group.throughput(Throughput::Bytes(bytes)).sample_size(20);

    group.bench_function("memory to layout", |b| {
        b.iter_batched(
            layout,
            |(layout, folder)| {
                transfer(&built, &layout);
                (layout, folder)
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("memory to registry", |b| {
        b.iter_batched(
            registry,
            |(repository, server)| {
                transfer(&built, &repository);
                (repository, server)
            },
            BatchSize::PerIteration,
        );
    });
    let (filled, _server) = registry();
    transfer(&built, &filled);
    group.bench_function("registry to layout", |b| {
        b.iter_batched(
            layout,
            |(layout, folder)| {
                transfer(&filled, &layout);
                (layout, folder)
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("memory to registry to layout", |b| {
        b.iter_batched(
            || (registry(), layout()),
            |((repository, server), (layout, folder))| {
                transfer(&built, &repository);
                transfer(&repository, &layout);
                (repository, server, layout, folder)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn transfer(from: &dyn Source, to: &dyn Sink) {
    content::copy(from, "latest", to, &CopyOptions::default()).unwrap();
}

/// An empty registry of its own, with its client.
fn registry() -> (Repository, Server) {
    let server = Registry::builder().start().unwrap();
    let reference: Reference = format!("{}/bench:latest", server.host()).parse().unwrap();
    (Client::new().unwrap().repository(&reference).unwrap(), server)
}

/// Without syncing: the disk is not what is measured here.
fn layout() -> (ImageLayout, TempDir) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let options = LayoutOptions::default().sync(SyncPolicy::None);
    (options.create(folder.path().join("layout")).unwrap(), folder)
}

criterion_group!(benches, copy);
criterion_main!(benches);
