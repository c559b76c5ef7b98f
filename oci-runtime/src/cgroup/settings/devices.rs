use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use super::Compiled;

const C: &str = "devices";

/// What every container may use whatever the rules say, because the runtime itself puts it in `/dev`: the default
/// devices, terminals, and making (not opening) nodes. Engines count on it.
const DEFAULT: &[&str] = &[
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];

/// `linux.resources.devices` as version 1 rules, in the spec's order.
///
/// runtime-spec config-linux.md, Allowed Device list: the runtime MUST apply entries in the listed order.
pub(super) fn compile(rules: &[LinuxDeviceCgroup], out: &mut Compiled<'_>) {
    if rules.is_empty() {
        return;
    }
    if out.hierarchy.tree_of(C).is_none() {
        let reason = "needs the cgroup v1 controller `devices`, which is not available here; \
                      on cgroup v2 the rules would be an eBPF program, which is not supported yet";
        return out.refuse("/devices", reason);
    }
    for (index, rule) in rules.iter().enumerate() {
        compile_rule(&format!("/devices/{index}"), rule, out);
    }
    for rule in DEFAULT {
        out.set(C, "/devices", "devices.allow", rule);
    }
}

fn compile_rule(property: &str, rule: &LinuxDeviceCgroup, out: &mut Compiled<'_>) {
    let access = rule.access().as_deref().filter(|access| !access.is_empty()).unwrap_or("rwm");
    if access.chars().any(|letter| !"rwm".contains(letter)) {
        return out.refuse(&format!("{property}/access"), "must be made of the letters r, w and m");
    }
    for (name, number) in [("major", rule.major()), ("minor", rule.minor())] {
        if number.is_some_and(|number| number < -1 || number > i64::from(u32::MAX)) {
            return out.refuse(&format!("{property}/{name}"), "is not a device number");
        }
    }
    let number = |number: Option<i64>| match number {
        Some(number) if number >= 0 => number.to_string(),
        _ => "*".to_owned(),
    };
    let (major, minor) = (number(rule.major()), number(rule.minor()));
    let everything = major == "*" && minor == "*" && "rwm".chars().all(|c| access.contains(c));
    let kinds: &[&str] = match rule.typ().unwrap_or_default() {
        // The kernel reads `a` as "everything", without looking at the numbers or the access.
        LinuxDeviceType::A if everything => &["a"],
        LinuxDeviceType::A => &["b", "c"],
        LinuxDeviceType::B => &["b"],
        LinuxDeviceType::C | LinuxDeviceType::U => &["c"],
        LinuxDeviceType::P => {
            return out.refuse(&format!("{property}/type"), "a FIFO is no device to limit");
        }
    };
    let file = if rule.allow() { "devices.allow" } else { "devices.deny" };
    for kind in kinds {
        out.set(C, property, file, format!("{kind} {major}:{minor} {access}"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{v1, v2, writes};
    use super::DEFAULT;

    #[test]
    fn rules_in_order_then_the_defaults() {
        let json = r#"{"devices":[{"allow":false,"access":"rwm"},
            {"allow":true,"type":"c","major":10,"minor":200,"access":"rw"},
            {"allow":true,"type":"b","major":8,"minor":-1,"access":"r"},
            {"allow":false,"type":"a","major":7,"access":"w"}]}"#;
        let out = writes(json, &v1());
        assert_eq!(
            out[..5],
            [
                "devices.deny=a *:* rwm",
                "devices.allow=c 10:200 rw",
                "devices.allow=b 8:* r",
                "devices.deny=b 7:* w",
                "devices.deny=c 7:* w",
            ]
        );
        assert_eq!(out.len(), 5 + DEFAULT.len());
        assert!(writes(json, &v2())[0].contains("eBPF"));
        assert_eq!(writes(r#"{"devices":[]}"#, &v2()), [""; 0]);
    }

    #[test]
    fn refused() {
        for (rule, pointer) in [
            (r#""access":"x""#, "/devices/0/access"),
            (r#""type":"p""#, "/devices/0/type"),
            (r#""major":-5"#, "/devices/0/major"),
        ] {
            let out = writes(&format!("{{\"devices\":[{{\"allow\":true,{rule}}}]}}"), &v1());
            assert!(
                out.iter().any(|line| line.starts_with(&format!("! /linux/resources{pointer}:"))),
                "{out:?}"
            );
        }
    }
}
