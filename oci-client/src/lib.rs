//! oci-client

#[cfg(feature = "registry")]
pub mod registry;
