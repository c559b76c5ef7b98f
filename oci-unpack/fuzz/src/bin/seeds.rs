//! Writes the seeds of every target to where `cargo fuzz run` looks for them.

use std::path::Path;

fn main() -> std::io::Result<()> {
    for (target, _, seeds) in oci_unpack_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in seeds().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
