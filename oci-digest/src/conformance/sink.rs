use super::failure::{Check, Failure, checked, during, ensure, refused};
use super::fixture::{Image, Item, tag};
use crate::content::Sink;
use crate::{Algorithm, Descriptor, Error, Result};

pub(super) fn run<S: Sink>(make: &impl Fn() -> Result<S>) -> Result<(), Failure> {
    checked("a_blob_is_there_after_ingest_and_not_before", make, presence)?;
    checked("wrong_digest_is_refused", make, wrong_digest)?;
    checked("wrong_size_is_refused", make, wrong_size)?;
    checked("right_after_wrong_works", make, right_after_wrong)?;
    checked("a_failing_content_leaves_nothing", make, failing_content)?;
    checked("ingest_twice_is_success", make, twice)?;
    checked("an_empty_blob_is_content", make, empty)?;
    checked("sha512_is_taken", make, sha512)?;
    checked("a_large_blob_is_taken", make, large)?;
    checked("one_blob_from_eight_threads", make, eight_threads)?;
    checked("a_manifest_of_other_bytes_is_refused", make, wrong_manifest)?;
    checked("malformed_tags_are_refused", make, malformed_tags)
}

fn presence<S: Sink>(sink: &S) -> Check {
    let blob = Item::blob(1000);
    ensure(!during("has", sink.has(&blob.descriptor))?, "has is true before ingest")?;
    during("ingest", blob.ingest(sink))?;
    ensure(during("has", sink.has(&blob.descriptor))?, "has is false after ingest")?;
    let larger = resized(&blob.descriptor, 1001);
    ensure(!during("has", sink.has(&larger))?, "has is true for a descriptor of another size")
}

fn wrong_digest<S: Sink>(sink: &S) -> Check {
    let (blob, other) = (Item::blob(1000), Item::blob(1000));
    let error = refused("ingest of other bytes", sink.ingest(&blob.descriptor, &other.bytes.as_slice()))?;
    is_mismatch(&error)?;
    ensure(!sink.has(&blob.descriptor)?, "has is true after a refused ingest")?;
    ensure(!sink.has(&other.descriptor)?, "the wrong bytes were kept under their own digest")
}

fn wrong_size<S: Sink>(sink: &S) -> Check {
    for size in [999, 1001, 0, 1 << 40] {
        let blob = Item::blob(1000);
        let wrong = resized(&blob.descriptor, size);
        let error = refused("ingest with a wrong size", sink.ingest(&wrong, &blob.bytes.as_slice()))?;
        is_mismatch(&error)?;
        ensure(!sink.has(&wrong)?, format!("has is true after a refused ingest with size {size}"))?;
        ensure(!sink.has(&blob.descriptor)?, "the bytes were kept in spite of their wrong size")?;
    }
    Ok(())
}

fn right_after_wrong<S: Sink>(sink: &S) -> Check {
    let (blob, other) = (Item::blob(5000), Item::blob(5000));
    let half = blob.bytes.get(..2500).unwrap_or_default();
    refused("ingest of half the bytes", sink.ingest(&blob.descriptor, &half))?;
    refused("ingest of other bytes", sink.ingest(&blob.descriptor, &other.bytes.as_slice()))?;
    during("ingest of the right bytes", blob.ingest(sink))?;
    ensure(sink.has(&blob.descriptor)?, "has is false after the right bytes came")
}

fn failing_content<S: Sink>(sink: &S) -> Check {
    struct Failing<'a>(&'a [u8]);
    impl crate::content::Content for Failing<'_> {
        fn open(&self, offset: u64) -> Result<Box<dyn std::io::Read + Send + '_>> {
            Ok(Box::new(std::io::Read::chain(
                self.0.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default(),
                Broken,
            )))
        }
    }
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the content failed"))
        }
    }
    let blob = Item::blob(3000);
    let half = blob.bytes.get(..1500).unwrap_or_default();
    refused("ingest of content that fails", sink.ingest(&blob.descriptor, &Failing(half)))?;
    ensure(!sink.has(&blob.descriptor)?, "has is true after the content failed")?;
    during("ingest after the content failed", blob.ingest(sink))?;
    ensure(sink.has(&blob.descriptor)?, "has is false after ingest")
}

fn twice<S: Sink>(sink: &S) -> Check {
    let blob = Item::blob(1000);
    during("first ingest", blob.ingest(sink))?;
    during("second ingest", blob.ingest(sink))?;
    ensure(sink.has(&blob.descriptor)?, "has is false after two ingests")
}

fn empty<S: Sink>(sink: &S) -> Check {
    let blob = Item::blob(0);
    during("ingest", blob.ingest(sink))?;
    ensure(sink.has(&blob.descriptor)?, "has is false after ingest")
}

fn sha512<S: Sink>(sink: &S) -> Check {
    let (blob, other) = (Item::blob_of(Algorithm::Sha512, 1000), Item::blob_of(Algorithm::Sha512, 1000));
    is_mismatch(&refused("ingest of other bytes", sink.ingest(&blob.descriptor, &other.bytes.as_slice()))?)?;
    during("ingest", blob.ingest(sink))?;
    ensure(sink.has(&blob.descriptor)?, "has is false after ingest")
}

fn large<S: Sink>(sink: &S) -> Check {
    let blob = Item::blob((1 << 20) + 17);
    during("ingest", blob.ingest(sink))?;
    ensure(sink.has(&blob.descriptor)?, "has is false after ingest")
}

fn eight_threads<S: Sink>(sink: &S) -> Check {
    let blob = Item::blob(300_000);
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| blob.ingest(sink))).collect();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    for result in results {
        match result {
            Ok(result) => during("ingest beside seven others", result)?,
            Err(_) => ensure(false, "a thread panicked")?,
        }
    }
    ensure(sink.has(&blob.descriptor)?, "has is false after ingest")
}

fn wrong_manifest<S: Sink>(sink: &S) -> Check {
    let (image, other) = (Image::new(), Image::new());
    image.ingest_blobs(sink)?;
    other.ingest_blobs(sink)?;
    let tag = tag();
    refused(
        "publishing other bytes",
        sink.publish(&image.manifest.descriptor, &other.manifest.bytes, &[&tag]),
    )?;
    ensure(!sink.has(&image.manifest.descriptor)?, "has is true after a refused manifest")
}

fn malformed_tags<S: Sink>(sink: &S) -> Check {
    for tag in ["", "a b", "-x", "../x", "a\nb"] {
        let image = Image::new();
        image.ingest_blobs(sink)?;
        let result = sink.publish(&image.manifest.descriptor, &image.manifest.bytes, &[tag]);
        let error = refused(&format!("publishing under {tag:?}"), result)?;
        // A store may wrap it in an error of its own.
        ensure(
            matches!(error, Error::Invalid { .. } | Error::Store { retryable: false, .. }),
            format!("publishing under {tag:?} should fail as invalid, not: {error}"),
        )?;
    }
    Ok(())
}

fn is_mismatch(error: &Error) -> Check {
    ensure(
        matches!(error, Error::DigestMismatch { .. } | Error::SizeMismatch { .. }),
        format!("it should be refused as a mismatch of digest or size, not: {error}"),
    )
}

fn resized(descriptor: &Descriptor, size: u64) -> Descriptor {
    let mut descriptor = descriptor.clone();
    descriptor.set_size(size);
    descriptor
}
