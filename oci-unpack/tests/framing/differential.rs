//! What GNU tar writes is read as the `tar` crate reads it.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use oci_unpack::framing::EntryKind;

use crate::read;

/// A tree with what archives differ in.
fn tree(dir: &Path) {
    use std::os::unix::fs::symlink;
    std::fs::create_dir_all(dir.join("d/e")).unwrap();
    std::fs::write(dir.join("d/empty"), "").unwrap();
    std::fs::write(dir.join("d/file"), "content").unwrap();
    std::fs::write(dir.join("d/large"), vec![7; 1_000_003]).unwrap();
    std::fs::hard_link(dir.join("d/file"), dir.join("d/hard")).unwrap();
    symlink("d/file", dir.join("soft")).unwrap();
    symlink("t".repeat(300), dir.join("softer")).unwrap();
    std::fs::write(dir.join("d/grün"), "utf-8").unwrap();
    let deep = dir.join("x".repeat(90)).join("y".repeat(90)).join("z".repeat(200));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("f"), "deep").unwrap();
    let holes = std::fs::File::create(dir.join("holes")).unwrap();
    for i in 0..40 {
        use std::os::unix::fs::FileExt;
        holes.write_all_at(b"island", i * 100_000).unwrap();
    }
    holes.set_len(5_000_000).unwrap();
}

fn gnu_tar(dir: &Path, options: &[&str]) -> Option<Vec<u8>> {
    let output =
        Command::new("tar").args(options).args(["--sort=name", "-cf", "-", "-C"]).arg(dir).arg(".").output();
    match output {
        Ok(output) if output.status.success() => Some(output.stdout),
        // A format that cannot hold the tree at all.
        Ok(output) => panic!("tar {options:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => None,
    }
}

#[test]
fn gnu_tars_archives() {
    let dir = tempfile::tempdir().unwrap();
    tree(dir.path());
    for options in [
        &["--format=gnu"][..],
        &["--format=gnu", "--sparse"],
        &["--format=posix"],
        &["--format=posix", "--sparse"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=gnu", "--numeric-owner", "--owner=3000000000", "--group=3000000000", "--mtime=@-5"],
        &["--format=oldgnu", "--sparse"],
    ] {
        let Some(archive) = gnu_tar(dir.path(), options) else {
            eprintln!("SKIP gnu_tars_archives: needs tar");
            return;
        };
        let ours = read(&archive).unwrap();
        assert_eq!(ours.warnings, [], "{options:?}");
        compare(&archive, &ours, options);
        let (holes, content) = ours.entries.iter().find(|(e, _)| e.path == b"./holes").unwrap();
        assert_eq!(holes.size, 5_000_000, "{options:?}");
        assert_eq!(holes.segments.is_some(), options.contains(&"--sparse"));
        let end = 39 * 100_000;
        assert_eq!(&content[end..end + 6], b"island", "{options:?}");
    }
}

fn compare(archive: &[u8], ours: &crate::Read, options: &[&str]) {
    let mut theirs = tar::Archive::new(archive);
    let mut ours = ours.entries.iter();
    for entry in theirs.entries().unwrap() {
        let mut entry = entry.unwrap();
        let (own, content) = ours.next().unwrap();
        // The crate `tar` knows no PAX sparse files: it sees what is stored, under a name of its own.
        let pax_sparse = own.segments.is_some() && entry.header().entry_type() != tar::EntryType::GNUSparse;
        let name = String::from_utf8_lossy(&own.path).into_owned();
        if !pax_sparse {
            assert_eq!(entry.path_bytes(), own.path, "{options:?}");
            assert_eq!(entry.size(), own.size, "{options:?} {name}");
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            // Large sparse files are not filled with zeros to the end here.
            assert!(bytes.starts_with(content), "{options:?} {name}");
            assert!(bytes[content.len()..].iter().all(|&b| b == 0), "{options:?} {name}");
        }
        let header = entry.header();
        assert_eq!(header.mode().unwrap() & 0o7777, own.mode);
        if !options.contains(&"--owner=3000000000") {
            assert_eq!(header.uid().unwrap(), u64::from(own.uid));
            assert_eq!(header.mtime().unwrap(), own.mtime.seconds as u64);
        } else {
            assert_eq!((own.uid, own.gid, own.mtime.seconds), (3_000_000_000, 3_000_000_000, -5));
        }
        let link = entry.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default();
        assert_eq!(link, own.link, "{options:?} {name}");
        let kind = match entry.header().entry_type() {
            tar::EntryType::Directory => EntryKind::Directory,
            tar::EntryType::Link => EntryKind::HardLink,
            tar::EntryType::Symlink => EntryKind::Symlink,
            _ => EntryKind::Regular,
        };
        assert_eq!(kind, own.kind, "{options:?} {name}");
    }
    assert!(ours.next().is_none(), "{options:?}");
}
