use oci_digest::Error;
use serde_json::{Value, json};

use super::json;
use crate::Result;

/// Changes an image's config, member by member; all others stay as and where they are.
///
/// The members are those of image-spec config.md and the further ones that docker knows. Text and lists are set; an
/// empty list, and `None`, remove the member. [`set`](Self::set) and [`remove`](Self::remove) reach everything else.
#[derive(Debug)]
pub struct ConfigEdit<'e> {
    value: &'e mut Value,
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $($path:literal).+;)*) => {$(
        $(#[$doc])*
        pub fn $name<'t>(&mut self, text: impl Into<Option<&'t str>>) -> &mut Self {
            self.put(&[$($path),+], text.into().map(Value::from))
        }
    )*};
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident: $($path:literal).+;)*) => {$(
        $(#[$doc])*
        pub fn $name<T: Into<String>>(&mut self, list: impl IntoIterator<Item = T>) -> &mut Self {
            let list: Vec<String> = list.into_iter().map(Into::into).collect();
            self.put(&[$($path),+], Some(json!(list)).filter(|_| !list.is_empty()))
        }
    )*};
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident: $path:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, number: impl Into<Option<i64>>) -> &mut Self {
            self.put(&["config", $path], number.into().map(Value::from))
        }
    )*};
}

impl<'e> ConfigEdit<'e> {
    pub(super) fn of(value: &'e mut Value) -> Self {
        Self { value }
    }

    texts! {
        /// Sets `created`, a date and time as RFC 3339, section 5.6, writes it.
        created: "created";
        /// Sets `author`.
        author: "author";
        /// Sets `architecture`, as Go names it. [`ImageEdit::set_platform`](super::ImageEdit::set_platform) sets it
        /// where an index names it, too.
        architecture: "architecture";
        /// Sets `os`, as Go names it.
        os: "os";
        /// Sets `os.version`.
        os_version: "os.version";
        /// Sets `variant`, the variant of the architecture.
        variant: "variant";
        /// Sets `config.User`: `user`, `uid`, `user:group` or any mixture.
        user: "config"."User";
        /// Sets `config.WorkingDir`.
        working_dir: "config"."WorkingDir";
        /// Sets `config.StopSignal`, for example `SIGTERM` or `SIGRTMIN+3`.
        stop_signal: "config"."StopSignal";
    }

    lists! {
        /// Sets `os.features`.
        os_features: "os.features";
        /// Sets `config.Env` as a whole, each `NAME=VALUE`.
        set_env: "config"."Env";
        /// Sets `config.Entrypoint`.
        entrypoint: "config"."Entrypoint";
        /// Sets `config.Cmd`.
        cmd: "config"."Cmd";
        /// Sets docker's `config.Shell`, what the shell form of its instructions runs in.
        shell: "config"."Shell";
        /// Sets docker's `config.OnBuild`.
        on_build: "config"."OnBuild";
    }

    numbers! {
        /// Sets `config.Memory`, in bytes. (image-spec config.md reserves it and the next two.)
        memory: "Memory";
        /// Sets `config.MemorySwap`, in bytes.
        memory_swap: "MemorySwap";
        /// Sets `config.CpuShares`.
        cpu_shares: "CpuShares";
    }

    /// Sets `config.ArgsEscaped`, which says that a Windows entrypoint is one command line.
    pub fn args_escaped(&mut self, escaped: impl Into<Option<bool>>) -> &mut Self {
        self.put(&["config", "ArgsEscaped"], escaped.into().map(Value::from))
    }

    /// Sets docker's `config.Healthcheck` as it is in JSON.
    pub fn healthcheck(&mut self, check: impl Into<Option<Value>>) -> &mut Self {
        self.put(&["config", "Healthcheck"], check.into())
    }

