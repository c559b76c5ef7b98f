//! An image out of this executable: one layer, a config, a manifest.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use examples::Failure;
use oci_digest::content::Sink;
use oci_digest::{Algorithm, Descriptor, Digest, canonical, digest_of};
use oci_unpack::pack::{LayerWriter, PackOptions, PackedLayer};
use serde_json::json;

use crate::own_files::{Placed, library_folders, own_files};

/// Under this name the executable reports what it sees.
pub(crate) const INSIDE: &str = "inside";

/// Puts the image into a store, under a tag.
pub(crate) fn build(store: &dyn Sink, tag: &str) -> Result<Descriptor, Failure> {
    let executable = Path::new("/").join(INSIDE);
    let (blob, layer) = pack(&executable)?;
    store.ingest(&layer.descriptor(), &&blob.bytes[..])?;
    let config = canonical::to_vec(&json!({
        "architecture": oci_digest::platform::host().architecture(),
        "os": "linux",
        "config": {
            "Entrypoint": [executable],
            "Env": ["PATH=/", format!("LD_LIBRARY_PATH={}", blob.library_path)],
            "Labels": { "org.opencontainers.image.title": "quickstart" },
            "WorkingDir": "/tmp",
        },
        "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] },
        "history": [{ "created_by": "quickstart" }],
    }))?;
    let config_descriptor = describe("application/vnd.oci.image.config.v1+json", &config);
    store.ingest(&config_descriptor, &&config[..])?;
    let manifest = canonical::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config_descriptor,
        "layers": [layer.descriptor()],
    }))?;
    let descriptor = describe("application/vnd.oci.image.manifest.v1+json", &manifest);
    store.publish(&descriptor, &manifest, &[tag])?;
    Ok(descriptor)
}

struct Blob {
    bytes: Vec<u8>,
    library_path: String,
}

fn pack(executable: &Path) -> Result<(Blob, PackedLayer), Failure> {
    let files = own_files(executable).map_err(|e| Failure::during("reading the executable", e))?;
    let mut layer = LayerWriter::new(Vec::new(), &PackOptions::default())?;
    for folder in folders(files.keys()) {
        layer.add_dir(folder, 0o755)?;
    }
    layer.add_dir("tmp", 0o1777)?;
    for (path, placed) in &files {
        match placed {
            Placed::CopyOf(source) => {
                let file =
                    File::open(source).map_err(|e| Failure::during(source.display().to_string(), e))?;
                layer.add_file(path, 0o755, file.metadata()?.len(), file)?;
            }
            Placed::LinkTo(target) => layer.add_symlink(path, target)?,
        }
    }
    let folders = library_folders(&files, executable);
    let library_path: Vec<_> = folders.iter().map(|folder| folder.to_string_lossy()).collect();
    let library_path = library_path.join(":");
    let (bytes, layer) = layer.finish()?;
    Ok((Blob { bytes, library_path }, layer))
}

/// Every folder above these files, each before those in it, and those that a container wants besides.
fn folders<'p>(files: impl Iterator<Item = &'p PathBuf>) -> BTreeSet<PathBuf> {
    let mut folders: BTreeSet<_> = ["/dev", "/proc", "/sys"].iter().map(PathBuf::from).collect();
    for file in files {
        folders.extend(file.ancestors().skip(1).filter(|folder| *folder != "/").map(Path::to_owned));
    }
    folders.remove(Path::new("/tmp"));
    folders
}

fn describe(media_type: &str, bytes: &[u8]) -> Descriptor {
    let digest: Digest = digest_of(Algorithm::Sha256, bytes);
    Descriptor::new(media_type.into(), bytes.len() as u64, digest)
}
