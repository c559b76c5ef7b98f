//! Image config to runtime spec, and containers run from inside a threaded program.

mod error;

pub mod cgroup;
pub mod spec;

pub use error::{Error, Problem, Result};
