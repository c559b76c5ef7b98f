//! Ways out of a container that other runtimes have had, closed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use oci_runtime::cgroup::Hierarchy;
use serde_json::{Value, json};

use crate::Check;
use crate::root::{House, is_root};

pub(crate) const CHECKS: &[Check] = &[
    ("escape_proc_is_a_link", proc_link),
    ("escape_dev_is_a_link", dev_link),
    ("escape_mount_target_is_a_link", target_link),
    ("escape_working_directory_by_descriptor", working_directory),
    ("escape_null_of_the_root_is_something_else", null_link),
    ("escape_masks_do_not_follow_links_out", mask_link),
    ("escape_executable_of_init", executable),
    ("escape_program_is_looked_for_inside", program),
    ("escape_device_nodes_of_the_image", image_nodes),
    ("escape_control_groups_of_the_host", host_groups),
];

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

/// CVE-2019-16884, CVE-2023-27561: procfs is only mounted on a real folder.
fn proc_link(house: &House) {
    let root = house.another_root();
    fs::create_dir(root.join("elsewhere")).unwrap();
    symlink("/elsewhere", root.join("proc")).unwrap();
    let error = house.run_with(|_| {}, &["exit:0"], |options| options.rootfs(&root)).unwrap_err();
    assert_eq!(error.to_string(), "mount proc at /proc: openat2");
    assert!(house.is_clean());
}

/// CVE-2026-41579: nodes and links are made inside, whatever /dev is.
fn dev_link(house: &House) {
    let (root, host) = (house.another_root(), house.outside("host"));
    symlink(&host, root.join("dev")).unwrap();
    let edit = |spec: &mut Value| {
        spec["mounts"]
            .as_array_mut()
            .unwrap()
            .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    };
    let _ = house.run_with(edit, &["exit:0"], |options| options.rootfs(&root));
    assert!(is_empty(&host), "something was made on the host");
    // With a mount on it, too.
    let _ = house.run_with(|_| {}, &["exit:0"], |options| options.rootfs(&root));
    assert!(is_empty(&host), "something was made on the host");
    assert!(house.is_clean());
}

/// CVE-2021-30465: what is mounted stays inside, and so does what is made for it.
fn target_link(house: &House) {
    let (root, host, volume) = (house.another_root(), house.outside("host"), house.outside("volume"));
    fs::write(volume.join("mark"), "").unwrap();
    fs::create_dir_all(root.join("inside")).unwrap();
    symlink(&host, root.join("absolute")).unwrap();
    symlink("../../../../../../../inside", root.join("relative")).unwrap();
    let bind = |to: &str| {
        let mount = json!({"destination": to, "type": "bind", "source": volume, "options": ["bind"]});
        move |spec: &mut Value| spec["mounts"].as_array_mut().unwrap().push(mount)
    };
    for to in ["/absolute", "/absolute/below"] {
        let _ = house.run_with(bind(to), &["exit:0"], |options| options.rootfs(&root));
        assert!(is_empty(&host), "{to} left the root");
    }
    let (_, text) =
        house.run_with(bind("/relative"), &["ls:/inside"], |options| options.rootfs(&root)).unwrap();
    assert_eq!(text, "ls /inside: mark\n");
    let (_, text) =
        house.run_with(bind("/../../x/../y"), &["ls:/y"], |options| options.rootfs(&root)).unwrap();
    assert_eq!(text, "ls /y: mark\n");
    assert!(house.is_clean());
}

/// CVE-2024-21626: a working directory that a descriptor of the host leads to.
fn working_directory(house: &House) {
    let file = fs::File::open("/").unwrap();
    // SAFETY: numbers only; closed below.
    unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&file), 17) };
    for cwd in ["/proc/self/fd/17", "/proc/self/fd/17/tmp", "/proc/self/cwd", "/proc/1/root"] {
        let error = house.run(|spec| spec["process"]["cwd"] = json!(cwd), &["ls:."]);
        assert!(error.is_err(), "{cwd}: {error:?}");
    }
    // SAFETY: closes the copy made above.
    unsafe { libc::close(17) };
    assert!(house.is_clean());
}

/// CVE-2025-31133: masks are not made of what the root calls /dev/null.
fn null_link(house: &House) {
    let (root, host) = (house.another_root(), house.outside("host"));
    let secret = host.join("secret");
    fs::write(&secret, "secret").unwrap();
    fs::create_dir(root.join("dev")).unwrap();
    symlink(&secret, root.join("dev/null")).unwrap();
    fs::write(root.join("hidden"), "hidden").unwrap();
    let edit = |spec: &mut Value| {
        spec["linux"]["maskedPaths"] = json!(["/hidden"]);
        // The root's own /dev, where it has put its own null; a bind mount of a folder keeps nodes from being made.
        spec["mounts"]
            .as_array_mut()
            .unwrap()
            .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
        let dev = root.join("dev");
        spec["mounts"]
            .as_array_mut()
            .unwrap()
            .push(json!({"destination": "/dev", "type": "bind", "source": dev, "options": ["bind"]}));
    };
    let (_, text) =
        house.run_with(edit, &["stat:/hidden", "size:/hidden"], |options| options.rootfs(&root)).unwrap();
    assert!(text.contains("stat /hidden: char 666 1:3") && text.contains("size /hidden: 0"), "{text}");
    assert_eq!(fs::read_to_string(secret).unwrap(), "secret");
}

