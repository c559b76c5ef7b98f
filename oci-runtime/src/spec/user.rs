use std::path::Path;

use super::in_root;
use crate::{Error, Result};

/// The largest id; the one above it is what the kernel's calls take for "no change".
const LARGEST: u32 = u32::MAX - 1;

/// Who the container's process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Supplementary groups, without `gid`, in ascending order.
    pub(super) groups: Vec<u32>,
    pub(super) home: String,
}

/// Looks up `user`, `uid`, `user:group`, `uid:gid`, `user:gid` or `uid:group` in the image's own databases; an empty
/// name is root.
///
/// image-spec config.md, `User`: without a group, the user's default group and supplementary groups of the image's
/// `/etc/passwd` and `/etc/group` are applied; with one, supplementary groups are ignored. Digits are always an id.
pub(super) fn look_up(rootfs: &Path, name: &str) -> Result<Account> {
    let invalid = |reason: &str| Error::invalid("user", name, reason);
    let (user, group) = match name.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (name, None),
    };
    if group.is_some_and(|group| group.is_empty() || group.contains(':'))
        || (user.is_empty() && group.is_some())
    {
        return Err(invalid("must be `user`, `uid`, or either with `:group` or `:gid`"));
    }
    let user = if user.is_empty() { "0" } else { user };
    let wanted = Id::parse(user).map_err(invalid)?;
    let wanted_group = group.map(Id::parse).transpose().map_err(invalid)?;
    let passwd = database(rootfs, "etc/passwd")?;
    let entry = passwd.iter().filter_map(|line| PasswdEntry::parse(line)).find(|entry| match wanted {
        Id::Number(uid) => entry.uid == uid,
        Id::Name(name) => entry.name == name,
    });
    let (uid, default_gid) = match (&entry, &wanted) {
        (Some(entry), _) => (entry.uid, entry.gid),
        // Images run as ids that they have no line for; docker and podman give them group 0.
        (None, Id::Number(uid)) => (*uid, 0),
        (None, Id::Name(name)) => {
            return Err(Error::NotFound { what: format!("user {name:?} in the image's /etc/passwd") });
        }
    };
    let (gid, groups) = match wanted_group {
        None => {
            let groups = match &entry {
                Some(entry) => memberships(&database(rootfs, "etc/group")?, &entry.name, default_gid),
                None => Vec::new(),
            };
            (default_gid, groups)
        }
        Some(Id::Number(gid)) => (gid, Vec::new()),
        Some(Id::Name(group)) => {
            let lines = database(rootfs, "etc/group")?;
            let found =
                lines.iter().filter_map(|line| GroupEntry::parse(line)).find(|entry| entry.name == group);
            match found {
                Some(entry) => (entry.gid, Vec::new()),
                None => {
                    return Err(Error::NotFound {
                        what: format!("group {group:?} in the image's /etc/group"),
                    });
                }
            }
        }
    };
    let home = entry.map(|entry| entry.home).filter(|home| !home.is_empty());
    Ok(Account { uid, gid, groups, home: home.unwrap_or_else(|| "/".to_owned()) })
}

enum Id<'a> {
    Number(u32),
    Name(&'a str),
}

impl<'a> Id<'a> {
    fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return number(text).map(Self::Number).ok_or("has an id larger than 4294967294");
        }
        // `+5` or `-1` would be a number to careless parsers further on; no such name can be made by useradd.
        if text.starts_with(['+', '-']) {
            return Err("has a name that begins with a sign");
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '/') {
            return Err("has a name with a character that names do not have");
        }
        Ok(Self::Name(text))
    }
}

/// Digits only: no sign, no blank, not larger than the kernel's largest id.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|&id| id <= LARGEST)
}

/// The lines of a database, a missing one being empty. Lines that are not text are not looked at.
fn database(rootfs: &Path, path: &str) -> Result<Vec<String>> {
    let bytes = in_root::read(rootfs, path)?.unwrap_or_default();
    Ok(bytes
        .split(|&byte| byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok())
        .map(|line| line.trim_end_matches('\r').to_owned())
        .collect())
}

