//! Memory does not depend on what a layer claims, nor on how long it is: every allocation is counted.
//!
//! One test, since the count is the process's. What the zstd library takes for its window is not seen here; that is
//! bounded by the limit of the window.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../rootfs/layer.rs"]
#[allow(dead_code, reason = "made for the table of cases, which needs more of it")]
mod layer;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{BufReader, Read, repeat};
use std::sync::atomic::{AtomicUsize, Ordering};

use layer::{cut, dir, extension, file, record, records};
use oci_unpack::framing::{ArchiveReader, FramingLimits};
use oci_unpack::{Limits, Rootfs, UnpackOptions};

/// The system's allocator, with a count of what is in use and of the most that was.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator wants.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `at` came from `alloc`, which is the system's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that was in use at once, beyond what was before.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = USED.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let result = work();
    (result, MOST.load(Ordering::Relaxed).saturating_sub(before))
}

/// Parses to the end, or to the error.
fn parse(archive: impl Read) -> Result<usize, String> {
    let archive = BufReader::new(archive);
    let mut reader = ArchiveReader::new(archive, &FramingLimits::default());
    let mut count = 0;
    while let Some(_entry) = reader.next_entry().map_err(|e| e.to_string())? {
        while reader.data().map_err(|e| e.to_string())?.is_some() {}
        count += 1;
    }
    reader.finish().map_err(|e| e.to_string())?;
    Ok(count)
}

/// Applies to a folder of its own.
fn apply(layer: impl Read, limits: Limits) -> Result<u64, String> {
    let folder = tempfile::tempdir().unwrap();
    let text = |e: oci_unpack::Error| match e {
        oci_unpack::Error::Layer { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    let mut rootfs = Rootfs::open(folder.path(), &UnpackOptions::default().limits(limits)).map_err(text)?;
    let report = rootfs.apply(layer).map_err(text)?;
    rootfs.finish().map_err(text)?;
    Ok(report.entries)
}

const MIB: usize = 1 << 20;

#[test]
fn hostile_archives_stay_small() {
    let next = || file("next", "n").bytes();
    let header = |flag, size: u64| cut(file("extension", "").flag(flag).size(size).bytes()).bytes();

    for flag in *b"xgLK" {
        let ((), used) = peak(|| {
            let archive = header(flag, 256 << 20);
            let error = parse(archive.chain(repeat(b'a').take(256 << 20))).unwrap_err();
            assert!(error.contains("extension header bytes"), "{error}");
        });
        assert!(used < MIB, "an extension header of 256 MiB: {used}");
    }

    // As large as allowed, and nothing but names without an end.
    for flag in *b"LK" {
        let (result, used) = peak(|| parse(header(flag, MIB as u64).chain(repeat(b'a').take(MIB as u64))));
        assert!(result.unwrap_err().contains("longer than"));
        assert!(used < 3 * MIB, "a name of 1 MiB: {used}");
    }

    // More than a million records, of a key that says nothing and of attributes that are kept.
    let many = record(b"a", b"").repeat(200_000);
    let (archive, size) = ([extension(b'x', &many).bytes().repeat(6), next()].concat(), many.len());
    let (result, used) = peak(|| parse(&archive[..]));
    assert_eq!(result, Ok(1), "1.2 million records of {size} bytes a header");
    assert!(used < 3 * MIB, "1.2 million records: {used}");
    drop(archive);
    let attributes: Vec<u8> =
        (0..35_000).flat_map(|i| record(format!("SCHILY.xattr.u{i}").as_bytes(), b"v")).collect();
    let archive = [extension(b'x', &attributes).bytes().repeat(16), next()].concat();
    let (result, used) = peak(|| parse(&archive[..]));
    assert!(result.unwrap_err().contains("xattr bytes of one entry"));
    // Eight bytes each are 130,000 within the limit, and each costs two allocations and its place in a list.
    assert!(used < 32 * MIB, "560,000 attributes: {used}");
    drop(archive);

    // Sparse files that promise everything: by their size, by the number of parts, by parts of no length.
    let sparse = |map: &str, size: &str| {
        let item = file("0/sparse", layer::padded(map.as_bytes()));
        let version =
            records(&[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", size)]);
        [extension(b'x', version).bytes(), item.bytes(), next(), vec![0; 1024]].concat()
    };
    let huge = (1u64 << 60).to_string();
    let (result, used) = peak(|| parse(&sparse("0\n", &huge)[..]));
    assert_eq!(result, Ok(2));
    assert!(used < MIB, "2^60 bytes of hole: {used}");
    let (result, used) = peak(|| parse(&sparse(&format!("{huge}\n"), &huge)[..]));
    assert!(result.unwrap_err().contains("sparse segments"));
    assert!(used < MIB, "2^60 parts: {used}");
    let (result, used) = peak(|| apply(&sparse("0\n", &huge)[..], Limits::default()));
    assert!(result.unwrap_err().contains("bytes written"));
    assert!(used < 2 * MIB, "2^60 bytes of hole, applied: {used}");
    let endless = file("s", "").flag(b'S').magic(b"ustar  \0").at(482, [1]).at(483, "77777777777\0").bytes();
    let (result, used) = peak(|| parse(endless.chain(Blocks(512 << 10))));
    assert!(result.unwrap_err().contains("sparse segments"));
    assert!(used < 2 * MIB, "a map without an end: {used}");

    // After the end mark, plain and compressed; the tail of one is 256 MiB, of the other 512.
    let (result, used) = peak(|| apply(vec![0; 1024].chain(repeat(0).take(256 << 20)), Limits::default()));
    assert_eq!(result, Ok(0));
    assert!(used < 2 * MIB, "a long tail: {used}");
    let limits = Limits::default().layer_bytes(64 << 20);
    let (result, used) = peak(|| apply(vec![0; 1024].chain(repeat(0)), limits));
    assert!(result.unwrap_err().contains("uncompressed bytes of one layer"));
    assert!(used < 2 * MIB, "a tail without an end: {used}");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::copy(&mut repeat(0).take(64 << 20), &mut encoder).unwrap();
    let bomb = encoder.finish().unwrap().repeat(8);
    let (result, used) = peak(|| apply(&bomb[..], Limits::default()));
    assert_eq!(result, Ok(0));
    assert!(used < 2 * MIB, "a compressed tail: {used}");

    // A file as large as its header says costs no more than a small one; refused, nothing at all.
    let data = file("large", "").size(128 << 20).bytes();
    let (result, used) = peak(|| parse(data.chain(repeat(b'd').take(128 << 20))));
    assert_eq!(result, Ok(1));
    assert!(used < MIB, "128 MiB of data: {used}");

    // Headers before an entry that never comes.
    let (result, used) = peak(|| parse(Repeated(dir("d/").pax("uid", "1").bytes()[..1024].to_vec(), 0)));
    assert!(result.unwrap_err().contains("extension headers before one entry"));
    assert!(used < MIB, "headers without an end: {used}");
}

/// Blocks of an old GNU sparse map, one after the other, each of 21 parts and with one more behind it.
struct Blocks(u64);

impl Read for Blocks {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let mut block = Vec::new();
        for _ in 0..21 {
            self.0 += 512;
            block.extend(format!("{:011o}\0{:011o}\0", self.0, 1).bytes());
        }
        block.resize(512, 0);
        block[504] = 1;
        buf[..512].copy_from_slice(&block);
        Ok(512)
    }
}

/// The same bytes over and over.
struct Repeated(Vec<u8>, usize);

impl Read for Repeated {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.0[self.1..];
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        self.1 = (self.1 + n) % self.0.len();
        Ok(n)
    }
}