fn mask_link(house: &House) {
    let (root, host) = (house.another_root(), house.outside("host"));
    fs::write(host.join("file"), "of the host").unwrap();
    fs::create_dir(root.join("real")).unwrap();
    fs::write(root.join("real/file"), "of the root").unwrap();
    symlink(host.join("file"), root.join("out")).unwrap();
    symlink("/real/file", root.join("in")).unwrap();
    let edit = |spec: &mut Value| {
        spec["linux"]["maskedPaths"] = json!(["/out", "/in"]);
        spec["linux"]["readonlyPaths"] = json!(["/out", "/real"]);
    };
    let orders = ["size:/real/file", "touch:/real/new"];
    let (_, text) = house.run_with(edit, &orders, |options| options.rootfs(&root)).unwrap();
    assert_eq!(text, "size /real/file: 0\nsize /real/file: ok\ntouch /real/new: errno 30\n");
    assert_eq!(fs::read_to_string(host.join("file")).unwrap(), "of the host");
}

/// CVE-2019-5736: no process of the container has this executable, and the one it had cannot be written.
fn executable(house: &House) {
    let before = fs::read("/proc/self/exe").unwrap();
    let (_, text) =
        house.run(|_| {}, &["link:/proc/1/exe", "link:/proc/self/exe", "write:/proc/1/exe"]).unwrap();
    assert!(text.contains("link /proc/1/exe: /probe\n"), "{text}");
    // A file that is being executed cannot be written (ETXTBSY); and it is the container's own.
    assert!(text.contains("write /proc/1/exe: errno 26"), "{text}");
    assert!(before == fs::read("/proc/self/exe").unwrap());
}

fn program(house: &House) {
    let root = house.another_root();
    let host = house.outside("host");
    fs::copy("/proc/self/exe", host.join("tool")).unwrap();
    symlink(host.join("tool"), root.join("bin/tool")).unwrap();
    let edit = |spec: &mut Value| spec["process"]["args"] = json!(["tool", "exit:0"]);
    let error = house.run_with(edit, &[], |options| options.rootfs(&root)).unwrap_err();
    assert!(error.is_command_not_found(), "{error:?} {}", is_root());
}

/// CVE-2023-25809: where the host's /sys is bound, its control groups are read-only with it.
fn host_groups(house: &House) {
    let edit = |spec: &mut Value| {
        if is_root() {
            // Root in a user namespace of its own is an ordinary user there.
            spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
            for name in ["uidMappings", "gidMappings"] {
                spec["linux"][name] = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
            }
        }
        spec["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .retain(|namespace| namespace["type"] != "network");
    };
    let (_, text) = house.run(edit, &["touch:/sys/fs/cgroup/x", "cat:/proc/mounts"]).unwrap();
    assert!(text.contains("touch /sys/fs/cgroup/x: errno 30"), "{text}");
    let groups = text.lines().skip(1).filter(|line| line.contains(" /sys/"));
    assert!(groups.clone().all(|line| line.contains(" ro,")), "{text}");
}

/// Where no rules for devices hold, nodes that the image brought along do not open; with rules they are asked.
fn image_nodes(house: &House) {
    let root = house.another_root();
    let path = std::ffi::CString::new(root.join("node").into_os_string().into_encoded_bytes()).unwrap();
    // SAFETY: a C string and numbers.
    if unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(1, 5)) } != 0 {
        eprintln!("SKIP escape_device_nodes_of_the_image: needs the right to make device nodes");
        return;
    }
    let run = |rules: bool| {
        let edit = |spec: &mut Value| {
            if rules {
                spec["linux"]["resources"] = json!({"devices": [{"allow": true, "access": "rwm"}]});
            }
        };
        let options = |options: oci_runtime::Options| options.rootfs(&root).cgroups(rules);
        house.run_with(edit, &["read:/node", "read:/dev/zero"], options).map(|(_, text)| text)
    };
    assert_eq!(run(false).unwrap(), "read /node: errno 13\nread /dev/zero: ok\n");
    if Hierarchy::detect().unwrap().can_limit_devices() {
        assert_eq!(run(true).unwrap(), "read /node: ok\nread /dev/zero: ok\n");
    }
}
