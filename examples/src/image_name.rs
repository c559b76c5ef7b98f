use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use oci_digest::content::{self, Image};
use oci_digest::media_type::Kind;
use oci_digest::platform;
use oci_digest::{Algorithm, Digest, Platform};
use oci_layout::ImageLayout;

use crate::{Failure, platform_of};

/// An image in a layout on the command line: `LAYOUT`, `LAYOUT:TAG` or `LAYOUT@sha256:…`.
///
/// Tags and folders may hold colons. The folder is the longest part before a colon (or `@`) that is a layout; where
/// none is, it ends at the first colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// The layout's folder.
    pub layout: PathBuf,
    /// The tag or digest, when one was given.
    pub name: Option<String>,
}

impl ImageName {
    /// The tag or digest; without one, `latest`.
    pub fn name_or_latest(&self) -> &str {
        self.name.as_deref().unwrap_or("latest")
    }

    /// The tag, for commands that set it.
    ///
    /// # Errors
    /// When a digest was given instead, and for what no layout can hold.
    pub fn tag(&self) -> Result<&str, Failure> {
        match self.name_or_latest() {
            digest if is_digest(digest) => {
                Err(Failure::new(format!("{self}: a tag is needed here, not a digest")))
            }
            tag => {
                ImageLayout::check_tag(tag)?;
                Ok(tag)
            }
        }
    }

    /// The tag that a command sets: the one that was asked for, else the image's own.
    ///
    /// # Errors
    /// As [`tag`](Self::tag).
    pub fn new_tag<'t>(&'t self, asked: Option<&'t str>) -> Result<&'t str, Failure> {
        let Some(tag) = asked else { return self.tag() };
        ImageLayout::check_tag(tag)?;
        Ok(tag)
    }

    /// Opens the layout.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(&self) -> Result<ImageLayout, Failure> {
        Ok(ImageLayout::open(&self.layout)?)
    }

    /// Finds the image for a platform, this machine's by default, and reads its manifest and config.
    ///
    /// A tag that stands for a single image gives that one, unless a platform was asked for that it is not for.
    ///
    /// # Errors
    /// When the layout has no such name, no image for the platform, or documents that cannot be understood.
    pub fn find(&self, layout: &ImageLayout, wanted: Option<&Platform>) -> Result<Image, Failure> {
        let name = self.name_or_latest();
        // First, because its error names the layout.
        layout.resolve(name)?;
        let named = layout.named(name)?;
        // Some tools list the platforms of an image side by side under one tag, instead of in an index.
        let image = if named.len() > 1 && named.iter().all(|entry| entry.platform().is_some()) {
            let host = platform::host();
            let chosen = platform::select(wanted.unwrap_or(&host), &named)?;
            content::image(layout, chosen.digest().as_ref(), wanted)?
        } else {
            content::image(layout, name, wanted)?
        };
        if Kind::of(image.manifest.view().config().media_type()) != Kind::Config {
            let what = image.manifest.view().config().media_type();
            return Err(Failure::new(format!("{self} is no image: its config is of type {what}")));
        }
        if let Some(wanted) = wanted {
            let own = platform_of(&image);
            if !platform::matches(wanted, &own) {
                let (own, wanted) = (platform::to_text(&own), platform::to_text(wanted));
                return Err(Failure::new(format!("{self} is for {own}, not for {wanted}")));
            }
        }
        Ok(image)
    }
}

impl FromStr for ImageName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (layout, name) = split_name(text, |folder| folder.join("oci-layout").exists());
        match (layout, name) {
            ("", _) => Err("expected LAYOUT, LAYOUT:TAG or LAYOUT@DIGEST; the folder is missing"),
            (_, Some("")) => Err("expected LAYOUT, LAYOUT:TAG or LAYOUT@DIGEST; the tag is empty"),
            (layout, name) => Ok(Self { layout: layout.into(), name: name.map(str::to_owned) }),
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name_or_latest();
        let separator = if is_digest(name) { '@' } else { ':' };
        write!(f, "{}{separator}{name}", self.layout.display())
    }
}

/// Splits a place and a name in it at a colon, or an `@` before a digest. Places and names may hold colons: the place is
/// the longest that is one, or else it ends at the first colon.
pub fn split_name(text: &str, is_place: impl Fn(&Path) -> bool) -> (&str, Option<&str>) {
    if is_place(Path::new(text)) {
        return (text, None);
    }
    let ends: Vec<usize> = text
        .match_indices([':', '@'])
        .map(|(at, _)| at)
        // An `@` that no digest follows belongs to the folder.
        .filter(|&at| text.as_bytes().get(at) == Some(&b':') || text.get(at + 1..).is_some_and(is_digest))
        .collect();
    let place =
        ends.iter().rev().find(|&&at| text.get(..at).is_some_and(|folder| is_place(Path::new(folder))));
    match place.or(ends.first()) {
        Some(&at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

/// By its grammar alone `name:tag` would be one, too.
fn is_digest(text: &str) -> bool {
    text.parse::<Digest>().is_ok_and(|digest| Algorithm::of(&digest).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let at = format!("a@{digest}");
        for (text, layouts, expected) in [
            ("images", &["images"][..], ("images", None)),
            ("images:v1", &["images"], ("images", Some("v1"))),
            ("images:127.0.0.1:5000/a:v1", &["images"], ("images", Some("127.0.0.1:5000/a:v1"))),
            ("a:b:c", &["a:b"], ("a:b", Some("c"))),
            ("a:b", &["a:b"], ("a:b", None)),
            ("a:b", &["a", "a:b"], ("a:b", None)),
            ("absent:v1:x", &[], ("absent", Some("v1:x"))),
            ("absent", &[], ("absent", None)),
            ("me@home:v1", &[], ("me@home", Some("v1"))),
            (&at, &["a"], ("a", Some(digest.as_str()))),
            (&at, &[], ("a", Some(digest.as_str()))),
        ] {
            let found = split_name(text, |folder| layouts.iter().any(|layout| Path::new(layout) == folder));
            assert_eq!(found, expected, "{text} with {layouts:?}");
        }
        assert!("".parse::<ImageName>().is_err() && ":x".parse::<ImageName>().is_err());
        assert!("absent:".parse::<ImageName>().is_err());
    }
}
