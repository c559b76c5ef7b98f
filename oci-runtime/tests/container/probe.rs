//! The program inside the container: does what its arguments say, one after the other, and prints what it finds.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) fn run(orders: &[String]) -> ExitCode {
    for order in orders {
        let (verb, rest) = order.split_once(':').unwrap_or((order, ""));
        match verb {
            "cat" => {
                print!("{}", fs::read_to_string(rest).unwrap_or_else(|error| format!("{rest}: {error}\n")))
            }
            "ls" => println!("ls {rest}: {}", names(rest).join(" ")),
            "touch" => {
                told("touch", rest, fs::OpenOptions::new().create(true).append(true).open(rest).map(drop))
            }
            "write" => told("write", rest, fs::OpenOptions::new().write(true).open(rest).map(drop)),
            "size" => {
                told("size", rest, fs::read(rest).map(|bytes| println!("size {rest}: {}", bytes.len())))
            }
            "stat" => stat(rest),
            "link" => {
                told("link", rest, fs::read_link(rest).map(|to| println!("link {rest}: {}", to.display())))
            }
            "ids" => ids(),
            "cwd" => println!(
                "cwd: {}",
                std::env::current_dir().map_or("lost".into(), |d| d.display().to_string())
            ),
            "env" => std::env::vars().for_each(|(key, value)| println!("env {key}={value}")),
            "pid" => println!("pid: {}", std::process::id()),
            "session" => {
                // SAFETY: numbers only.
                println!("session: {}", unsafe { libc::getsid(0) });
            }
            "umask" => {
                // SAFETY: a number only.
                println!("umask: {:o}", unsafe { libc::umask(0o077) });
            }
            "scheduling" => scheduling(),
            "limit" => limit(rest.parse().unwrap()),
            "pipe-signal" => {
                let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
                // SAFETY: only asks; Rust's runtime set SIGPIPE before main, so another ignored one is asked for.
                unsafe { libc::sigaction(libc::SIGUSR2, std::ptr::null(), action.as_mut_ptr()) };
                // SAFETY: filled above.
                println!("usr2: {}", unsafe { action.assume_init() }.sa_sigaction);
            }
            "out" => println!("{rest}"),
            "err" => eprintln!("{rest}"),
            "echo" => {
                let mut text = Vec::new();
                std::io::stdin().read_to_end(&mut text).unwrap();
                std::io::stdout().write_all(&text).unwrap();
            }
            "connect" => told("connect", "lo", std::net::TcpListener::bind("127.0.0.1:0").map(drop)),
            "keyring" => println!("keyring: {}", keyring()),
            "read" => told("read", rest, fs::File::open(rest).map(drop)),
            "threads" => threads(rest.parse().unwrap()),
            "eat" => {
                let bytes = vec![1u8; rest.parse::<usize>().unwrap() << 20];
                println!("eaten {}", std::hint::black_box(bytes).len());
            }
            "sleep" => loop {
                std::thread::park();
            },
            "exit" => return ExitCode::from(rest.parse::<u8>().unwrap()),
            "signal" => {
                // pid 1 does not die of its own signals unless they are not to be caught by nature.
                // SAFETY: traps.
                unsafe { libc::abort() };
            }
            other => panic!("unknown order {other}"),
        }
    }
    ExitCode::SUCCESS
}

/// What the schedulers and the allocator were told of this process.
fn scheduling() {
    const WHO_PROCESS: i32 = 1; // linux/ioprio.h
    // SAFETY: numbers only; 0xffffffff asks and changes nothing.
    let (policy, nice, io, domain) = unsafe {
        (
            libc::sched_getscheduler(0),
            libc::getpriority(libc::PRIO_PROCESS, 0),
            libc::syscall(libc::SYS_ioprio_get, WHO_PROCESS, 0),
            libc::personality(0xffff_ffff),
        )
    };
    println!("policy {policy} nice {nice} io {io:#x} domain {domain}");
    let maps = fs::read_to_string("/proc/self/numa_maps").unwrap_or_default();
    println!("memory: {}", maps.split_whitespace().nth(1).unwrap_or("?"));
}

/// The number of the session keyring, which is one for the whole machine; or the negated error number.
pub(crate) fn keyring() -> i64 {
    let (ask, session) = (libc::KEYCTL_GET_KEYRING_ID, libc::KEY_SPEC_SESSION_KEYRING);
    // SAFETY: numbers only.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, ask, session, 0) };
    if result >= 0 { result } else { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
}

/// How many threads there may be beside this one.
fn threads(wanted: usize) {
    let stop = Arc::new(AtomicBool::new(false));
    let (sleeping, mut made) = (stop.clone(), Vec::new());
    while made.len() < wanted {
        let stop = sleeping.clone();
        let sleep = move || {
            while !stop.load(Ordering::Relaxed) {
                std::thread::park();
            }
        };
        let Ok(thread) = std::thread::Builder::new().stack_size(64 << 10).spawn(sleep) else { break };
        made.push(thread);
    }
    println!("threads: {} of {wanted}", made.len());
    stop.store(true, Ordering::Relaxed);
    for thread in made {
        thread.thread().unpark();
        thread.join().unwrap();
    }
}

fn told(verb: &str, path: &str, result: std::io::Result<()>) {
    match result {
        Ok(()) => println!("{verb} {path}: ok"),
        Err(error) => println!("{verb} {path}: errno {}", error.raw_os_error().unwrap_or(0)),
    }
}

fn names(path: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(path) else { return vec!["?".into()] };
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn stat(path: &str) {
    match fs::symlink_metadata(path) {
        Ok(found) => {
            let kind = match found.file_type() {
                kind if kind.is_char_device() => "char",
                kind if kind.is_fifo() => "pipe",
                kind if kind.is_dir() => "dir",
                kind if kind.is_symlink() => "link",
                _ => "file",
            };
            let (major, minor) = (libc::major(found.rdev()), libc::minor(found.rdev()));
            println!(
                "stat {path}: {kind} {:o} {major}:{minor} {}:{}",
                found.mode() & 0o7777,
                found.uid(),
                found.gid()
            );
        }
        Err(error) => println!("stat {path}: errno {}", error.raw_os_error().unwrap_or(0)),
    }
}

fn ids() {
    let mut groups = [0; 64];
    // SAFETY: an array of the length given; numbers.
    let (count, uid, gid) =
        unsafe { (libc::getgroups(64, groups.as_mut_ptr()), libc::getuid(), libc::getgid()) };
    println!("ids: {uid}:{gid} {:?}", &groups[..count as usize]);
}

fn limit(resource: u32) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: fills one rlimit.
    unsafe { libc::getrlimit(resource, &raw mut limit) };
    println!("limit {resource}: {} {}", limit.rlim_cur, limit.rlim_max);
}
