use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};

use super::options::ImageOptions;
use crate::{Error, Result};

/// What podman gives to a container's root: docker's list without `AUDIT_WRITE`, `MKNOD` and `NET_RAW`.
const DEFAULT: &[Capability] = &[
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::NetBindService,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

const EVERY: &[Capability] = &[
    Capability::AuditControl,
    Capability::AuditRead,
    Capability::AuditWrite,
    Capability::BlockSuspend,
    Capability::Bpf,
    Capability::CheckpointRestore,
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::Kill,
    Capability::Lease,
    Capability::LinuxImmutable,
    Capability::MacAdmin,
    Capability::MacOverride,
    Capability::Mknod,
    Capability::NetAdmin,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetRaw,
    Capability::Perfmon,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysChroot,
    Capability::SysModule,
    Capability::SysNice,
    Capability::SysPacct,
    Capability::SysPtrace,
    Capability::SysRawio,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Syslog,
    Capability::WakeAlarm,
];

/// The default list, less what is dropped, plus what is added.
///
/// Root has all of it. Another user could not keep it over `execve` anyway: such a process starts with what was added
/// explicitly, as ambient capabilities, and the rest only bounds what set-user-ID programs can get. The inheritable set
/// is otherwise empty, so that files with inheritable capabilities give nothing (CVE-2022-29162).
pub(super) fn compose(uid: u32, options: &ImageOptions) -> Result<LinuxCapabilities> {
    let added = parse_all(&options.cap_add)?;
    let dropped = parse_all(&options.cap_drop)?;
    let mut bounding: Capabilities =
        DEFAULT.iter().copied().filter(|capability| !dropped.contains(capability)).collect();
    // "Drop ALL, add one" and "add ALL, drop one" both mean what they say: a single name beats ALL.
    let names_it = |names: &[String], capability: &Capability| {
        names.iter().any(|name| parse(name).is_ok_and(|parsed| parsed == [*capability]))
    };
    bounding.extend(added.iter().copied().filter(|capability| {
        !dropped.contains(capability)
            || (names_it(&options.cap_add, capability) && !names_it(&options.cap_drop, capability))
    }));
    let explicit: Capabilities = bounding.intersection(&added).copied().collect();
    let (own, inherited) =
        if uid == 0 { (bounding.clone(), Capabilities::new()) } else { (explicit.clone(), explicit) };
    let mut capabilities = LinuxCapabilities::default();
    capabilities
        .set_bounding(Some(bounding))
        .set_effective(Some(own.clone()))
        .set_permitted(Some(own))
        .set_inheritable(Some(inherited.clone()))
        .set_ambient(Some(inherited));
    Ok(capabilities)
}

fn parse_all(names: &[String]) -> Result<Capabilities> {
    let mut all = Capabilities::new();
    for name in names {
        all.extend(parse(name)?);
    }
    Ok(all)
}

fn parse(name: &str) -> Result<Vec<Capability>> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if bare == "ALL" {
        return Ok(EVERY.to_vec());
    }
    bare.parse()
        .map(|capability| vec![capability])
        .map_err(|_| Error::invalid("capability", name, "is not one that Linux has"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(set: &Option<Capabilities>) -> Vec<String> {
        let mut names: Vec<_> = set.iter().flatten().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn every_capability_is_listed_once() {
        let set: Capabilities = EVERY.iter().copied().collect();
        assert_eq!((set.len(), EVERY.len()), (41, 41));
    }

    #[test]
    fn adding_and_dropping() {
        let base = ImageOptions::default();
        for (options, count, has, lacks) in [
            (base.clone(), 11, "CHOWN", "NET_RAW"),
            (base.clone().cap_add(["cap_net_raw"]), 12, "NET_RAW", "SYS_ADMIN"),
            (base.clone().cap_drop(["ALL"]).cap_add(["NET_RAW"]), 1, "NET_RAW", "CHOWN"),
            (base.clone().cap_add(["all"]).cap_drop(["SYS_ADMIN"]), 40, "SYSLOG", "SYS_ADMIN"),
            (base.clone().cap_drop(["chown", "KILL"]), 9, "FOWNER", "KILL"),
            (base.clone().cap_add(["KILL"]).cap_drop(["KILL"]), 10, "CHOWN", "KILL"),
        ] {
            let root = compose(0, &options).unwrap();
            let bounding = names(root.bounding());
            assert_eq!(bounding.len(), count, "{bounding:?}");
            assert!(bounding.iter().any(|name| name == has), "{bounding:?}");
            assert!(bounding.iter().all(|name| name != lacks), "{bounding:?}");
            assert_eq!(names(root.effective()), bounding);
            assert_eq!(names(root.permitted()), bounding);
            assert!(names(root.inheritable()).is_empty() && names(root.ambient()).is_empty());
        }
        assert!(compose(0, &base.cap_add(["CAP_WIN"])).is_err());
    }

    #[test]
    fn other_users_start_with_what_was_added() {
        let user = compose(1000, &ImageOptions::default().cap_add(["NET_RAW"])).unwrap();
        assert_eq!(names(user.bounding()).len(), 12);
        for set in [user.effective(), user.permitted(), user.inheritable(), user.ambient()] {
            assert_eq!(names(set), ["NET_RAW"]);
        }
    }
}
