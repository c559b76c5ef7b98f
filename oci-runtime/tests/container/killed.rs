//! A program that is killed while it makes containers: what is left can be found and deleted.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use oci_runtime::cgroup::Hierarchy;
use oci_runtime::{Container, Options, Status};

use crate::Check;
use crate::life::load;
use crate::root::House;

pub(crate) const CHECKS: &[Check] =
    &[("killed_makers_leave_nothing_that_stays", killed), ("killed_before_anything_was_written", nameless)];

/// Makes containers until it is killed: `ROOTFS STATE NAME`.
pub(crate) fn make_many(args: &[String]) -> ExitCode {
    let [rootfs, state, name] = args else { return ExitCode::from(2) };
    for number in 0.. {
        let options = Options::new(format!("{name}-{number}"))
            .rootfs(rootfs)
            .state_root(state)
            // What has a group is killed by it; the others are found by what was written of the process.
            .cgroups(number % 3 == 0)
            .stdin(oci_runtime::Stdio::Null);
        let spec = load(&["sleep"]);
        let made =
            if number % 2 == 0 { Container::run(&spec, options) } else { Container::create(&spec, options) };
        made.unwrap().delete(true).unwrap();
    }
    ExitCode::SUCCESS
}

fn killed(house: &House) {
    let mut found = BTreeSet::new();
    let prefix = format!("killed-{}-", std::process::id());
    for round in 0..20u64 {
        let mut maker = Command::new(std::env::current_exe().unwrap())
            .arg("--make-many")
            .args([&house.root, &house.state])
            .arg(format!("{prefix}{round}"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        // Not a limit of anything: each round ends at another moment.
        while Container::list(Some(&house.state)).unwrap().is_empty() {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(731 * round));
        maker.kill().unwrap();
        maker.wait().unwrap();
        for id in Container::list(Some(&house.state)).unwrap() {
            let mut container = Container::load(Some(&house.state), &id).unwrap();
            found.insert(container.state().unwrap().status.as_str());
            let pid = container.pid();
            container.delete(true).unwrap();
            assert!(pid == 0 || !holds(pid, &house.root), "process {pid} of {id} is left");
        }
    }
    assert!(house.is_clean());
    let groups = Hierarchy::detect().unwrap();
    for (controller, _) in groups.controllers() {
        let Some(own) = groups.own_folder(controller) else { continue };
        // On version 2, groups are made beside the own one where they cannot be below it.
        for folder in [own.parent(), Some(&own)].into_iter().flatten() {
            let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
            let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains(&prefix)).collect();
            assert!(left.is_empty(), "{left:?} in {folder:?}");
        }
    }
    assert!(!found.is_empty(), "no maker was killed in the middle");
}

/// Whether the process has this root: another one may have the number by now.
fn holds(pid: i32, root: &Path) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.contains("/probe") && root.join("probe").exists()
}

fn nameless(house: &House) {
    fs::create_dir_all(house.state.join("half")).unwrap();
    assert_eq!(Container::list(Some(&house.state)).unwrap(), ["half"]);
    let mut container = Container::load(Some(&house.state), "half").unwrap();
    assert_eq!(container.state().unwrap().status, Status::Creating);
    container.delete(false).unwrap();
    assert!(house.is_clean());
}
