//! Image config to runtime spec, and containers run from inside a threaded program.

#![deny(unsafe_code)]

mod bundle;
mod container;
mod enter;
mod error;
mod explain;
mod plan;
mod prepare;
mod step;
mod sys;
mod tail;

pub mod cgroup;
pub mod spec;

pub use bundle::Bundle;
pub use container::{Container, ExitStatus, Options, State, Status, Stdio};
pub use error::{Error, Problem, Result};
pub use plan::Plan;
