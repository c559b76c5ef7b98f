use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{CredentialSource, Credentials};
use crate::protocol::clean::clean;
use crate::reference::parse_authority;
use crate::{Error, Result};

/// The files in which podman and docker keep credentials: `auth.json`, `config.json`, `.dockercfg`.
///
/// They are read anew for every repository, in order; a file that says nothing about a registry leaves it to the next.
/// Of the entries of one file that fit (`host:port/namespace/name` … `host:port`, or the URL of a host) the longest
/// counts. Entries hold a user and a password, or a registry token. Credential helpers and identity tokens are not
/// supported: an entry that needs one is an error, where the registry in question is asked for.
///
/// ```no_run
/// use std::sync::Arc;
/// use oci_client::{ClientOptions, blocking::Client, credentials::AuthFiles};
///
/// let files = Arc::new(AuthFiles::from_environment());
/// let client = Client::with(ClientOptions::default().credential_source(files))?;
/// # Ok::<(), oci_client::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthFiles(Vec<Place>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    /// The user named this file, so it must be there.
    named: bool,
    /// `.dockercfg` has its entries at the top.
    bare: bool,
}

/// Far more than thousands of entries need.
const MAX_BYTES: u64 = 1 << 20;

impl AuthFiles {
    /// One file that the user named, and no other. That it is missing is an error, when it is read.
    pub fn only(path: impl Into<PathBuf>) -> Self {
        Self(vec![Place { path: path.into(), named: true, bare: false }])
    }

    /// Where podman and docker look, as far as the environment tells now: `$REGISTRY_AUTH_FILE` (which must be
    /// there), `$XDG_RUNTIME_DIR/containers/auth.json` (or `/run/containers/$UID/auth.json`),
    /// `$XDG_CONFIG_HOME/containers/auth.json` (`~/.config`), `$DOCKER_CONFIG/config.json` (`~/.docker`) and
    /// `~/.dockercfg`.
    pub fn from_environment() -> Self {
        Self(places(|name| env::var_os(name).filter(|value| !value.is_empty()), user()))
    }
}

