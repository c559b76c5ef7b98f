//! System call filters as the program in the container meets them.

use oci_runtime::Error;
use serde_json::json;

use crate::Check;
use crate::root::House;

pub(crate) const CHECKS: &[Check] =
    &[("filters_system_calls", filters), ("a_filter_that_forbids_execve_says_so", forbidden)];

/// With and without no_new_privs the filter is installed at different moments, and holds the same.
fn filters(house: &House) {
    for no_new_privileges in [true, false] {
        let edit = |spec: &mut serde_json::Value| {
            spec["process"]["noNewPrivileges"] = json!(no_new_privileges);
            spec["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "architectures": ["SCMP_ARCH_NATIVE"],
                "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                "syscalls": [
                    {"names": ["keyctl", "not_a_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77},
                    {"names": ["umask"], "action": "SCMP_ACT_ERRNO", "errnoRet": 78,
                        "args": [{"index": 0, "value": 0o077, "op": "SCMP_CMP_EQ"}]},
                ],
            });
        };
        let (status, text) = house.run(edit, &["keyring", "umask", "cat:/proc/self/status"]).unwrap();
        assert_eq!(status.code(), Some(0), "{text}");
        assert!(text.contains("keyring: -77\n"), "{text}");
        // -78: the C library takes whatever umask gives back.
        assert!(text.contains("umask: 37777777662\n"), "{text}");
        let flag = format!("NoNewPrivs:\t{}\n", u8::from(no_new_privileges));
        assert!(text.contains("Seccomp:\t2\n") && text.contains(&flag), "{text}");
    }
}

/// What the profile takes from the runtime itself is an error that names the program, not a silent end.
fn forbidden(house: &House) {
    let edit = |spec: &mut serde_json::Value| {
        let call = json!({"names": ["execve"], "action": "SCMP_ACT_ERRNO", "errnoRet": 79});
        spec["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [call]});
    };
    let error = house.run(edit, &["pid"]).unwrap_err();
    let Error::Command { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.raw_os_error(), Some(79), "{error}");
}
