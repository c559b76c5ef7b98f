//! What a small file costs in system calls, counted by strace, beside GNU tar.

use std::path::Path;
use std::process::{Command, Stdio};

use oci_unpack::UnpackOptions;

use crate::image::Image;
use crate::is_root;
use crate::layer::{Item, archive, dir, file};

const FILES: usize = 5000;
const PER_FOLDER: usize = 100;

/// Names the archive and the destination for the process that is counted.
const TASK: &str = "OCI_UNPACK_SYSCALLS_TASK";

/// create, write, mode, time, close; and the owner, where it is another one.
#[test]
fn a_small_file_costs_six_calls_at_most() {
    let folder = tempfile::tempdir().unwrap();
    if let Err(reason) = count(folder.path(), Command::new("true")) {
        eprintln!(
            "SKIP a_small_file_costs_six_calls_at_most: needs strace and to be allowed to trace: {reason}"
        );
        return;
    }
    // Those of the user at work, and as root those of somebody else, which takes a chown more.
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mut cases = vec![((uid, gid), 6.0)];
    if is_root() {
        cases.push(((1000, 1000), 7.0));
    }
    for (owner, most) in cases {
        let ours = per_file(folder.path(), owner, ours);
        let tar = per_file(folder.path(), owner, tar);
        eprintln!("system calls per small file of {}:{}: ours {ours:.2}, GNU tar {tar:.2}", owner.0, owner.1);
        assert!(ours <= most, "{ours} for files of {owner:?}");
        // Fewer than these would mean that nothing was counted.
        assert!(ours >= 4.0, "{ours} for files of {owner:?}");
    }
}

/// In the process that is counted.
#[test]
#[ignore = "is started by the one that counts"]
fn unpacks_for_the_one_that_counts() {
    let task = std::env::var(TASK).unwrap();
    let (layer, destination) = task.split_once('\n').unwrap();
    let image = Image::plain(&[std::fs::read(layer).unwrap()]);
    let report = image.unpack(Path::new(destination), &UnpackOptions::default()).unwrap();
    assert_eq!(report.warnings, 0);
}

/// Of so many files in folders, less what the folders alone cost.
fn per_file(folder: &Path, owner: (u32, u32), tool: fn(&Path, &Path) -> Command) -> f64 {
    let total = |files: bool| {
        let layer = folder.join("layer.tar");
        std::fs::write(&layer, archive(&items(owner, files))).unwrap();
        let destination = folder.join("root");
        let calls = count(folder, tool(&layer, &destination)).unwrap();
        let made = std::fs::read_dir(destination.join("7")).unwrap().count();
        assert_eq!(made, if files { PER_FOLDER } else { 0 });
        std::fs::remove_dir_all(&destination).unwrap();
        calls as f64
    };
    (total(true) - total(false)) / FILES as f64
}

fn items((uid, gid): (u32, u32), files: bool) -> Vec<Item> {
    let mut items = Vec::new();
    for folder in 0..FILES / PER_FOLDER {
        items.push(dir(format!("{folder}/")));
        for name in (0..PER_FOLDER).filter(|_| files) {
            // 1 to 4 KB, as most files of images are.
            let data = vec![b'x'; 1000 + 30 * name];
            items.push(file(format!("{folder}/{name}"), data).owner(uid.into(), gid.into()));
        }
    }
    items
}

fn ours(layer: &Path, destination: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "syscalls::unpacks_for_the_one_that_counts"]);
    command.env(TASK, format!("{}\n{}", layer.display(), destination.display()));
    command
}

fn tar(layer: &Path, destination: &Path) -> Command {
    std::fs::create_dir(destination).unwrap();
    let mut command = Command::new("tar");
    command.arg("-C").arg(destination).args(["--numeric-owner", "-xpf"]).arg(layer);
    command
}

/// The system calls of a program, all its threads and all they start.
fn count(folder: &Path, program: Command) -> Result<usize, String> {
    let log = folder.join("calls");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(&log).arg(program.get_program()).args(program.get_args());
    strace.envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = strace.stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
        );
    }
    let log = std::fs::read_to_string(log).map_err(|e| e.to_string())?;
    // `1234  write(…`: not the second half of one that was interrupted in the log, nor signals, nor the end. With debug
    // assertions, the standard library looks at each descriptor before it closes it.
    let is_call = |line: &&str| {
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        call.starts_with(|c: char| c.is_ascii_lowercase()) && !call.contains("F_GETFD")
    };
    Ok(log.lines().filter(is_call).count())
}
