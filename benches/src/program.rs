/// The smallest program that ends well: an ELF file of one segment that calls `exit(0)`. It costs nothing to load, so
/// that a container with it costs what the runtime costs. `None` on machines for which none is written here.
pub fn exit_zero() -> Option<Vec<u8>> {
    let (machine, code): (u16, &[u8]) = match std::env::consts::ARCH {
        // mov eax, 60; xor edi, edi; syscall
        "x86_64" => (62, &[0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]),
        // mov x8, #93; mov x0, #0; svc #0
        "aarch64" => (183, &[0xa8, 0x0b, 0x80, 0xd2, 0, 0, 0x80, 0xd2, 0x01, 0, 0, 0xd4]),
        _ => return None,
    };
    Some(elf(machine, code))
}

/// The address at which the file is mapped whole.
const BASE: u64 = 0x40_0000;
const HEADER: u16 = 64;
const PROGRAM_HEADER: u16 = 56;

/// elf(5): the file's header, one `PT_LOAD`, the code.
fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    let before = u64::from(HEADER + PROGRAM_HEADER);
    let size = before + code.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |file: &mut Vec<u8>, value: u16| file.extend_from_slice(&value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend_from_slice(&value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend_from_slice(&value.to_le_bytes());
    half(&mut file, 2); // an executable
    half(&mut file, machine);
    word(&mut file, 1);
    long(&mut file, BASE + before); // where it begins
    long(&mut file, HEADER.into());
    long(&mut file, 0); // no sections
    word(&mut file, 0);
    for value in [HEADER, PROGRAM_HEADER, 1, 0, 0, 0] {
        half(&mut file, value);
    }
    word(&mut file, 1); // PT_LOAD
    word(&mut file, 5); // readable and executable
    for value in [0, BASE, BASE, size, size, 0x1_0000] {
        long(&mut file, value);
    }
    file.extend_from_slice(code);
    file
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    fn it_ends_well() {
        let Some(program) = exit_zero() else {
            eprintln!("SKIP it_ends_well: needs x86_64 or aarch64");
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("true");
        std::fs::write(&path, program).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Command::new(path).status().unwrap().success());
    }
}
