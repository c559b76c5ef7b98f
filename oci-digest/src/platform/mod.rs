//! Platforms: parsing, normal forms, this machine's, and the choice of an image by one.
//!
//! The rules are those of containerd's `platforms`, its strict form: another architecture is never taken, an
//! older variant of the same one is.
//!
//! ```
//! use oci_digest::platform;
//!
//! let wanted = platform::parse("linux/arm/v7")?;
//! assert!(platform::matches(&wanted, &platform::parse("linux/armel")?)); // arm/v6
//! assert!(platform::matches(&platform::parse("linux/arm64")?, &platform::parse("linux/aarch64/v8")?));
//! assert!(!platform::matches(&platform::parse("linux/amd64")?, &platform::parse("linux/amd64/v3")?));
//! # Ok::<(), oci_digest::Error>(())
//! ```

mod host;
mod matching;
mod normal;
mod select;

pub use host::host;
pub use matching::matches;
pub use normal::{normalize, parse, to_text};
pub use select::{is_attestation, select};
