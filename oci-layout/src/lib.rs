//! oci-layout
