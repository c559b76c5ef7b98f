use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};

/// The machine in one line: figures of another one, or of another day, are not to be compared with these.
pub(crate) fn describe(scratch: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| processor(&text));
    let system = rustix::system::uname();
    format!(
        "{cores} cores ({}), Linux {}, {}, load {}",
        model.as_deref().unwrap_or("unknown"),
        system.release().to_string_lossy(),
        file_system(scratch).as_deref().unwrap_or("unknown file system"),
        fs::read_to_string("/proc/loadavg")
            .ok()
            .and_then(|text| Some(text.split_whitespace().next()?.to_owned()))
            .as_deref()
            .unwrap_or("unknown"),
    )
}

fn processor(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn file_system(folder: &Path) -> Option<String> {
    let device = fs::metadata(folder).ok()?.dev();
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    type_of(&mounts, &format!("{}:{}", major(device), minor(device)))
}

/// proc(5), /proc/pid/mountinfo: the third field is the device, the first after the hyphen the type.
fn type_of(mountinfo: &str, device: &str) -> Option<String> {
    let line = mountinfo.lines().find(|line| line.split(' ').nth(2) == Some(device))?;
    Some(line.split_once(" - ")?.1.split(' ').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_file_system() {
        let mounts = "21 28 0:20 / /proc rw,relatime shared:5 - proc proc rw\n\
                      28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n";
        assert_eq!(type_of(mounts, "254:0").as_deref(), Some("ext4"));
        assert_eq!(type_of(mounts, "0:21"), None);
    }

    #[test]
    fn finds_the_processor() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: A B 3\n").as_deref(), Some("A B 3"));
        assert_eq!(processor("processor\t: 0\n"), None);
    }
}
