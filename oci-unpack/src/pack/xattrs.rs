//! Reading extended attributes of what is packed, and which of them belong into a layer.

use std::ffi::CStr;
use std::os::fd::AsFd;

use rustix::fs::{fgetxattr, flistxattr, flistxattr_query};
use rustix::io::Errno;

/// Reads all attributes, sorted by name. File systems without attributes have none.
pub(super) fn read(file: impl AsFd) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    // Most files have none, and need no buffer.
    match flistxattr_query(&file) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Ok(_) => {}
        Err(e) => return Err(e),
    }
    // The kernel's own limit for lists and values.
    let mut buffer = vec![0u8; 64 << 10];
    let list = match flistxattr(&file, &mut buffer[..]) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Ok(len) => buffer.get(..len).unwrap_or_default().to_vec(),
        Err(e) => return Err(e),
    };
    let mut xattrs = Vec::new();
    for name in list.split_inclusive(|&b| b == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        match fgetxattr(&file, name, &mut buffer[..]) {
            Ok(len) => {
                xattrs.push((name.to_bytes().to_vec(), buffer.get(..len).unwrap_or_default().to_vec()));
            }
            // Removed since it was listed.
            Err(Errno::NODATA) => {}
            // It says nothing to a layer, so its value need not be known.
            Err(_) if !belongs(name.to_bytes(), true, true) => {
                xattrs.push((name.to_bytes().to_vec(), Vec::new()));
            }
            Err(e) => return Err(e),
        }
    }
    xattrs.sort();
    Ok(xattrs)
}

/// Whether an attribute belongs to the file and not to the host it lies on.
///
/// Access control lists name users by number, so they only mean something where owners are kept.
pub(super) fn belongs(name: &[u8], trusted: bool, owners_kept: bool) -> bool {
    if name.starts_with(b"user.overlay.") || name.starts_with(b"trusted.overlay.") {
        return false;
    }
    match name {
        b"security.capability" => true,
        b"system.posix_acl_access" | b"system.posix_acl_default" => owners_kept,
        _ => name.starts_with(b"user.") || trusted && name.starts_with(b"trusted."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy() {
        for (name, trusted, kept, expected) in [
            ("user.x", false, false, true),
            ("user.overlay.opaque", true, true, false),
            ("trusted.x", false, true, false),
            ("trusted.x", true, true, true),
            ("trusted.overlay.opaque", true, true, false),
            ("security.capability", false, false, true),
            ("security.selinux", true, true, false),
            ("system.posix_acl_access", false, true, true),
            ("system.posix_acl_access", false, false, false),
        ] {
            assert_eq!(belongs(name.as_bytes(), trusted, kept), expected, "{name}");
        }
    }
}
