//! A host with busy threads, in which other threads make containers.

use std::collections::HashMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use oci_runtime::{Bundle, Container};

use crate::Check;
use crate::allocator;
use crate::root::{House, finish, spec};

pub(crate) const CHECKS: &[Check] = &[
    ("threads_do_not_hang_or_change_the_host", busy_host),
    ("threads_child_never_allocates", allocator_check),
];

/// What must not change: working directory, mask, oom_score_adj, dumpable flag, descriptors, children, signals.
fn host() -> String {
    let mut text = format!("{:?} ", std::env::current_dir().unwrap());
    let status = fs::read_to_string("/proc/self/status").unwrap();
    for name in ["Umask:", "SigBlk:", "SigIgn:", "SigCgt:", "CapEff:", "NoNewPrivs:", "Groups:", "Uid:"] {
        text += status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        text += " ";
    }
    text += &fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    // SAFETY: asks for a flag.
    text += &format!("dumpable {} ", unsafe { libc::prctl(libc::PR_GET_DUMPABLE) });
    // SAFETY: asks for a flag.
    text += &format!("personality {} ", unsafe { libc::personality(0xffff_ffff) });
    text += &format!("descriptors {} ", fs::read_dir("/proc/self/fd").unwrap().count());
    text += &format!("cgroup {}", fs::read_to_string("/proc/self/cgroup").unwrap());
    text
}

fn busy_host(house: &House) {
    // Fewer where every system call is emulated.
    let containers = std::env::var("OCI_RUNTIME_TEST_CONTAINERS");
    let containers: u32 = containers.map_or(500, |number| number.parse().unwrap());
    // The C library installs a handler of its own with the first thread.
    thread::spawn(|| {}).join().unwrap();
    let before = host();
    let stop = AtomicBool::new(false);
    let made = AtomicU32::new(0);
    let log = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 0..8 {
            let (stop, log) = (&stop, &log);
            scope.spawn(move || {
                let mut count = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    let map: HashMap<_, _> = (0..50).map(|i| (i, format!("{number} {count} {i}"))).collect();
                    let home = std::env::var("HOME");
                    let mut log = log.lock().unwrap();
                    log.push(format!("{number} {count} {} {home:?}", map.len()));
                    if log.len() > 1000 {
                        log.clear();
                    }
                    count += 1;
                }
            });
        }
        let makers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let number = made.fetch_add(1, Ordering::Relaxed);
                        if number >= containers {
                            break;
                        }
                        one(house, number);
                    }
                })
            })
            .collect();
        let results: Vec<_> = makers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        stop.store(true, Ordering::Relaxed);
        assert!(results.iter().all(Result::is_ok));
    });
    assert_eq!(before, host());
    assert!(house.is_clean());
    assert_eq!(allocator::trespasses(), 0);
}

/// Run, or create and start; every fourth as another user and with an oom_score_adj, which would change the host if
/// the child set them in the memory that it shares.
fn one(house: &House, number: u32) {
    let mut spec = spec(&["out:done", &format!("exit:{}", number % 100)]);
    if number.is_multiple_of(4) {
        spec["process"]["oomScoreAdj"] = serde_json::json!(500);
        if crate::root::is_root() {
            spec["process"]["user"] = serde_json::json!({"uid": 1000, "gid": 1000});
        }
    }
    let spec = Bundle::parse(spec.to_string().as_bytes(), "test").unwrap().spec;
    let options = house.options().cgroups(number.is_multiple_of(5));
    let mut container = if number.is_multiple_of(2) {
        Container::run(&spec, options).unwrap()
    } else {
        let mut container = Container::create(&spec, options).unwrap();
        container.start().unwrap();
        container
    };
    let (status, text) = finish(&mut container).unwrap();
    assert_eq!((status.code(), text.as_str()), (Some((number % 100) as u8), "done\n"));
}

fn allocator_check(house: &House) {
    let before = allocator::trespasses();
    house.run(|_| {}, &["exit:0"]).unwrap();
    house.run(|spec| spec["process"]["args"] = serde_json::json!(["nonsuch"]), &[]).unwrap_err();
    house.run(|spec| spec["process"]["cwd"] = serde_json::json!("/probe"), &[]).unwrap_err();
    assert_eq!(allocator::trespasses(), before);
    assert_eq!(before, 0);
}