    /// Sets one variable of `config.Env`, where it stands or at the end, or removes it.
    pub fn env<'t>(&mut self, name: &str, text: impl Into<Option<&'t str>>) -> &mut Self {
        let new = text.into().map(|text| format!("{name}={text}"));
        let is_it = |entry: &Value| {
            entry.as_str().is_some_and(|entry| entry.split('=').next().is_some_and(|key| key == name))
        };
        let config = json::member(self.value, "config");
        let env = json::list(config, "Env");
        let at = env.iter().position(is_it);
        // Of several the last counts (POSIX leaves it open, runtimes take the last): none may be left behind.
        let mut seen = 0;
        env.retain(|entry| {
            seen += usize::from(is_it(entry));
            !is_it(entry) || (seen == 1 && new.is_some())
        });
        match (new, at) {
            (Some(new), Some(at)) => env[at] = new.into(),
            (Some(new), None) => env.push(new.into()),
            (None, _) => {}
        }
        if env.is_empty() {
            json::set(config, "Env", None);
        }
        self
    }

    /// Sets one of `config.Labels`, or removes it.
    pub fn label<'t>(&mut self, key: &str, text: impl Into<Option<&'t str>>) -> &mut Self {
        self.put_in("Labels", key, text.into().map(Value::from))
    }

    /// Adds to `config.ExposedPorts` a `port`, `port/tcp` or `port/udp`, or removes it.
    pub fn exposed_port(&mut self, port: &str, exposed: bool) -> &mut Self {
        self.put_in("ExposedPorts", port, exposed.then(|| json!({})))
    }

    /// Adds a folder to `config.Volumes`, or removes it.
    pub fn volume(&mut self, path: &str, is_volume: bool) -> &mut Self {
        self.put_in("Volumes", path, is_volume.then(|| json!({})))
    }

    /// Sets what a JSON pointer (RFC 6901) names. Objects on the way are made; `-` and the next free number name a
    /// new end of a list.
    ///
    /// ```
    /// # use oci_layout::edit::{Family, ImageEdit};
    /// # let mut edit = ImageEdit::new(Family::Oci, &oci_digest::platform::host());
    /// let mut config = edit.config_mut()?;
    /// config.set("/config/Entrypoint", serde_json::json!(["/bin/sh"]))?.set("/config/Entrypoint/-", "-e".into())?;
    /// assert_eq!(config.value()["config"]["Entrypoint"], serde_json::json!(["/bin/sh", "-e"]));
    /// # Ok::<(), oci_layout::Error>(())
    /// ```
    ///
    /// # Errors
    /// An invalid JSON pointer: it does not begin with `/`, goes through text or a number, or beyond the end of a list.
    pub fn set(&mut self, pointer: &str, value: Value) -> Result<&mut Self> {
        let mut place = &mut *self.value;
        for token in tokens(pointer)? {
            place = match place {
                Value::Array(list) => {
                    let at = if token == "-" { Some(list.len()) } else { token.parse().ok() };
                    match at {
                        Some(at) if at == list.len() => list.push(Value::Null),
                        Some(at) if at < list.len() => {}
                        _ => return Err(invalid(pointer, "it goes beyond the end of a list")),
                    }
                    &mut list[at.unwrap_or_default()]
                }
                Value::Object(_) | Value::Null => json::member(place, &token),
                _ => return Err(invalid(pointer, "it goes through what is no object or list")),
            };
        }
        *place = value;
        Ok(self)
    }

    /// Removes what a JSON pointer (RFC 6901) names; nothing when there is none.
    ///
    /// # Errors
    /// An invalid JSON pointer.
    pub fn remove(&mut self, pointer: &str) -> Result<&mut Self> {
        let mut tokens = tokens(pointer)?;
        let Some(last) = tokens.pop() else { return Err(invalid(pointer, "it names the whole config")) };
        let parent = pointer.rfind('/').and_then(|at| pointer.get(..at)).unwrap_or_default();
        match self.value.pointer_mut(parent) {
            Some(Value::Object(object)) => {
                object.shift_remove(&last);
            }
            Some(Value::Array(list)) => {
                if let Some(at) = last.parse().ok().filter(|at| *at < list.len()) {
                    list.remove(at);
                }
            }
            _ => {}
        }
        Ok(self)
    }

    /// The config as it is now.
    pub fn value(&self) -> &Value {
        self.value
    }

    /// The config, to change what no method here does. The commit refuses what is no config any more.
    pub fn value_mut(&mut self) -> &mut Value {
        self.value
    }

    fn put(&mut self, path: &[&str], value: Option<Value>) -> &mut Self {
        match path {
            // An object is made only for what comes into it.
            [outer, _] if value.is_none() && self.value.get(outer).is_none() => {}
            [outer, name] => json::set(json::member(self.value, outer), name, value),
            [name] => json::set(self.value, name, value),
            _ => {}
        }
        self
    }

    fn put_in(&mut self, set: &str, key: &str, entry: Option<Value>) -> &mut Self {
        if entry.is_some() || self.value.get("config").is_some() {
            json::set_in(json::member(self.value, "config"), set, key, entry);
        }
        self
    }
}

