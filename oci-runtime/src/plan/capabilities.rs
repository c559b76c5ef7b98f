use oci_spec::runtime::{Capability, LinuxCapabilities};

use super::Problems;

/// The five capability sets, one bit per capability.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub(crate) bounding: u64,
    pub(crate) effective: u64,
    pub(crate) inheritable: u64,
    pub(crate) permitted: u64,
    pub(crate) ambient: u64,
}

/// The names, by number, as capabilities(7) has them.
pub(crate) const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

impl Capabilities {
    /// The sets without what is not `available`, and what was taken away: config.md says that capabilities which
    /// cannot be granted are a warning, not an error.
    pub(crate) fn restricted_to(self, available: u64) -> (Self, u64) {
        // capabilities(7): only what is both permitted and inheritable can be ambient. `runc spec` itself asks for more.
        let ambient = self.ambient & self.permitted & self.inheritable;
        let not_ambient = self.ambient & !ambient;
        let all = self.bounding | self.effective | self.inheritable | self.permitted | self.ambient;
        let sets = Self {
            bounding: self.bounding & available,
            effective: self.effective & available,
            inheritable: self.inheritable & available,
            permitted: self.permitted & available,
            ambient: ambient & available,
        };
        (sets, all & !available | not_ambient)
    }
}

/// The names of the capabilities in a set.
pub(crate) fn names(set: u64) -> Vec<String> {
    let bits = (0..64).filter(|bit| set & (1 << bit) != 0);
    bits.map(|bit| NAMES.get(bit).map_or_else(|| bit.to_string(), |name| format!("CAP_{name}"))).collect()
}

/// Whether a text is the name of a capability, in the ways that the model reads it.
pub(crate) fn is_known(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    NAMES.contains(&name.strip_prefix("CAP_").unwrap_or(&name))
}

pub(super) fn resolve(caps: Option<&LinuxCapabilities>, problems: &mut Problems) -> Capabilities {
    let Some(caps) = caps else {
        return Capabilities::default();
    };
    let set = |list: &Option<std::collections::HashSet<Capability>>| {
        list.iter().flatten().filter_map(number).fold(0, |set, bit| set | 1u64 << bit)
    };
    let sets = Capabilities {
        bounding: set(caps.bounding()),
        effective: set(caps.effective()),
        inheritable: set(caps.inheritable()),
        permitted: set(caps.permitted()),
        ambient: set(caps.ambient()),
    };
    let mut within = |name: &str, set: u64, other: &str, limit: u64| {
        if set & !limit != 0 {
            let extra = names(set & !limit).join(", ");
            problems.add(format!("/process/capabilities/{name}"), format!("{extra} is not {other}"));
        }
    };
    within("effective", sets.effective, "permitted", sets.permitted);
    sets
}

fn number(capability: &Capability) -> Option<usize> {
    let name = capability.to_string();
    NAMES.iter().position(|known| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known() {
        for (i, name) in NAMES.iter().enumerate() {
            let capability: Capability = name.parse().unwrap();
            assert_eq!(number(&capability), Some(i), "{name}");
        }
    }

    #[test]
    fn takes_away_what_is_missing() {
        let sets = Capabilities { permitted: 0b111, effective: 0b11, ..Capabilities::default() };
        let (sets, missing) = sets.restricted_to(0b101);
        assert_eq!(
            (sets.permitted, sets.effective, names(missing)),
            (0b101, 1, vec!["CAP_DAC_OVERRIDE".into()])
        );
    }
}
