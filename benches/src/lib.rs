//! What the benchmarks measure with: images, archives and a program, made here and always the same.
#![forbid(unsafe_code)]

mod image;
mod layer;
mod program;

pub use image::{Failure, add_image};
pub use layer::{MadeLayer, noise, noise_layer, small_files};
pub use program::exit_zero;
