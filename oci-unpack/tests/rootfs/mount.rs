//! Layers as overlayfs shows them: a mount that is attached nowhere, and ends with its descriptor.
//!
//! An ordinary user needs a process in a user namespace of its own for it, which is this program again.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use oci_unpack::{OverlayFormat, Report, overlay};

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen,
};

use super::{is_root, tree};

const CHILD: &str = "OCI_UNPACK_TEST_MOUNT";

/// The merged tree as text; `None`, and a word, where mounting is not possible.
pub(crate) fn show(destination: &Path, report: &Report) -> Option<String> {
    let mut names: Vec<_> = std::fs::read_dir(destination)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_by_key(|name| name.parse::<usize>().unwrap());
    let numbers: Vec<_> = (0..report.layers.len()).map(|n| n.to_string()).collect();
    assert_eq!(names, numbers, "the layers' folders and nothing else");

    // Two lower folders at least, which the kernel wants.
    let empty = tempfile::tempdir().unwrap();
    let mut lower = overlay::lower_dirs(destination, report.layers.len());
    lower.push(empty.path().to_owned());
    let userxattr = report.overlay == Some(OverlayFormat::User);
    if is_root() {
        return match show_mounted(&lower, userxattr, true) {
            Ok(shown) => Some(shown),
            Err(e @ (Errno::PERM | Errno::NODEV | Errno::NOSYS)) => skip(&format!("to mount overlays ({e})")),
            Err(e) => panic!("mounting: {e}"),
        };
    }
    let lower: Vec<_> = lower.iter().map(|dir| dir.to_str().unwrap()).collect();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "mount::in_a_user_namespace", "--nocapture"])
        .env(CHILD, lower.join(":"))
        .output();
    let output = match output {
        Ok(output) => output,
        Err(e) => return skip(&format!("the program unshare ({e})")),
    };
    let text = String::from_utf8(output.stdout).unwrap();
    if let Some((_, rest)) = text.split_once("<<<")
        && let Some((shown, _)) = rest.split_once(">>>")
    {
        return Some(shown.to_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    // Whatever stands in the way of the namespace or the mount; what comes after that is a failure.
    assert!(
        errors.contains("unshare") || text.contains("NOT MOUNTED"),
        "the process that mounts failed: {text}{errors}"
    );
    skip("to mount overlays in a user namespace (Linux 5.11)")
}

/// Whether the kernel understands whiteouts that are attributes, which it does since 6.8.
pub(crate) fn knows_xattr_whiteouts() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(8))
}

pub(crate) fn skip(needs: &str) -> Option<String> {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| eprintln!("SKIP the rows as overlayfs shows them: needs {needs}"));
    None
}

/// Runs in the process that [`show`] starts, and does nothing elsewhere.
#[test]
fn in_a_user_namespace() {
    let Ok(lower) = std::env::var(CHILD) else { return };
    let lower: Vec<_> = lower.split(':').map(PathBuf::from).collect();
    match show_mounted(&lower, true, false) {
        Ok(shown) => print!("<<<{shown}>>>"),
        Err(e) => println!("NOT MOUNTED: {e}"),
    }
}

fn show_mounted(lower: &[PathBuf], userxattr: bool, owners: bool) -> rustix::io::Result<String> {
    let lower: Vec<_> = lower.iter().map(|dir| dir.to_str().unwrap()).collect();
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", "overlay")?;
    for (index, dir) in lower.iter().enumerate() {
        match fsconfig_set_string(&context, "lowerdir+", *dir) {
            Ok(()) => {}
            // Before 6.7 there is only the list as a whole, of 255 bytes at most.
            Err(Errno::INVAL) if index == 0 => {
                fsconfig_set_string(&context, "lowerdir", lower.join(":"))?;
                break;
            }
            Err(errno) => return Err(errno),
        }
    }
    if userxattr {
        fsconfig_set_flag(&context, "userxattr")?;
    }
    fsconfig_create(&context)?;
    let mounted = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    if !is_in_first_namespace() {
        // What root of the namespace may read of the tree, the user may not.
        let mut sets = rustix::thread::capabilities(None)?;
        sets.effective = rustix::thread::CapabilitySet::empty();
        rustix::thread::set_capabilities(None, sets)?;
    }
    let root = format!("/proc/self/fd/{}", mounted.as_raw_fd());
    let shown = tree::show(Path::new(&root), owners);
    // The end of a mount waits for all processors; nobody needs to wait for that.
    std::thread::spawn(move || drop((mounted, context)));
    Ok(shown)
}

fn is_in_first_namespace() -> bool {
    std::env::var_os(CHILD).is_none()
}
