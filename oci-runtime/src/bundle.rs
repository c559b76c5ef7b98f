use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use serde_json::Value;

use crate::plan::is_capability;
use crate::{Error, Result};

/// A folder with a `config.json`, as the runtime-spec defines it; or such a document alone.
///
/// ```no_run
/// use oci_runtime::{Bundle, Container, Options};
///
/// let bundle = Bundle::open("/var/lib/my-bundle".as_ref())?;
/// let mut container = Container::run(&bundle.spec, Options::new("one").bundle(&bundle.path))?;
/// println!("{}", container.wait()?);
/// container.delete(false)?;
/// # Ok::<(), oci_runtime::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Bundle {
    /// The absolute path of the folder; empty for a document alone.
    pub path: PathBuf,
    /// The runtime spec.
    pub spec: Spec,
    /// What the document holds and the runtime-spec wants ignored with a warning.
    pub warnings: Vec<String>,
}

/// More than the longest command line and environment that the kernel takes.
const CAP: u64 = 16 << 20;

impl Bundle {
    /// Reads `config.json` of the folder, 16 MiB at most.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::Document`] when it is not a runtime spec.
    pub fn open(path: &Path) -> Result<Self> {
        let path =
            path.canonicalize().map_err(|error| Error::io(format!("find {}", path.display()), error))?;
        let config = path.join("config.json");
        let mut text = Vec::new();
        File::open(&config)
            .and_then(|file| file.take(CAP + 1).read_to_end(&mut text))
            .map_err(|error| Error::io(format!("read {}", config.display()), error))?;
        if text.len() as u64 > CAP {
            let reason = format!("is longer than {CAP} bytes");
            return Err(Error::Document { what: config.display().to_string(), reason });
        }
        let mut bundle = Self::parse(&text, &config.display().to_string())?;
        bundle.path = path;
        Ok(bundle)
    }

    /// Reads a runtime spec; `name` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Document`] when it is not a runtime spec.
    pub fn parse(json: &[u8], name: &str) -> Result<Self> {
        let failed =
            |error: serde_json::Error| Error::Document { what: name.into(), reason: error.to_string() };
        let mut value: Value = serde_json::from_slice(json).map_err(failed)?;
        // The model would take an array for its fields.
        if !value.is_object() {
            return Err(Error::Document { what: name.into(), reason: "is not an object".into() });
        }
        let warnings = drop_unknown_capabilities(&mut value);
        let spec = serde_json::from_value(value).map_err(failed)?;
        Ok(Self { path: PathBuf::new(), spec, warnings })
    }
}

/// config.md, Linux Process: a capability that is not known MUST be a warning; the model fails on it.
fn drop_unknown_capabilities(spec: &mut Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let sets = spec.pointer_mut("/process/capabilities").and_then(Value::as_object_mut);
    for (name, set) in sets.into_iter().flatten() {
        let Some(list) = set.as_array_mut() else { continue };
        list.retain(|capability| {
            let known = capability.as_str().is_none_or(is_capability);
            if !known {
                warnings
                    .push(format!("/process/capabilities/{name}: {capability} is not a known capability"));
            }
            known
        });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_capabilities_are_warnings() {
        let json = br#"{"ociVersion":"1.2.0","root":{"path":"r"},"process":{"cwd":"/","args":["x"],
            "user":{"uid":0,"gid":0},"capabilities":{"bounding":["CAP_KILL","CAP_TELEPORT"]}}}"#;
        let bundle = Bundle::parse(json, "test").unwrap();
        assert_eq!(bundle.warnings.len(), 1, "{:?}", bundle.warnings);
        let process = bundle.spec.process().as_ref().unwrap();
        let capabilities = process.capabilities().as_ref().unwrap();
        assert_eq!(capabilities.bounding().as_ref().map(|set| set.len()), Some(1));
    }

    #[test]
    fn rubbish_is_an_error() {
        for json in ["", "[]", "{", r#"{"ociVersion":3}"#] {
            assert!(matches!(Bundle::parse(json.as_bytes(), "test"), Err(Error::Document { .. })), "{json}");
        }
    }
}
