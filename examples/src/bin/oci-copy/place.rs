//! Where images are, on the command line.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use examples::{ImageName, split_name};
use oci_client::Reference;

/// Where images are.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Registry(Reference),
    Layout(ImageName),
    Archive { kind: Archive, path: PathBuf, name: Option<String> },
    Flat(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Archive {
    Oci,
    Docker,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let archive = |kind, rest: &str| {
            // A file that is there may have a colon in its name.
            let (path, name) = split_name(rest, |path| path.is_file());
            if path.is_empty() || name == Some("") {
                return Err(format!("{text:?}: expected the name of a file, and a name in it after a colon"));
            }
            Ok(Self::Archive { kind, path: path.into(), name: name.map(str::to_owned) })
        };
        match text.split_once(':') {
            Some(("docker", rest)) => {
                let rest = rest.strip_prefix("//").ok_or_else(|| format!("{text:?}: expected docker://"))?;
                Ok(Self::Registry(rest.parse().map_err(|e: oci_client::Error| e.to_string())?))
            }
            Some(("oci", rest)) => {
                Ok(Self::Layout(rest.parse().map_err(|e: &str| format!("{text:?}: {e}"))?))
            }
            Some(("oci-archive", rest)) => archive(Archive::Oci, rest),
            Some(("docker-archive", rest)) => archive(Archive::Docker, rest),
            Some(("dir", rest)) if !rest.is_empty() => Ok(Self::Flat(rest.into())),
            _ => Err(format!(
                "{text:?}: expected docker://, oci:, oci-archive:, docker-archive: or dir: and a place after it"
            )),
        }
    }
}

impl Place {
    /// Whether it is standard input or output.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Self::Archive { path, .. } if path == Path::new("-"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => write!(f, "docker://{reference}"),
            Self::Layout(image) => match &image.name {
                Some(_) => write!(f, "oci:{image}"),
                None => write!(f, "oci:{}", image.layout.display()),
            },
            Self::Archive { kind, path, name } => {
                let kind = if *kind == Archive::Oci { "oci-archive" } else { "docker-archive" };
                write!(f, "{kind}:{}", path.display())?;
                name.as_ref().map_or(Ok(()), |name| write!(f, ":{name}"))
            }
            Self::Flat(path) => write!(f, "dir:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_they_are_read() {
        for text in [
            "docker://127.0.0.1:5000/a/b:v1",
            "oci:folder",
            "oci:folder:v1",
            "oci-archive:a.tar",
            "oci-archive:-",
            "docker-archive:a.tar:h:5000/b:1",
            "docker-archive:a.tar:@1",
            "dir:folder",
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        for text in
            ["", "folder", "oci:", "dir:", "docker:a", "docker://", "oci-archive:", "oci-archive:a:", "x:y"]
        {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
