use crate::{Error, Result};

/// The longest component that Linux file systems take, in bytes.
const COMPONENT: usize = 255;

/// The name of an entry, from the root of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// The root itself.
    Root,
    /// Something below it.
    Below(Path),
}

/// A normalised name: no leading slash, no empty, `.` or `..` components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    bytes: Vec<u8>,
    /// Where the last component begins.
    leaf: usize,
}

/// What `..` at the root does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Above {
    /// An error: no honest archive names what is above its root.
    Refuse,
    /// It stays there, as in a chroot.
    Clamp,
}

impl Name {
    /// Normalises a name as it stands in an archive.
    ///
    /// `a/../b` is `b` whatever `a` is: components are names here and not yet links.
    pub(crate) fn parse(raw: &[u8], above: Above) -> Result<Self> {
        if raw.is_empty() {
            return Err(Error::entry(raw, "an empty name"));
        }
        if raw.contains(&0) {
            return Err(Error::entry(raw, "a NUL byte in a name"));
        }
        let mut bytes = Vec::with_capacity(raw.len());
        for component in raw.split(|b| *b == b'/') {
            match component {
                b"" | b"." => {}
                b".." if bytes.is_empty() => {
                    if above == Above::Refuse {
                        return Err(Error::entry(raw, "the name leads out of the root"));
                    }
                }
                b".." => bytes.truncate(bytes.iter().rposition(|b| *b == b'/').unwrap_or(0)),
                name if name.len() > COMPONENT => {
                    let reason = format!("a component is longer than {COMPONENT} bytes");
                    return Err(Error::entry(raw, reason));
                }
                name => {
                    if !bytes.is_empty() {
                        bytes.push(b'/');
                    }
                    bytes.extend_from_slice(name);
                }
            }
        }
        if bytes.is_empty() {
            return Ok(Self::Root);
        }
        let leaf = bytes.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
        Ok(Self::Below(Path { bytes, leaf }))
    }
}

impl Path {
    /// The whole name.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The name of the directory it is in; empty for the root.
    pub(crate) fn parent(&self) -> &[u8] {
        self.bytes.get(..self.leaf.saturating_sub(1)).unwrap_or_default()
    }

    /// The last component.
    pub(crate) fn leaf(&self) -> &[u8] {
        self.bytes.get(self.leaf..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised() {
        for (raw, parent, leaf) in [
            ("x", "", "x"),
            ("./x", "", "x"),
            ("/abs/x", "abs", "x"),
            ("//x//./y", "x", "y"),
            ("././x//", "", "x"),
            ("a/../b", "", "b"),
            ("a/b/../../c/d", "c", "d"),
            ("...", "", "..."),
        ] {
            let Name::Below(path) = Name::parse(raw.as_bytes(), Above::Refuse).unwrap() else {
                panic!("{raw} is not the root")
            };
            assert_eq!((path.parent(), path.leaf()), (parent.as_bytes(), leaf.as_bytes()), "{raw}");
        }
    }

    #[test]
    fn the_root_has_many_names() {
        for raw in [".", "/", "./", "/.", "./.", "a/..", "//"] {
            assert_eq!(Name::parse(raw.as_bytes(), Above::Refuse).unwrap(), Name::Root, "{raw}");
        }
    }

    #[test]
    fn what_leads_out_is_refused_or_stays() {
        for raw in ["../x", "../a/x", "a/../../x", "../", "..", "/../x"] {
            assert!(Name::parse(raw.as_bytes(), Above::Refuse).is_err(), "{raw}");
            assert!(Name::parse(raw.as_bytes(), Above::Clamp).is_ok(), "{raw}");
        }
        assert!(Name::parse(b"", Above::Clamp).is_err());
        assert!(Name::parse(b"a\0b", Above::Clamp).is_err());
        assert!(Name::parse(&[b'n'; 256], Above::Clamp).is_err());
        assert!(Name::parse(&[b'n'; 255], Above::Clamp).is_ok());
    }
}