/// RFC 6901: the reference tokens, `~1` and `~0` decoded.
fn tokens(pointer: &str) -> Result<Vec<String>> {
    match pointer.strip_prefix('/') {
        Some(rest) => Ok(rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect()),
        None if pointer.is_empty() => Ok(Vec::new()),
        None => Err(invalid(pointer, "it must begin with /")),
    }
}

fn invalid(pointer: &str, reason: &str) -> crate::Error {
    let value = pointer.chars().take(128).collect();
    Error::Invalid { what: "JSON pointer", value, reason: reason.to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(before: Value, edit: impl FnOnce(&mut ConfigEdit<'_>)) -> String {
        let mut value = before;
        edit(&mut ConfigEdit::of(&mut value));
        value.to_string()
    }

    #[test]
    fn members_are_set_in_their_place_and_removed() {
        let before =
            json!({"x": 1, "config": {"Env": ["A=1", "B=2", "A=3"], "y": 2, "User": "u"}, "os": "linux"});
        let after = edited(before.clone(), |config| {
            config.env("A", "9").env("C", "=").user(None).os("windows").author("me").cmd(["a"]);
        });
        assert_eq!(
            after,
            r#"{"x":1,"config":{"Env":["A=9","B=2","C=="],"y":2,"Cmd":["a"]},"os":"windows","author":"me"}"#
        );
        let after = edited(before, |config| {
            config.env("A", None).env("B", None).label("k", None).cmd(Vec::<String>::new()).memory(7);
        });
        assert_eq!(after, r#"{"x":1,"config":{"y":2,"User":"u","Memory":7},"os":"linux"}"#);
        let after = edited(json!({"config": null}), |config| {
            config.exposed_port("80/tcp", true).volume("/v", true).volume("/v", false).label("a", "b");
        });
        assert_eq!(after, r#"{"config":{"ExposedPorts":{"80/tcp":{}},"Labels":{"a":"b"}}}"#);
        let after = edited(json!({}), |config| {
            config.user(None).label("a", None);
        });
        assert_eq!(after, "{}");
    }

    #[test]
    fn pointers_reach_everything() {
        let mut value = json!({"a": {"b~/": [1, 2]}, "t": "text"});
        let mut config = ConfigEdit::of(&mut value);
        config.set("/a/b~0~1/1", json!(3)).unwrap();
        config.set("/a/b~0~1/-", json!(4)).unwrap();
        config.set("/new/deep", json!(true)).unwrap();
        config.remove("/a/b~0~1/0").unwrap().remove("/none/at/all").unwrap().remove("/a/b~0~1/9").unwrap();
        for bad in ["a", "/t/x", "/a/b~0~1/7", "/a/b~0~1/x"] {
            assert!(config.set(bad, json!(0)).is_err(), "{bad}");
        }
        assert!(config.remove("").is_err());
        assert_eq!(value.to_string(), r#"{"a":{"b~/":[3,4]},"t":"text","new":{"deep":true}}"#);
    }
}
