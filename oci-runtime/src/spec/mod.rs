//! Runtime specs out of image configurations.
