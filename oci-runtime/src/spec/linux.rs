use oci_spec::runtime::{
    Linux, LinuxCpu, LinuxDeviceCgroup, LinuxIdMapping, LinuxIdMappingBuilder, LinuxMemory, LinuxNamespace,
    LinuxNamespaceType, LinuxPids, LinuxResources,
};

use super::defaults::{MASKED_PATHS, READONLY_PATHS};
use super::options::{ImageOptions, Network, UserNamespace};
use super::user::Account;
use crate::cgroup::Hierarchy;
use crate::{Error, Result, own_ids};

/// The kernel's default period of the CPU quota, in microseconds.
const PERIOD: u64 = 100_000;
/// The kernel refuses smaller quotas, in microseconds.
const SMALLEST_QUOTA: f64 = 1000.0;

pub(super) fn compose(account: &Account, options: &ImageOptions) -> Result<Linux> {
    let (uids, gids) = mappings(account, options)?;
    let own = |paths: &[&str]| Some(paths.iter().map(|&path| path.to_owned()).collect());
    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(namespaces(options)))
        .set_uid_mappings(uids)
        .set_gid_mappings(gids)
        .set_resources(resources(options)?)
        .set_cgroups_path(options.cgroups_path.clone())
        .set_masked_paths(own(MASKED_PATHS))
        .set_readonly_paths(own(READONLY_PATHS));
    Ok(linux)
}

fn namespaces(options: &ImageOptions) -> Vec<LinuxNamespace> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network as Net, Pid, User, Uts};
    let mut kinds = vec![(Pid, None), (Mount, None), (Uts, None), (Ipc, None), (Cgroup, None)];
    match &options.network {
        Network::None => kinds.push((Net, None)),
        Network::Host => {}
        Network::Namespace(path) => kinds.push((Net, Some(path.clone()))),
    }
    if options.user_namespace != UserNamespace::Host {
        kinds.push((User, None));
    }
    kinds
        .into_iter()
        .map(|(kind, path)| {
            let mut namespace = LinuxNamespace::default();
            namespace.set_typ(kind).set_path(path);
            namespace
        })
        .collect()
}

type Mappings = Option<Vec<LinuxIdMapping>>;

fn mappings(account: &Account, options: &ImageOptions) -> Result<(Mappings, Mappings)> {
    match &options.user_namespace {
        UserNamespace::Host => Ok((None, None)),
        UserNamespace::Single { uid, gid } => {
            Ok((Some(vec![range(account.uid, *uid, 1)?]), Some(vec![range(account.gid, *gid, 1)?])))
        }
        UserNamespace::Mapped { uids, gids } => {
            for (what, id, map) in [("user id", account.uid, uids), ("group id", account.gid, gids)] {
                if !covers(map, id) {
                    let reason = "the user namespace's mappings do not contain it, and the container's process needs it";
                    return Err(Error::invalid(what, &id.to_string(), reason));
                }
            }
            Ok((Some(uids.clone()), Some(gids.clone())))
        }
    }
}

fn range(inside: u32, outside: u32, size: u32) -> Result<LinuxIdMapping> {
    LinuxIdMappingBuilder::default().container_id(inside).host_id(outside).size(size).build().map_err(
        |error| Error::invalid("id mapping", &format!("{inside}:{outside}:{size}"), error.to_string()),
    )
}

/// The supplementary groups that exist inside. With a single mapping the kernel forbids setgroups(2) altogether
/// (user_namespaces(7)), and a group without a mapping cannot be named.
pub(super) fn mapped_groups(account: &Account, options: &ImageOptions) -> Option<Vec<u32>> {
    let groups: Vec<u32> = match options.user_namespace {
        UserNamespace::Single { .. } => Vec::new(),
        _ => account.groups.iter().copied().filter(|&gid| is_mapped_gid(gid, options)).collect(),
    };
    (!groups.is_empty()).then_some(groups)
}

pub(super) fn is_mapped_gid(gid: u32, options: &ImageOptions) -> bool {
    match &options.user_namespace {
        // The caller may itself be in a user namespace that has few ids.
        UserNamespace::Host => own_ids::has_gid(gid),
        UserNamespace::Single { .. } => false,
        UserNamespace::Mapped { gids, .. } => covers(gids, gid),
    }
}

fn covers(mappings: &[LinuxIdMapping], id: u32) -> bool {
    mappings.iter().any(|map| id.checked_sub(map.container_id()).is_some_and(|offset| offset < map.size()))
}

