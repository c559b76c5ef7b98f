//! Hashing: the floor under every pull, push and unpack.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::io::Read;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use oci_digest::{Algorithm, VerifyReader, digest_of};

fn hash(c: &mut Criterion) {
    let bytes: Vec<u8> = (0..16 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut group = c.benchmark_group("hash 16 MiB");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    for algorithm in Algorithm::ALL {
        group.bench_function(algorithm.as_str(), |b| b.iter(|| digest_of(algorithm, black_box(&bytes))));
    }
    let digest = digest_of(Algorithm::Sha256, &bytes);
    group.bench_function("VerifyReader", |b| {
        let mut buffer = vec![0; 64 * 1024];
        b.iter(|| {
            let mut reader = VerifyReader::new(&bytes[..], &digest, bytes.len() as u64).unwrap();
            while reader.read(&mut buffer).unwrap() > 0 {}
        });
    });
    group.finish();
}

criterion_group!(benches, hash);
criterion_main!(benches);