struct PasswdEntry {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

impl PasswdEntry {
    /// `name:password:uid:gid:comment:home:shell`; the last three may be missing. Other lines are skipped, as every C
    /// library skips them.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
        let (uid, gid) = (number(fields.nth(1)?)?, number(fields.next()?)?);
        // It goes into the environment: no NUL, no second line.
        let home = fields.nth(1).unwrap_or_default();
        let home = if home.contains(char::is_control) { "" } else { home };
        Some(Self { name, uid, gid, home: home.to_owned() })
    }
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> GroupEntry<'a> {
    /// `name:password:gid:member,member…`.
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = number(fields.nth(1)?)?;
        Some(Self { name, gid, members: fields.next().unwrap_or_default() })
    }
}

fn memberships(lines: &[String], user: &str, but: u32) -> Vec<u32> {
    let mut groups: Vec<u32> = lines
        .iter()
        .filter_map(|line| GroupEntry::parse(line))
        .filter(|entry| entry.members.split(',').any(|member| member.trim() == user))
        .map(|entry| entry.gid)
        .filter(|&gid| gid != but)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
# comment
broken:x:abc:0::/:
huge:x:4294967295:0::/:
\u{0}nul
app:x:1000:1001:App,,,:/home/app:/bin/sh
nohome:x:1002:1002:::
short:x:7:8
app2:x:1000:5::/other:
+nis::1:1:::
";
    const GROUP: &str = "\
root:x:0:
wheel:x:10:root,app
audio:x:29:app, other
app:x:1001:app
bad:x:-1:app
nomembers:x:50
again:x:10:app
video:x:44:application
";

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/passwd"), PASSWD).unwrap();
        std::fs::write(root.path().join("etc/group"), GROUP).unwrap();
        root
    }

    #[test]
    fn found() {
        let root = root();
        let bare = tempfile::tempdir().unwrap();
        for (name, uid, gid, groups, home) in [
            ("", 0, 0, &[10][..], "/root"),
            ("root", 0, 0, &[10], "/root"),
            ("0", 0, 0, &[10], "/root"),
            ("app", 1000, 1001, &[10, 29], "/home/app"),
            ("1000", 1000, 1001, &[10, 29], "/home/app"),
            ("app:audio", 1000, 29, &[], "/home/app"),
            ("app:7", 1000, 7, &[], "/home/app"),
            ("1000:1000", 1000, 1000, &[], "/home/app"),
            ("1000:nomembers", 1000, 50, &[], "/home/app"),
            ("4294967294:4294967294", 4_294_967_294, 4_294_967_294, &[], "/"),
            ("12345", 12345, 0, &[], "/"),
            ("nohome", 1002, 1002, &[], "/"),
            ("short", 7, 8, &[], "/"),
            ("0001000", 1000, 1001, &[10, 29], "/home/app"),
        ] {
            let account = look_up(root.path(), name).unwrap();
            let expected = Account { uid, gid, groups: groups.to_vec(), home: home.to_owned() };
            assert_eq!(account, expected, "{name}");
        }
        let expected = Account { uid: 0, gid: 0, groups: vec![], home: "/".to_owned() };
        assert_eq!(look_up(bare.path(), "").unwrap(), expected);
    }

    #[test]
    fn refused() {
        let root = root();
        for name in ["nobody", "broken", "huge", "app:nogroup", "app:bad"] {
            let error = look_up(root.path(), name).unwrap_err();
            assert!(error.is_not_found(), "{name}: {error}");
            let wanted = name.rsplit(':').next().unwrap();
            assert!(error.to_string().contains(wanted), "{error}");
        }
        for name in [
            ":",
            ":5",
            "app:",
            "a:b:c",
            "4294967295",
            "0:4294967295",
            "99999999999",
            "-1",
            "+5",
            "app:-1",
            "a b",
            "a\nb",
            "../x",
        ] {
            let error = look_up(root.path(), name).unwrap_err();
            assert!(matches!(error, Error::Invalid { what: "user", .. }), "{name}: {error:?}");
        }
    }

    #[test]
    fn databases_that_lead_out_are_not_there() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/proc/self/root/etc/passwd", root.path().join("etc/passwd")).unwrap();
        // The host surely has a user root with a home; the image has not.
        assert!(look_up(root.path(), "root").unwrap_err().is_not_found());
        assert_eq!(look_up(root.path(), "0").unwrap().home, "/");
    }
}
