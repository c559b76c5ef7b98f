//! Image config to runtime spec, and containers run from inside a threaded program.

#![deny(unsafe_code)]

mod error;
mod sys;
mod tail;

pub mod cgroup;
pub mod spec;

pub use error::{Error, Problem, Result};
