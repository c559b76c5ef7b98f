//! Hashing: the three algorithms that can be computed, and readers and writers that hash on the way.

mod algorithm;
mod hasher;
mod reader;
mod verify;
mod writer;

pub use algorithm::Algorithm;
pub use hasher::{Hasher, digest_of};
pub use reader::HashReader;
pub use verify::VerifyReader;
pub use writer::HashWriter;
