//! File systems that begin with what they cover.

use std::os::unix::fs::PermissionsExt;

use oci_runtime::Container;
use oci_runtime::spec;
use serde_json::json;

use crate::Check;
use crate::root::{House, finish, image_options};
use crate::sees::has;

pub(crate) const CHECKS: &[Check] =
    &[("volumes_in_a_read_only_root", volumes), ("volumes_copy_what_they_cover", copy_up)];

/// What an image declares as volumes can be written to and begins with the image's content, whatever its root is.
fn volumes(house: &House) {
    let root = house.another_root();
    std::fs::create_dir_all(root.join("data/below")).unwrap();
    std::fs::write(root.join("data/below/file"), "of the image\n").unwrap();
    std::fs::set_permissions(root.join("data"), std::fs::Permissions::from_mode(0o1750)).unwrap();
    let image = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []},
        "config": {"Volumes": {"/data": {}, "/new/place": {}}}});
    let image = serde_json::from_value(image).unwrap();
    let orders =
        ["/probe", "cat:/data/below/file", "stat:/data", "touch:/data/x", "touch:/new/place/x", "touch:/x"];
    let options = image_options().args(orders).read_only(true);
    let spec = spec::from_image(&image, &root, &options).unwrap();
    let mut container = Container::run(&spec, house.options().rootfs(&root)).unwrap();
    let (_, text) = finish(&mut container).unwrap();
    has(
        &text,
        &[
            "of the image",
            "stat /data: dir 1750 0:0 0:0",
            "touch /data/x: ok",
            "touch /new/place/x: ok",
            "touch /x: errno 30",
        ],
    );
    assert!(!root.join("data/x").exists());
}

fn copy_up(house: &House) {
    let root = house.another_root();
    std::fs::create_dir_all(root.join("data")).unwrap();
    std::fs::write(root.join("data/file"), "copied\n").unwrap();
    std::os::unix::fs::symlink("/data", root.join("link")).unwrap();
    let mount = |target: &str, kind: &str, options: &[&str]| {
        let mount = json!({"destination": target, "type": kind, "source": "tmpfs", "options": options});
        move |spec: &mut serde_json::Value| spec["mounts"].as_array_mut().unwrap().push(mount)
    };
    let orders = ["cat:/data/file", "touch:/data/x", "stat:/data"];
    // Read-only means the copy too; and a link on the way stays in the root.
    for (target, options, expected) in [
        (
            "/data",
            &["tmpcopyup", "mode=711"][..],
            ["copied", "touch /data/x: ok", "stat /data: dir 711 0:0 0:0"],
        ),
        ("/link", &["ro", "tmpcopyup"], ["copied", "touch /data/x: errno 30", "stat /data: dir 755 0:0 0:0"]),
    ] {
        let edit = mount(target, "tmpfs", options);
        let (_, text) = house.run_with(edit, &orders, |options| options.rootfs(&root)).unwrap();
        has(&text, &expected);
    }
    let error = house.run(mount("/data", "mqueue", &["tmpcopyup"]), &[]).unwrap_err();
    assert!(error.to_string().contains("tmpcopyup"), "{error}");
    // What does not fit is an error that names the place.
    std::fs::write(root.join("data/large"), vec![1; 1 << 20]).unwrap();
    let small = mount("/data", "tmpfs", &["tmpcopyup", "size=64k"]);
    let error = house.run_with(small, &[], |options| options.rootfs(&root)).unwrap_err();
    assert!(error.to_string().contains("/data") && house.is_clean(), "{error}");
}
