//! oci-client
