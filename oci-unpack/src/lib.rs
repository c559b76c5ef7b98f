//! oci-unpack
