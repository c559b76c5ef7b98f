//! What the fuzz targets do with their bytes, as plain functions: `cargo fuzz` runs them, and so do the crate's own
//! tests, which include this file.

pub mod apply;
mod choices;
pub mod compression;
pub mod framing;
#[path = "../../tests/rootfs/layer.rs"]
#[allow(dead_code, unreachable_pub, reason = "made for the table of cases, which needs more of it")]
mod layer;
mod model;
pub mod pax;
pub mod sparse;
#[path = "../../tests/rootfs/stats.rs"]
mod stats;
mod steps;
#[path = "../../tests/rootfs/tree.rs"]
mod tree;
pub mod whiteouts;
mod yard;

/// A target: its name, what it does with bytes (it panics where something is wrong), and bytes to begin with.
pub type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

/// All of them.
pub const TARGETS: [Target; 6] = [
    ("framing", framing::run, framing::seeds),
    ("pax", pax::run, pax::seeds),
    ("sparse", sparse::run, sparse::seeds),
    ("compression", compression::run, compression::seeds),
    ("apply", apply::run, apply::seeds),
    ("whiteouts", whiteouts::run, whiteouts::seeds),
];
