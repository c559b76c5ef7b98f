use oci_spec::image::Config;

use super::options::ImageOptions;
use super::user::Account;
use crate::{Error, Result};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The defaults, then the image's variables, then the caller's; a later one takes an earlier one's place.
///
/// image-spec conversion.md: a converter MAY add entries, but SHOULD NOT change what the image says.
pub(super) fn compose(config: &Config, account: &Account, options: &ImageOptions) -> Result<Vec<String>> {
    let mut all = Vec::new();
    set(&mut all, PATH);
    if let Some(hostname) = &options.hostname {
        set(&mut all, &format!("HOSTNAME={hostname}"));
    }
    if options.terminal {
        set(&mut all, "TERM=xterm");
    }
    for entry in config.env().iter().flatten() {
        check(entry)?;
        set(&mut all, entry);
    }
    for entry in &options.env {
        check(entry)?;
        if entry.contains('=') {
            set(&mut all, entry);
        } else {
            all.retain(|there| name(there) != entry);
        }
    }
    // Last, so that the image's and the caller's win; an empty one is of no use to any program.
    let home = all.iter().find(|entry| name(entry) == "HOME");
    let removed = options.env.iter().any(|entry| entry == "HOME");
    if home.is_none_or(|home| home == "HOME=") && !removed {
        set(&mut all, &format!("HOME={}", account.home));
    }
    Ok(all)
}

fn set(all: &mut Vec<String>, entry: &str) {
    match all.iter_mut().find(|there| name(there) == name(entry)) {
        Some(there) => entry.clone_into(there),
        None => all.push(entry.to_owned()),
    }
}

fn name(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _)| name)
}

fn check(entry: &str) -> Result<()> {
    if name(entry).is_empty() {
        Err(Error::invalid("environment entry", entry, "has no name"))
    } else if entry.contains('\0') {
        Err(Error::invalid("environment entry", entry, "contains a NUL byte"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_precedence() {
        let account = Account { uid: 0, gid: 0, groups: vec![], home: "/root".into() };
        let image = |json: &str| serde_json::from_str::<Config>(json).unwrap();
        let base = ImageOptions::default();
        for (config, options, expected) in [
            ("{}", base.clone(), &[PATH, "HOME=/root"][..]),
            (r#"{"Env":["PATH=/x","A=1=2"]}"#, base.clone(), &["PATH=/x", "A=1=2", "HOME=/root"]),
            (
                r#"{"Env":["A=1","HOME=/h","HOSTNAME=img"]}"#,
                base.clone().hostname("box").terminal(true).env(["A=2", "B="]),
                &[PATH, "HOSTNAME=img", "TERM=xterm", "A=2", "HOME=/h", "B="],
            ),
            (r#"{"Env":["A=1","HOME="]}"#, base.clone().env(["A", "PATH"]), &["HOME=/root"]),
            ("{}", base.clone().env(["HOME"]), &[PATH]),
        ] {
            assert_eq!(compose(&image(config), &account, &options).unwrap(), expected, "{config}");
        }
        for bad in ["=x", "", "A=\0"] {
            assert!(compose(&image("{}"), &account, &base.clone().env([bad])).is_err(), "{bad:?}");
        }
    }
}
