//! What layers are unpacked to.

use std::num::NonZeroUsize;
use std::path::Path;

use oci_digest::content::Source;
use oci_digest::{ImageConfiguration, ImageManifest};
use oci_unpack::{OverlayFormat, Report, Result, UnpackOptions, overlay};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One tree.
    Rootfs,
    /// Layers with `trusted.overlay.*` and devices as whiteouts.
    Trusted,
    /// Layers with `user.overlay.*` and devices as whiteouts.
    User,
    /// Layers with `user.overlay.*` and whiteouts that are attributes.
    Xattrs,
    /// As `User`, the layers side by side.
    Beside,
}

impl Mode {
    /// One tree, and one kind of layers, where the marks of the format make no difference.
    pub(crate) const EACH: [Self; 3] = [Self::Rootfs, Self::User, Self::Beside];

    /// What every row is tried with: the mode, and whether there is `openat2`.
    pub(crate) fn runs() -> &'static [(Self, bool)] {
        use Mode::{Beside, Rootfs, Trusted, User, Xattrs};
        if super::is_root() {
            &[
                (Rootfs, true),
                (Rootfs, false),
                (Trusted, true),
                (Trusted, false),
                (User, true),
                (Xattrs, false),
                (Beside, true),
            ]
        } else {
            &[(Rootfs, true), (Rootfs, false), (User, true), (User, false), (Xattrs, true), (Beside, true)]
        }
    }

    pub(crate) fn unpack(
        self,
        source: &dyn Source,
        manifest: &ImageManifest,
        config: &ImageConfiguration,
        destination: &Path,
        options: &UnpackOptions,
    ) -> Result<Report> {
        let (options, one) = (options.clone(), NonZeroUsize::MIN);
        let options = match self {
            Self::Rootfs => return oci_unpack::unpack(source, manifest, config, destination, &options),
            // What there is by itself for root.
            Self::Trusted => options.layers_at_once(one),
            Self::User => options.overlay_format(OverlayFormat::User).layers_at_once(one),
            Self::Beside => {
                options.overlay_format(OverlayFormat::User).layers_at_once(NonZeroUsize::new(3).unwrap())
            }
            Self::Xattrs => options.overlay_format(OverlayFormat::User).without_whiteout_devices(),
        };
        let report = overlay::unpack(source, manifest, config, destination, &options)?;
        let format = if self == Self::Trusted { OverlayFormat::Trusted } else { OverlayFormat::User };
        assert_eq!(report.overlay, Some(format));
        Ok(report)
    }
}
