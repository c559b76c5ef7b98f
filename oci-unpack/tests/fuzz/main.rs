//! The fuzz targets, as far as a test run goes: their seeds, changes of those, and random bytes.
//!
//! The bytes are the same in every run. More of them, in search of what is wrong, is the work of `cargo fuzz`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub, reason = "the targets are a crate of their own elsewhere")]

mod archives;
#[path = "../framing/builder.rs"]
#[allow(dead_code, reason = "made for the parser's own tests, which need more of it")]
mod builder;
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

/// Runs a target over its seeds, over changes of them, and over random bytes.
fn run(name: &str, cases: u32) {
    let (_, target, seeds) = targets::TARGETS.into_iter().find(|target| target.0 == name).unwrap();
    let seeds = seeds();
    for seed in &seeds {
        target(seed);
    }
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_240_229),
        ..ProptestConfig::default()
    };
    let bytes = prop_oneof![proptest::collection::vec(any::<u8>(), 0..400), changed(seeds)];
    TestRunner::new(config)
        .run(&bytes, |bytes| {
            target(&bytes);
            Ok(())
        })
        .unwrap();
}

/// A seed with some bytes changed, perhaps cut, perhaps with a part of itself again.
fn changed(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    use prop::sample::{Index, select};
    let changes = proptest::collection::vec((any::<Index>(), any::<u8>()), 0..6);
    let cut = proptest::option::weighted(0.2, any::<Index>());
    let again = proptest::option::weighted(0.2, any::<(Index, Index)>());
    (select(seeds), changes, cut, again).prop_map(|(mut bytes, changes, cut, again)| {
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some((from, to)) = again {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let part = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.splice(to..to, part);
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        bytes
    })
}

#[test]
fn framing() {
    run("framing", 1500);
}

#[test]
fn pax() {
    run("pax", 3000);
}

#[test]
fn sparse() {
    run("sparse", 1500);
}

#[test]
fn compression() {
    run("compression", 1000);
}

#[test]
fn apply() {
    run("apply", 300);
}

#[test]
fn whiteouts() {
    run("whiteouts", 400);
}

/// A model that has no answer to anything would agree with everything.
#[test]
fn the_model_has_an_answer_to_most() {
    let shares =
        targets::whiteouts::seeds().iter().map(|seed| targets::whiteouts::share(seed)).collect::<Vec<_>>();
    let (all, said) = shares.iter().fold((0, 0), |sum, share| (sum.0 + share.0, sum.1 + share.1));
    assert!(all > 100 && said * 4 > all * 3, "{said} of {all}");
}
