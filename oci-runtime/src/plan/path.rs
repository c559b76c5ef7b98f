use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path};

use super::Problems;

/// A path inside the container's root, relative to it, and its parts for making what is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InRoot {
    /// `a/b/c`, or `.` for the root itself.
    pub(crate) whole: CString,
    /// For each component the path of its parent (`.`, `a`, `a/b`) and its name (`a`, `b`, `c`).
    pub(crate) parts: Vec<Part>,
}

/// A component of an [`InRoot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) path: CString,
    pub(crate) name: CString,
}

impl InRoot {
    /// `path` without `.`, and with `..` taken by name, as the reference runtimes do.
    pub(crate) fn new(path: &Path, pointer: &str, problems: &mut Problems) -> Self {
        let mut names: Vec<&std::ffi::OsStr> = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => names.push(name),
                Component::ParentDir => drop(names.pop()),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        let mut so_far = OsString::new();
        let mut parts = Vec::with_capacity(names.len());
        for name in names {
            if !so_far.is_empty() {
                so_far.push("/");
            }
            so_far.push(name);
            parts.push(Part {
                path: problems.text(pointer, so_far.clone().into_vec()),
                name: problems.text(pointer, name.to_owned().into_vec()),
            });
        }
        let whole = parts.last().map_or_else(|| c".".to_owned(), |part| part.path.clone());
        Self { whole, parts }
    }

    /// A path that is known to be well-formed.
    pub(crate) fn known(path: &str) -> Self {
        Self::new(Path::new(path), "", &mut Problems::default())
    }
}

impl std::fmt::Display for InRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.whole.to_bytes() {
            b"." => f.write_str("/"),
            _ => write!(f, "/{}", self.whole.to_string_lossy()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_inside() {
        for (path, expected) in
            [("/", "/"), ("/a/b", "/a/b"), ("a//./b/", "/a/b"), ("/../../etc", "/etc"), ("/a/../../b", "/b")]
        {
            assert_eq!(InRoot::known(path).to_string(), expected, "{path}");
        }
        let parts = InRoot::known("/a/b").parts;
        assert_eq!(parts[1], Part { path: c"a/b".into(), name: c"b".into() });
    }
}
