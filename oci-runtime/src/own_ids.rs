//! The user namespace that the caller itself is in, which need not be the machine's first.

use std::fs;

/// Whether the caller is in the initial user namespace: the one that maps every id to itself. Only there the kernel
/// lets root make device nodes and write device rules.
pub(crate) fn in_initial_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map");
    map.is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

/// Whether a group id exists where the caller is.
pub(crate) fn has_gid(gid: u32) -> bool {
    fs::read_to_string("/proc/self/gid_map").map_or(true, |map| covers(&map, gid))
}

/// Whether setgroups(2) is allowed in the caller's user namespace (user_namespaces(7), /proc/pid/setgroups).
pub(crate) fn may_set_groups() -> bool {
    fs::read_to_string("/proc/self/setgroups").map_or(true, |word| word.trim() != "deny")
}

/// user_namespaces(7), /proc/pid/gid_map: first id inside, first id outside, number of ids.
fn covers(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u32>().unwrap_or_default());
        let (first, size) = (numbers.next().unwrap_or_default(), numbers.nth(1).unwrap_or_default());
        id.checked_sub(first).is_some_and(|offset| offset < size)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps() {
        for (map, id, expected) in [
            ("         0          0 4294967295\n", 5, true),
            ("0 1000 1\n", 0, true),
            ("0 1000 1\n", 5, false),
            ("0 1000 1\n1 100000 65536\n", 5, true),
            ("10 100000 5\n", 5, false),
            ("10 100000 5\n", 15, false),
            ("", 0, false),
            ("nonsense", 0, false),
        ] {
            assert_eq!(covers(map, id), expected, "{map:?} {id}");
        }
    }
}
