//! What cannot be done is an error that names it, and leaves nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use oci_runtime::{Bundle, Container, Error};
use serde_json::{Value, json};

use crate::Check;
use crate::root::{House, is_root, spec};

pub(crate) const CHECKS: &[Check] = &[
    ("failure_command_not_found", not_found),
    ("failure_not_executable", not_executable),
    ("failure_at_start", at_start),
    ("failure_names_the_step", steps),
    ("failure_lists_every_problem", problems),
    ("failure_refuses_by_name", refuses),
    ("failure_ids_that_may_not_be_mapped", unmapped),
    ("failure_limits_without_control_groups", limits),
];

fn failed(house: &House, edit: impl FnOnce(&mut Value)) -> Error {
    let error = house.run(edit, &["exit:0"]).unwrap_err();
    assert!(house.is_clean(), "{error}");
    assert!(no_children(), "{error}");
    error
}

/// Whether this process has no child left.
fn no_children() -> bool {
    // SAFETY: numbers and a null pointer.
    let result = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) };
    result == -1
}

fn not_found(house: &House) {
    for command in ["nonsuch", "/bin/nonsuch", "./nonsuch", "/probe/x"] {
        let error = failed(house, |spec| spec["process"]["args"] = json!([command]));
        assert!(error.is_command_not_found() && error.is_not_found(), "{command}: {error:?}");
        assert_eq!((error.exit_code(), error.to_string()), (127, format!("cannot execute {command:?}")));
    }
}

fn not_executable(house: &House) {
    let root = house.another_root();
    fs::write(root.join("bin/plain"), "text").unwrap();
    fs::write(root.join("bin/rubbish"), "rubbish").unwrap();
    fs::set_permissions(root.join("bin/rubbish"), fs::Permissions::from_mode(0o755)).unwrap();
    for command in ["/bin/plain", "plain", "/bin", "bin/rubbish"] {
        let edit = |spec: &mut Value| spec["process"]["args"] = json!([command]);
        let error = house.run_with(edit, &[], |options| options.rootfs(&root)).unwrap_err();
        assert!(error.is_not_executable(), "{command}: {error:?}");
        assert_eq!(error.exit_code(), 126, "{command}");
    }
    assert!(house.is_clean() && no_children());
}

/// What only the execution itself finds out is reported by start, and the container is stopped then.
fn at_start(house: &House) {
    let root = house.another_root();
    fs::write(root.join("bin/rubbish"), "rubbish").unwrap();
    fs::set_permissions(root.join("bin/rubbish"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut spec = spec(&[]);
    spec["process"]["args"] = json!(["rubbish"]);
    let spec = Bundle::parse(spec.to_string().as_bytes(), "test").unwrap().spec;
    let mut container = Container::create(&spec, house.options().rootfs(&root)).unwrap();
    let error = container.start().unwrap_err();
    assert!(error.is_not_executable() && error.to_string().contains("rubbish"), "{error:?}");
    assert_eq!(container.wait().unwrap().code(), Some(127));
    container.delete(false).unwrap();
    assert!(house.is_clean());
}

fn steps(house: &House) {
    let mount = |mount: Value| move |spec: &mut Value| spec["mounts"].as_array_mut().unwrap().push(mount);
    let missing =
        json!({"destination": "/x", "type": "bind", "source": "/no/such/place", "options": ["bind"]});
    let unknown = json!({"destination": "/x", "type": "nofs", "source": "x"});
    let option = json!({"destination": "/x", "type": "tmpfs", "source": "x", "options": ["colour=red"]});
    let under = json!({"destination": "/probe/x", "type": "tmpfs", "source": "x"});
    for (mount_value, step) in [
        (missing, "bind /no/such/place at /x: open_tree"),
        (unknown, "mount nofs at /x: fsopen"),
        (option, "mount tmpfs at /x: fsconfig"),
        (under, "mount tmpfs at /probe/x: openat2"),
    ] {
        let error = failed(house, mount(mount_value));
        assert!(matches!(error, Error::Step { .. }), "{error:?}");
        assert_eq!(error.to_string(), step);
    }
    let error = failed(house, |spec| spec["process"]["cwd"] = json!("/probe"));
    assert_eq!(error.to_string(), "change to the working directory /probe: openat2");
    let error = house.run_with(|_| {}, &[], |options| options.rootfs("/no/such/root")).unwrap_err();
    assert!(error.to_string().contains("/no/such/root"), "{error}");
    assert!(house.is_clean());
}

fn problems(house: &House) {
    let error = failed(house, |spec| {
        spec["ociVersion"] = json!("2.0.0");
        spec["process"]["cwd"] = json!("relative");
        spec["process"]["oomScoreAdj"] = json!(5000);
        spec["mounts"][0]["options"] = json!(["idmap"]);
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "pid"}));
        spec["linux"]["sysctl"] = json!({"vm.swappiness": "1"});
    });
    let Error::Spec { problems } = error else { panic!("{error}") };
    let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    for pointer in [
        "/ociVersion",
        "/process/cwd",
        "/process/oomScoreAdj",
        "/mounts/0/options/0",
        "/linux/sysctl/vm.swappiness",
    ] {
        assert!(pointers.contains(&pointer), "{pointer} is not in {pointers:?}");
    }
    assert!(pointers.iter().any(|pointer| pointer.starts_with("/linux/namespaces/")), "{pointers:?}");
}

fn refuses(house: &House) {
    let values = [
        ("/linux/intelRdt", json!({})),
        ("/linux/mountLabel", json!("x")),
        ("/process/apparmorProfile", json!("x")),
        ("/process/selinuxLabel", json!("x")),
        ("/process/terminal", json!(true)),
        ("/hooks/poststop", json!([{"path": "/x"}])),
        ("/linux/timeOffsets", json!({"boottime": {"secs": 1}})),
    ];
    for (pointer, value) in values {
        let error = failed(house, |spec| {
            let mut at = spec;
            for name in pointer.split('/').skip(1) {
                at = &mut at[name];
            }
            *at = value;
        });
        let Error::Spec { problems } = error else { panic!("{pointer}: {error}") };
        assert_eq!(problems.iter().map(|problem| problem.pointer.as_str()).collect::<Vec<_>>(), [pointer]);
    }
}

/// Several ids of an ordinary user need a helper and a grant.
fn unmapped(house: &House) {
    if is_root() {
        // Root may map what it likes: see the check of mapped ids.
        return;
    }
    let error = failed(house, |spec| {
        for name in ["uidMappings", "gidMappings"] {
            let maps = spec["linux"][name].as_array_mut().unwrap();
            maps.push(json!({"containerID": 1, "hostID": 3_000_000, "size": 10}));
        }
    });
    assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    assert!(error.to_string().contains("newgidmap"), "{error}");
}

fn limits(house: &House) {
    let error = failed(house, |spec| spec["linux"]["resources"] = json!({"pids": {"limit": 5}}));
    let Error::Spec { problems } = error else { panic!("{error}") };
    assert_eq!(problems[0].pointer, "/linux/resources");
}
