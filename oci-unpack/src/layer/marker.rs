use super::name::Path;
use crate::{Error, Result};

const PREFIX: &[u8] = b".wh.";
const METADATA: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Where AUFS keeps the inodes of files with names in several branches.
pub(super) const PSEUDO_LINKS: &[u8] = b".wh..wh.plnk";

/// What the name of an entry asks for. Only the name does: the type, the content and the attributes of a marker
/// mean nothing, and all types exist in public images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker<'a> {
    /// An entry like any other.
    No,
    /// Hides a name of the lower layers (image-spec layer.md, Whiteouts).
    Whiteout(&'a [u8]),
    /// Hides all that lower layers hold in its directory (image-spec layer.md, Opaque Whiteout).
    Opaque,
    /// Bookkeeping of AUFS: of no meaning in an image, and never a whiteout.
    Metadata,
    /// The same, but hard links of the image may name it as their target: archives were made that have the content
    /// of a file there alone.
    PseudoLink,
}

impl<'a> Marker<'a> {
    /// Reads the markers in a name.
    pub(crate) fn of(path: &'a Path) -> Result<Self> {
        let refuse = |reason| Err(Error::entry(path.as_bytes(), reason));
        for component in path.parent().split(|b| *b == b'/') {
            if path.parent() == PSEUDO_LINKS {
                return Ok(Self::PseudoLink);
            }
            if component.starts_with(METADATA) && component != OPAQUE {
                return Ok(Self::Metadata);
            }
            if component.starts_with(PREFIX) {
                // layer.md: the prefix is reserved, so that no directory can be named so.
                return refuse("a whiteout is not a directory that could hold something");
            }
        }
        let leaf = path.leaf();
        if leaf == OPAQUE {
            return Ok(Self::Opaque);
        }
        if leaf.starts_with(METADATA) {
            return Ok(Self::Metadata);
        }
        match leaf.strip_prefix(PREFIX) {
            None => Ok(Self::No),
            Some(b"") => refuse("a whiteout of nothing"),
            Some(b"." | b"..") => refuse("a whiteout of a directory's own name or of the one above"),
            Some(name) => Ok(Self::Whiteout(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::name::{Above, Name};
    use super::*;

    fn parse(raw: &str) -> Path {
        match Name::parse(raw.as_bytes(), Above::Refuse).unwrap() {
            Name::Below(path) => path,
            Name::Root => panic!("{raw} is the root"),
        }
    }

    #[test]
    fn markers_are_told_by_their_last_component() {
        for (raw, marker) in [
            ("a", Marker::No),
            ("a/.wh", Marker::No),
            ("a/x.wh.y", Marker::No),
            ("a/.wh.x", Marker::Whiteout(b"x")),
            (".wh.x/", Marker::Whiteout(b"x")),
            (".wh....", Marker::Whiteout(b"...")),
            (".wh.a.wh.b", Marker::Whiteout(b"a.wh.b")),
            ("a/.wh..wh..opq", Marker::Opaque),
            (".wh..wh..opq", Marker::Opaque),
            (".wh..wh.foo", Marker::Metadata),
            (".wh..wh.plnk", Marker::Metadata),
            (".wh..wh.plnk/123", Marker::PseudoLink),
            (".wh..wh.plnk/1/2", Marker::Metadata),
            ("a/.wh..wh.plnk/123", Marker::Metadata),
            (".wh..wh..opq2", Marker::Metadata),
        ] {
            assert_eq!(Marker::of(&parse(raw)).unwrap(), marker, "{raw}");
        }
        for raw in [".wh.", "a/.wh./", ".wh..", ".wh...", "a/.wh.sub/foo", ".wh..wh..opq/x"] {
            assert!(Marker::of(&parse(raw)).is_err(), "{raw}");
        }
    }
}