fn resources(options: &ImageOptions) -> Result<Option<LinuxResources>> {
    let mut resources = LinuxResources::default();
    if options.memory.is_some() || options.memory_and_swap.is_some() {
        let mut memory = LinuxMemory::default();
        memory
            .set_limit(options.memory.map(bytes).transpose()?)
            .set_swap(options.memory_and_swap.map(bytes).transpose()?);
        resources.set_memory(Some(memory));
    }
    if let Some(limit) = options.pids {
        let mut pids = LinuxPids::default();
        pids.set_limit(limit);
        resources.set_pids(Some(pids));
    }
    if let Some(cpus) = options.cpus {
        let mut cpu = LinuxCpu::default();
        cpu.set_quota(Some(quota(cpus)?)).set_period(Some(PERIOD));
        resources.set_cpu(Some(cpu));
    }
    if options.device_rules.unwrap_or_else(|| can_limit_devices(options)) {
        let mut nothing = LinuxDeviceCgroup::default();
        nothing.set_allow(false).set_access(Some("rwm".to_owned()));
        resources.set_devices(Some(vec![nothing]));
    }
    Ok((resources != LinuxResources::default()).then_some(resources))
}

fn bytes(limit: u64) -> Result<i64> {
    match i64::try_from(limit) {
        Ok(0) => Err(Error::invalid("memory limit", "0", "must be above 0")),
        Ok(limit) => Ok(limit),
        Err(_) => Err(Error::invalid("memory limit", &limit.to_string(), "is too large")),
    }
}

fn quota(cpus: f64) -> Result<i64> {
    let invalid = |reason: &str| Error::invalid("number of CPUs", &cpus.to_string(), reason);
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    let quota = cpus * PERIOD as f64;
    if !quota.is_finite() || quota < SMALLEST_QUOTA {
        return Err(invalid("must be at least 0.01"));
    }
    if quota > 1e12 {
        return Err(invalid("is too large"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "between 10^3 and 10^12")]
    let quota = quota.round() as i64;
    Ok(quota)
}

fn can_limit_devices(options: &ImageOptions) -> bool {
    options.user_namespace == UserNamespace::Host
        && rustix::process::geteuid().is_root()
        && own_ids::in_initial_user_namespace()
        && Hierarchy::detect().is_ok_and(|hierarchy| hierarchy.can_limit_devices())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(uid: u32, gid: u32, groups: &[u32]) -> Account {
        Account { uid, gid, groups: groups.to_vec(), home: "/".to_owned() }
    }

    fn base() -> ImageOptions {
        ImageOptions::default().device_rules(false)
    }

    fn range(inside: u32, outside: u32, size: u32) -> LinuxIdMapping {
        super::range(inside, outside, size).unwrap()
    }

    #[test]
    fn limits() {
        let json = |options: &ImageOptions| serde_json::to_value(resources(options).unwrap()).unwrap();
        assert_eq!(json(&base()), serde_json::Value::Null);
        let all = base().memory(1 << 20).memory_and_swap(1 << 21).pids(-1).cpus(1.5).device_rules(true);
        assert_eq!(
            json(&all),
            serde_json::json!({
                "devices": [{"allow": false, "access": "rwm"}],
                "memory": {"limit": 1_048_576, "swap": 2_097_152},
                "cpu": {"quota": 150_000, "period": 100_000},
                "pids": {"limit": -1},
            })
        );
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 0.009, 1e30] {
            assert!(resources(&base().cpus(bad)).is_err(), "{bad}");
        }
        assert!(resources(&base().memory(0)).is_err());
        assert!(resources(&base().memory(u64::MAX)).is_err());
    }

    #[test]
    fn user_namespaces() {
        let single = base().rootless(501, 20);
        let user = account(1000, 1001, &[10, 29]);
        assert_eq!(
            mappings(&user, &single).unwrap(),
            (Some(vec![range(1000, 501, 1)]), Some(vec![range(1001, 20, 1)]))
        );
        assert_eq!(mapped_groups(&user, &single), None);
        assert_eq!(mapped_groups(&user, &base()), Some(vec![10, 29]));
        assert_eq!(mappings(&user, &base()).unwrap(), (None, None));
        let ranges = vec![range(0, 1000, 1), range(1, 100_000, 1001)];
        let mapped = base().user_namespace(UserNamespace::Mapped { uids: ranges.clone(), gids: ranges });
        assert!(mappings(&user, &mapped).is_ok());
        assert_eq!(mapped_groups(&account(0, 0, &[10, 5000]), &mapped), Some(vec![10]));
        let error = mappings(&account(1002, 0, &[]), &mapped).unwrap_err();
        assert!(error.to_string().contains("1002"), "{error}");
        assert!(mappings(&account(0, 1002, &[]), &mapped).is_err());
        assert!(covers(&[range(5, 0, u32::MAX)], u32::MAX - 1) && !covers(&[range(5, 0, 10)], 4));
    }

    #[test]
    fn namespaces_follow_the_options() {
        let kinds = |options: &ImageOptions| {
            let mut kinds: Vec<_> = namespaces(options).iter().map(|ns| ns.typ().to_string()).collect();
            kinds.sort();
            kinds.join(" ")
        };
        assert_eq!(kinds(&base()), "cgroup ipc mnt net pid uts");
        assert_eq!(kinds(&base().network(Network::Host).rootless(1, 1)), "cgroup ipc mnt pid user uts");
        let joined = namespaces(&base().network(Network::Namespace("/run/netns/x".into())));
        assert!(joined.iter().any(|ns| ns.path().as_deref() == Some("/run/netns/x".as_ref())));
    }
}
