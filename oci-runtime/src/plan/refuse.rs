use oci_spec::runtime::Spec;

use super::Problems;

/// What this version does not apply is refused by name: nothing in a spec is silently ignored.
pub(super) fn everything(spec: &Spec, problems: &mut Problems) {
    let mut refuse = |there: bool, pointer: &str| {
        if there {
            problems.add(pointer, "is not supported by this version");
        }
    };
    for (there, pointer) in [
        (spec.uid_mappings().is_some(), "/uidMappings"),
        (spec.gid_mappings().is_some(), "/gidMappings"),
        (spec.solaris().is_some(), "/solaris"),
        (spec.windows().is_some(), "/windows"),
        (spec.vm().is_some(), "/vm"),
    ] {
        refuse(there, pointer);
    }
    if let Some(hooks) = spec.hooks() {
        for (list, name) in [
            #[allow(deprecated)]
            (hooks.prestart(), "prestart"),
            (hooks.create_runtime(), "createRuntime"),
            (hooks.create_container(), "createContainer"),
            (hooks.start_container(), "startContainer"),
            (hooks.poststart(), "poststart"),
            (hooks.poststop(), "poststop"),
        ] {
            refuse(list.as_ref().is_some_and(|list| !list.is_empty()), &format!("/hooks/{name}"));
        }
    }
    if let Some(process) = spec.process() {
        let text = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
        for (there, pointer) in [
            (process.terminal() == Some(true), "/process/terminal"),
            (process.command_line().is_some(), "/process/commandLine"),
            (text(process.apparmor_profile()), "/process/apparmorProfile"),
            (text(process.selinux_label()), "/process/selinuxLabel"),
            (process.user().username().is_some(), "/process/user/username"),
        ] {
            refuse(there, pointer);
        }
    }
    if let Some(linux) = spec.linux() {
        for (there, pointer) in [
            (linux.net_devices().as_ref().is_some_and(|map| !map.is_empty()), "/linux/netDevices"),
            (linux.mount_label().as_ref().is_some_and(|label| !label.is_empty()), "/linux/mountLabel"),
            (linux.intel_rdt().is_some(), "/linux/intelRdt"),
            (linux.time_offsets().as_ref().is_some_and(|map| !map.is_empty()), "/linux/timeOffsets"),
        ] {
            refuse(there, pointer);
        }
    }
}
