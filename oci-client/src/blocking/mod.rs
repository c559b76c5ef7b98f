//! The same client for programs without an async runtime, and for the content traits.
//!
//! Calls block the calling thread and may come from any number of threads, also from one that runs an async
//! runtime's tasks (which it then holds up). The connections live on two threads of the client's own.

mod client;
mod content;
mod reader;
mod repository;
mod runtime;

pub use client::{Client, Registry};
pub use reader::BlobReader;
pub use repository::Repository;
