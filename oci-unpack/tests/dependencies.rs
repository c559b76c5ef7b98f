//! The crate's dependencies are those of `dependencies.txt`.

#[path = "../../oci-digest/tests/dependencies.rs"]
mod dependencies;