impl CredentialSource for AuthFiles {
    /// # Errors
    /// [`Error::Config`] that names the file, and nothing of what is in it: a named file is missing, a file is no
    /// JSON or larger than 1 MiB, an entry is broken or needs what is not supported.
    fn credentials(&self, registry: &str, repository: &str) -> Result<Option<Credentials>> {
        for place in &self.0 {
            let Some(file) = place.read()? else { continue };
            let found = lookup(&file, place.bare, registry, repository);
            if let Some(found) = found.map_err(|reason| place.unusable(&reason))? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl Place {
    fn read(&self) -> Result<Option<Map<String, Value>>> {
        let bytes = match read(&self.path) {
            Ok(bytes) => bytes,
            // Of the usual places most are not there, or belong to another user.
            Err(error) if !self.named && is_absent(&error) => return Ok(None),
            Err(error) => return Err(self.unusable(&error.to_string())),
        };
        if bytes.len() as u64 > MAX_BYTES {
            return Err(self.unusable("it is larger than 1 MiB"));
        }
        // An error of serde_json shows pieces of what it read.
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(file)) => Ok(Some(file)),
            _ => Err(self.unusable("it is no JSON object")),
        }
    }

    fn unusable(&self, reason: &str) -> Error {
        let path = clean(&self.path.to_string_lossy(), 300);
        Error::Config { what: "credentials file", reason: format!("{path}: {reason}") }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

fn places(variable: impl Fn(&str) -> Option<OsString>, user: Option<u32>) -> Vec<Place> {
    let folder = |name: &str| variable(name).map(PathBuf::from);
    let home = |rest: &str| folder("HOME").map(|home| home.join(rest));
    let place = |path: PathBuf| Place { path, named: false, bare: false };
    let run = folder("XDG_RUNTIME_DIR")
        .map(|run| run.join("containers"))
        .or_else(|| user.map(|user| PathBuf::from(format!("/run/containers/{user}"))));
    let config = folder("XDG_CONFIG_HOME").or_else(|| home(".config"));
    let docker = folder("DOCKER_CONFIG").or_else(|| home(".docker"));
    [
        folder("REGISTRY_AUTH_FILE").map(|path| Place { path, named: true, bare: false }),
        run.map(|run| place(run.join("auth.json"))),
        config.map(|config| place(config.join("containers/auth.json"))),
        docker.map(|docker| place(docker.join("config.json"))),
        home(".dockercfg").map(|path| Place { path, named: false, bare: true }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The effective user, as the kernel shows it.
fn user() -> Option<u32> {
    #[cfg(unix)]
    return std::fs::metadata("/proc/self").ok().map(|own| std::os::unix::fs::MetadataExt::uid(&own));
    #[cfg(not(unix))]
    return None;
}

/// What a file says about a repository. Reasons show nothing of the file but names of helpers and keys.
fn lookup(
    file: &Map<String, Value>,
    bare: bool,
    registry: &str,
    repository: &str,
) -> Result<Option<Credentials>, String> {
    let helpers = file.get("credHelpers").and_then(Value::as_object);
    let helper =
        helpers.and_then(|helpers| helpers.iter().find(|(key, _)| host(key).as_deref() == Some(registry)));
    if helper.is_some() && !bare {
        return Err(format!("a credential helper is set for {registry}, and helpers are not supported"));
    }
    let entries = if bare { Some(file) } else { file.get("auths").and_then(Value::as_object) };
    let Some(entries) = entries else { return Ok(None) };
    let wanted = format!("{registry}/{repository}");
    let fitting = entries.iter().filter_map(|(key, entry)| {
        let place = normal(key)?;
        let rest = wanted.strip_prefix(&place)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(((place.len(), !key.contains("://")), entry))
    });
    let Some((_, entry)) = fitting.max_by_key(|(rank, _)| *rank) else { return Ok(None) };
    match credentials(entry).map_err(|reason| format!("the entry for {registry} {reason}"))? {
        None if file.contains_key("credsStore") => Err(format!(
            "the credentials of {registry} are in a credential store, and helpers are not supported"
        )),
        found => Ok(found),
    }
}

/// The place that a key stands for: host and port, and the path behind when it is no URL.
fn normal(key: &str) -> Option<String> {
    let is_url = key.contains("://");
    let rest = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = parse_authority(authority).ok()?;
    // Docker's own key is the address of an API of long ago, with and without its scheme.
    let is_whole = is_url || path.is_empty() || matches!(path, "v1" | "v2");
    Some(if is_whole { host.to_string() } else { format!("{host}/{path}") })
}

fn host(key: &str) -> Option<String> {
    normal(key).and_then(|place| place.split('/').next().map(str::to_owned))
}

fn credentials(entry: &Value) -> Result<Option<Credentials>, &'static str> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("registrytoken") {
        return Ok(Some(Credentials::bearer(token)));
    }
    if text("identitytoken").is_some() {
        return Err("holds an identity token, which is not supported");
    }
    if let Some(auth) = text("auth") {
        let decoded = STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((user, password)) = decoded.as_deref().and_then(|pair| pair.split_once(':')) else {
            return Err("has an auth that is not the base64 of user:password");
        };
        // Docker once wrote fixed-size buffers.
        return Ok(Some(Credentials::basic(user, password.trim_end_matches('\0'))));
    }
    Ok(text("username").zip(text("password")).map(|(user, password)| Credentials::basic(user, password)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    /// Base64 of `user:s3cret`.
    fn auth(user: &str) -> Value {
        json!({"auth": STANDARD.encode(format!("{user}:s3cret"))})
    }

    fn user_of(file: &Value, registry: &str, repository: &str) -> Result<String, String> {
        let file = file.as_object().unwrap();
        let found = lookup(file, !file.contains_key("auths"), registry, repository)?;
        let header = found.and_then(|found| found.basic_header());
        Ok(header.map_or("-".to_owned(), |header| {
            let pair = STANDARD.decode(header.trim_start_matches("Basic ")).unwrap();
            String::from_utf8(pair).unwrap().split(':').next().unwrap().to_owned()
        }))
    }

    #[test]
    fn the_longest_key_of_whole_parts_counts() {
        let file = json!({"auths": {
            "h:5000": auth("host"), "h:5000/a": auth("a"), "h:5000/a/b": auth("ab"), "https://u.io/v1/": auth("url"),
            "https://index.docker.io/v1/": auth("docker"), "[::1]:1": auth("six"), "UPPER.io": auth("upper"),
            "//": auth("bad"), "plain.io": {"username": "plain", "password": "s3cret"}, "empty.io": {},
        }});
        for (registry, repository, user) in [
            ("h:5000", "x", "host"),
            ("h:5000", "a", "a"),
            ("h:5000", "a/x", "a"),
            ("h:5000", "a/b", "ab"),
            ("h:5000", "a/b/c", "ab"),
            ("h:5000", "ab", "host"),
            ("h:5001", "a", "-"),
            ("h", "a", "-"),
            ("xh:5000", "a", "-"),
            ("u.io", "v1/x", "url"),
            ("docker.io", "library/alpine", "docker"),
            ("[::1]:1", "a", "six"),
            ("upper.io", "a", "upper"),
            ("plain.io", "a", "plain"),
            ("empty.io", "a", "-"),
        ] {
            assert_eq!(user_of(&file, registry, repository).unwrap(), user, "{registry}/{repository}");
        }
        assert_eq!(user_of(&json!({"h:1": auth("old")}), "h:1", "a").unwrap(), "old");
        let token = json!({"auths": {"h": {"registrytoken": "tok", "identitytoken": "x"}}});
        let found = lookup(token.as_object().unwrap(), false, "h", "a").unwrap().unwrap();
        assert_eq!(found.registry_token(), Some("tok"));
    }

    #[test]
    fn what_is_not_supported_is_an_error_where_it_is_needed() {
        let file = json!({"credsStore": "s3cret", "credHelpers": {"helped.io": "s3cret"}, "auths": {
            "stored.io": {}, "own.io": auth("own"), "identity.io": {"auth": "eDo=", "identitytoken": "s3cret"},
            "broken.io": {"auth": "s3cret!"}, "colon.io": {"auth": STANDARD.encode("s3cret")},
        }});
        for (registry, reason) in [
            ("helped.io", "helpers are not supported"),
            ("stored.io", "credential store"),
            ("identity.io", "identity token"),
            ("broken.io", "base64"),
            ("colon.io", "base64"),
        ] {
            let error = user_of(&file, registry, "a").unwrap_err();
            assert!(
                error.contains(reason) && error.contains(registry) && !error.contains("s3cret"),
                "{error}"
            );
        }
        assert_eq!(user_of(&file, "own.io", "a").unwrap(), "own");
        assert_eq!(user_of(&file, "other.io", "a").unwrap(), "-");
    }

    #[test]
    fn places_come_in_their_order() {
        let shown = |variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value))
            };
            let places = places(variable, Some(7));
            places.iter().map(|p| p.path.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown(&[]), "/run/containers/7/auth.json");
        assert_eq!(
            shown(&[("HOME", "/h")]),
            "/run/containers/7/auth.json /h/.config/containers/auth.json /h/.docker/config.json /h/.dockercfg"
        );
        let all =
            [("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r"), ("XDG_CONFIG_HOME", "/c"), ("DOCKER_CONFIG", "/d")];
        let all = [&all[..], &[("REGISTRY_AUTH_FILE", "/f")]].concat();
        assert_eq!(
            shown(&all),
            "/f /r/containers/auth.json /c/containers/auth.json /d/config.json /h/.dockercfg"
        );
    }

    #[test]
    fn files_are_asked_in_turn_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str, named| Place { path: folder.path().join(name), named, bare: false };
        fs::write(folder.path().join("one"), json!({"auths": {"a.io": auth("one")}}).to_string()).unwrap();
        fs::write(
            folder.path().join("two"),
            json!({"auths": {"a.io": auth("two"), "b.io": auth("two")}}).to_string(),
        )
        .unwrap();
        let files = AuthFiles(vec![place("none", false), place("one", false), place("two", true)]);
        let of = |registry: &str| files.credentials(registry, "x").unwrap();
        assert_eq!(of("a.io"), Some(Credentials::basic("one", "s3cret")));
        assert_eq!(of("b.io"), Some(Credentials::basic("two", "s3cret")));
        assert_eq!(of("c.io"), None);

        for (name, content, reason) in [
            ("text", b"s3cret".to_vec(), "no JSON"),
            ("list", b"[\"s3cret\"]".to_vec(), "no JSON object"),
            ("deep", b"[".repeat(100_000), "no JSON"),
            ("large", vec![b' '; (1 << 20) + 1], "1 MiB"),
        ] {
            fs::write(folder.path().join(name), content).unwrap();
            for named in [false, true] {
                let error =
                    AuthFiles(vec![place(name, named)]).credentials("a.io", "x").unwrap_err().to_string();
                assert!(
                    error.contains(reason) && error.contains(name) && !error.contains("s3cret"),
                    "{error}"
                );
            }
        }
        let missing = AuthFiles::only(folder.path().join("missing")).credentials("a.io", "x").unwrap_err();
        assert!(missing.to_string().contains("missing"), "{missing}");
        assert!(!format!("{files:?}").contains("s3cret"));
    }
}
